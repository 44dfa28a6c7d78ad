"""What a prompt is: a pair of pure functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from vp_jax.prompts.routing import Routing
from vp_jax.prompts.views import Combine

Params = Any
"""A pytree of float32 arrays."""


InitFn = Callable[[jax.Array, Sequence[int]], Params]
"""`init(rng, image_shape) -> params`."""

ApplyFn = Callable[..., jax.Array]
"""`apply(params, images, *, rng=None, **extra) -> images`."""


class Prompt(NamedTuple):
    """A visual prompt: how its parameters are drawn and how they change images.

    Both functions are pure, and may be transformed by `jax.jit`, `jax.vmap` and `jax.grad`. A
    prompt is a tuple of exactly these two, so `init, apply = prompts.pad(30)` unpacks one, and
    `Prompt(init, apply)` makes a new design out of any such pair. What `stage` and `chain` make
    also has a text: `str(prompts.pad(30))` is `"pad(30)"`.

    Attributes:
      init: `init(rng, image_shape) -> params`. `rng` is a key from `jax.random.key`, `image_shape`
        is (H, W, C). `params` is a pytree of float32 arrays.
      apply: `apply(params, images, *, rng=None, **extra) -> images`. `images` is [..., H, W, C]
        with any leading dimensions, including none, and any floating dtype, which is also that of
        the result. `rng` is needed by prompts that draw something at every call. `extra` is for
        prompts that need more than pixels; what a prompt does not ask for is ignored.
    """

    init: InitFn
    apply: ApplyFn

    @property
    def stages(self) -> tuple[Prompt, ...]:
        """The prompts that it is a chain of, first applied first; of any other, itself."""
        return (self,)

    @property
    def keywords(self) -> Keywords:
        """What it asks for besides parameters and pixels."""
        return keywords(self.apply)

    @property
    def form(self) -> str:
        """Its text without what only says how its parameters begin."""
        return str(self)

    @property
    def combine(self) -> Combine | None:
        """What makes one answer of those to several images, where it makes several of one."""
        return None

    @property
    def routings(self) -> tuple[Routing, ...]:
        """The centroids that its stages need, also those inside others."""
        return ()

    @property
    def has_parameters(self) -> bool:
        """Whether there is anything in it to train; of one that is not known that is assumed."""
        return True

    @property
    def simplest(self) -> Prompt:
        """The same as a chain without chains in it, and without a chain where it is one stage."""
        return self

    def act(self, params: Params, images: ArrayLike, **given: Any) -> jax.Array:
        """`apply` with what it asks for, among all that is given."""
        return self.apply(params, images, **self.keywords.of(given))

    def __str__(self) -> str:
        return "<custom prompt>"


class Keywords(NamedTuple):
    """The keyword arguments that a function takes.

    Attributes:
      required: names of those without a default.
      optional: names of the others.
      is_open: whether it takes any others too.
    """

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    is_open: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Of all that it names."""
        return self.required | self.optional

    def __or__(self, other: Keywords) -> Keywords:
        """What two functions take together."""
        required = self.required | other.required
        optional = (self.optional | other.optional) - required
        return Keywords(required, optional, self.is_open or other.is_open)

    def of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those among what is given; None stands for nothing."""
        wanted = given if self.is_open else self.names
        return {name: x for name, x in given.items() if name in wanted and x is not None}


@functools.lru_cache(maxsize=256)
def keywords(function: Callable[..., Any]) -> Keywords:
    """Reads the keyword arguments of a function from its signature."""
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    required = frozenset(p.name for p in named if p.default is p.empty)
    optional = frozenset(p.name for p in named) - required
    return Keywords(required, optional, any(p.kind is p.VAR_KEYWORD for p in parameters))
