"""Several prompts, one after the other."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.prompts.base import Keywords, Params, Prompt
from vp_jax.prompts.routing import Routing
from vp_jax.prompts.stage import Stage
from vp_jax.prompts.views import Combine


class Chain(Prompt):
    """A prompt of several, as `chain` makes it.

    Attributes:
      members: the prompts, first applied first; some may be chains.
    """

    members: tuple[Prompt, ...]

    @property
    def stages(self) -> tuple[Prompt, ...]:
        """The prompts that it is a chain of; those of its members that are chains among them."""
        return tuple(itertools.chain.from_iterable(member.stages for member in self.members))

    @property
    def keywords(self) -> Keywords:
        """What its members together ask for besides parameters and pixels."""
        return functools.reduce(operator.or_, (m.keywords for m in self.members), Keywords())

    @property
    def form(self) -> str:
        """Its text without what only says how its parameters begin."""
        return " | ".join(stage.form for stage in self.stages)

    @property
    def has_parameters(self) -> bool:
        """Whether any of its members has."""
        return any(member.has_parameters for member in self.members)

    @property
    def combine(self) -> Combine | None:
        """That of the one of its stages that makes several images of one."""
        return next((s.combine for s in self.stages if s.combine is not None), None)

    @property
    def routings(self) -> tuple[Routing, ...]:
        """The centroids that its stages need, also those inside others."""
        return tuple(itertools.chain.from_iterable(m.routings for m in self.members))

    @property
    def simplest(self) -> Prompt:
        """The same as a chain without chains in it, and without a chain where it is one stage."""
        return self.stages[0] if len(self.stages) == 1 else chain(*self.stages)

    def _replace(self, **changes: Any) -> Prompt:  # type: ignore[override] # a plain one
        return Prompt(self.init, self.apply)._replace(**changes)

    def __str__(self) -> str:
        return " | ".join(map(str, self.stages))

    __repr__ = __str__


class OrderError(UserError):
    """A stage of a chain stands where it cannot; `position` says which of the stages it is."""

    def __init__(self, message: str, position: int):
        super().__init__(message)
        self.position = position


def chain(*prompts: Prompt) -> Chain:
    """Composes prompts: each is applied to the result of the one before it.

    The parameters are the tuple of the members' parameters. `init` gives each member that has
    parameters a subkey, a single one the key itself; so does `apply` with the members that draw
    something. What else `apply` is given goes to every member that asks for it. A chain may hold
    chains; the empty chain is the identity, with parameters `()`.

    Args:
      *prompts: the members, first applied first.

    Raises:
      UserError: for a member that is not a prompt, or one that needs pixel values behind
        `normalize`; in `apply` for parameters that are not one for each member.

    >>> import jax
    >>> from vp_jax import prompts
    >>> both = prompts.chain(prompts.pad(4), prompts.fixed_patch(2, top=8, left=8))
    >>> both
    pad(4) | fixed_patch(2, top=8, left=8)
    >>> [sorted(member) for member in both.init(jax.random.key(0), (32, 32, 3))]
    [['bottom', 'left', 'right', 'top'], ['patch']]
    """
    for position, prompt in enumerate(prompts):
        if not isinstance(prompt, Prompt):
            raise UserError(
                f"chain() takes prompts, as in chain(pad(30), fixed_patch(4)); argument {position}"
                f" is {prompt!r}"
            )
    initialised = tuple(prompt.has_parameters for prompt in prompts)
    drawing = tuple(_draws(prompt) for prompt in prompts)

    def init_fn(rng: jax.Array, image_shape: Sequence[int]) -> Params:
        if rng is None:
            raise UserError("init needs a key: pass rng=jax.random.key(0), or another seed")
        keys = _keys(rng, initialised)
        return tuple(p.init(key, image_shape) for p, key in zip(prompts, keys, strict=True))

    def apply_fn(
        params: Params, images: ArrayLike, *, rng: jax.Array | None = None, **extra: Any
    ) -> jax.Array:
        if not isinstance(params, (tuple, list)) or len(params) != len(prompts):
            found = f"{type(params).__name__} of {len(params)}" if params is not None else "None"
            raise UserError(
                f"a chain of {len(prompts)} prompts needs a tuple of {len(prompts)} parameter"
                f" trees, got {found}"
            )
        keys = [None] * len(prompts) if rng is None else _keys(rng, drawing)
        for prompt, member, key in zip(prompts, params, keys, strict=True):
            images = prompt.act(member, images, rng=key, **extra)
        return jnp.asarray(images)

    made = Chain(init_fn, apply_fn)
    made.members = prompts
    _check_order(made.stages)
    return made


def _keys(rng: jax.Array, wanted: Sequence[bool]) -> list[jax.Array]:
    """A key for each: subkeys for those that want one, the key itself where only one does."""
    if sum(wanted) < 2:
        return [rng] * len(wanted)
    keys = iter(jax.random.split(rng, sum(wanted)))
    return [next(keys) if wants else rng for wants in wanted]


def _draws(prompt: Prompt) -> bool:
    return prompt.keywords.is_open or "rng" in prompt.keywords.names


def _check_order(stages: Sequence[Prompt]) -> None:
    normalizing: Stage | None = None
    several: Prompt | None = None
    routing: Prompt | None = None
    for position, stage in enumerate(stages):
        if stage.combine is not None and several is not None:
            raise OrderError(
                f"{stage} makes several images of one, and so does {several} before it: leave one "
                "of the two out",
                position,
            )
        several = several if stage.combine is None else stage
        if stage.routings and routing is not None:
            raise OrderError(
                f"{stage} tells images apart by centroids, and so does {routing} before it: leave "
                "one of the two out",
                position,
            )
        routing = stage if stage.routings else routing
        if not isinstance(stage, Stage):
            continue
        if normalizing is not None and stage.formula.takes_pixels:
            raise OrderError(
                f"{stage} needs pixel values in [0, 1], and stands behind {normalizing}: put it"
                " before, or leave it out",
                position,
            )
        if stage.formula.normalizes:
            normalizing = stage


def normalizes(prompt: Prompt) -> bool:
    """Whether what leaves a prompt has normalised values."""
    return any(isinstance(s, Stage) and s.formula.normalizes for s in prompt.stages)
