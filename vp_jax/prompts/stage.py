"""What makes a stage of a formula: its text, its checks, and what else it needs than pixels."""

from __future__ import annotations

import functools
import inspect
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.prompts import arguments as arguments_lib
from vp_jax.prompts.base import Keywords, Params, Prompt, keywords
from vp_jax.prompts.checks import check_image_shape, check_images
from vp_jax.prompts.routing import Routing
from vp_jax.prompts.views import Combine

P = ParamSpec("P")


class Formula(NamedTuple):
    """What a stage does, without any check.

    Attributes:
      apply: `apply(params, images) -> images`, pure, of the same shape and dtype, `[..., H, W, C]`.
        What else it needs it names as keyword-only arguments: `rng`, a key, or whatever a caller
        has (in a run: `label`, `features`, `normalization`, `resize_method`); one with a default
        may be missing. A stage that takes prompts, arguments of the type `Prompt`, hands them on
        what they need: `apply(params, images, **given)` gets just that, for `inner.act`.
      init: `init(rng, (H, W, C)) -> params`, a pytree of float32 arrays; None: no parameters.
      least: the smallest images that it fits, as (height, width).
      additive: whether it adds each of its parameters to one pixel value, always the same, and
        does nothing else; prompts of different sizes can then be trained in one program.
      takes_pixels: whether its images must have values in [0, 1], so that it stands before
        `normalize`.
      normalizes: whether its result has normalised values.
      mixes: whether what it makes of a flat image shows nothing of it, as with a filter; its
        picture is that of a point.
      combine: of a stage that makes several images of one, `[V, ..., H, W, C]`, that is to see all
        of them: what their logits `[B, V, K]` say of the image, `[B, K]`. It may leave them one.
      routing: the centroids that it needs as `centroids`.
      classes: the number of classes that it is for, where that matters.
    """

    apply: Callable[..., jax.Array]
    init: Callable[[jax.Array, tuple[int, int, int]], Params] | None = None
    least: tuple[int, int] = (1, 1)
    additive: bool = False
    takes_pixels: bool = False
    normalizes: bool = False
    mixes: bool = False
    combine: Combine | None = None
    routing: Routing | None = None
    classes: int | None = None


class Stage(Prompt):
    """A prompt that knows its name and arguments, as `stage` makes it.

    Attributes:
      name: of the function that makes it.
      arguments: of that function, all of them.
      formula: what it does.
    """

    name: str
    arguments: dict[str, Any]
    formula: Formula
    _form: str
    _text: str

    @property
    def keywords(self) -> Keywords:
        """What it asks for besides parameters and pixels; its prompts' needs are its own."""
        own, inner = keywords(self.formula.apply), self.inner
        own = own._replace(is_open=False) if inner else own
        return functools.reduce(operator.or_, (prompt.keywords for prompt in inner), own)

    @property
    def inner(self) -> tuple[Prompt, ...]:
        """The prompts among its arguments."""
        return tuple(x for x in self.arguments.values() if isinstance(x, Prompt))

    @property
    def has_parameters(self) -> bool:
        """Whether there is anything in it to train."""
        return self.formula.init is not None

    @property
    def combine(self) -> Combine | None:
        """What makes one answer of those to several images, where it makes several of one."""
        return self.formula.combine

    @property
    def routings(self) -> tuple[Routing, ...]:
        """The centroids that it needs, and those of the stages inside it."""
        own = () if self.formula.routing is None else (self.formula.routing,)
        return (*own, *itertools.chain.from_iterable(prompt.routings for prompt in self.inner))

    @property
    def form(self) -> str:
        """Its text without what only says how its parameters begin."""
        return self._form

    def _replace(self, **changes: Any) -> Prompt:  # type: ignore[override] # a plain one
        return Prompt(self.init, self.apply)._replace(**changes)

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__


_STAGES: dict[str, Callable[..., Stage]] = {}


def makers() -> dict[str, Callable[..., Stage]]:
    """The functions that make the stages that a text may name, by name."""
    return dict(_STAGES)


def stage(make: Callable[P, Formula]) -> Callable[P, Stage]:
    """Makes a stage of every formula that a function returns, and its name one that texts know.

    The function's arguments must be annotated, see `arguments`. What it returns is wrapped in all
    that stages have in common:

      - the arguments are checked;
      - `init` and `apply` refuse images that are not floating `[..., H, W, C]`, or too small;
      - `apply` refuses parameters that are not those of `init`, calls without a key or another
        thing that the formula needs, and formulas that change the images' shape or dtype.

    Raises:
      TypeError: an argument's annotation cannot be checked.
      UserError: another module has a stage of this name.

    >>> import jax
    >>> from vp_jax import prompts
    >>> @prompts.stage
    ... def brighten(by: float = 0.1) -> prompts.Formula:
    ...     return prompts.Formula(lambda params, images: images + by)
    >>> brighten(by=0.1), brighten(0.2)
    (brighten, brighten(by=0.2))
    >>> prompts.parse("brighten(0.2) | pad(1)").stages
    (brighten(by=0.2), pad(1), normalize)
    """
    name, expected = make.__name__, arguments_lib.arguments(make)

    @functools.wraps(make)
    def made(*values: P.args, **named: P.kwargs) -> Stage:
        given = arguments_lib.bind(name, expected, values, named)
        for key, value in given.items():
            if isinstance(value, Prompt):
                _check_inner(name, key, value)
        try:
            return _stage(make, given, expected)
        except arguments_lib.ArgumentError:
            raise
        except UserError as error:  # of the formula, on arguments that do not go together
            raise arguments_lib.ArgumentError(f"{name}: {error.args[0]}") from error

    signature = inspect.signature(make).replace(return_annotation=Stage)
    made.__signature__ = signature  # type: ignore[attr-defined] # what inspect reads
    there = _STAGES.get(name)
    if there is not None and there.__module__ != make.__module__:
        raise UserError(
            f"there is a stage {name!r} already, of {there.__module__}; give this one another name"
        )
    _STAGES[name] = made
    return made


def _stage(
    make: Callable[..., Formula],
    given: dict[str, Any],
    expected: dict[str, arguments_lib.Argument],
) -> Stage:
    formula, name = make(**given), make.__name__
    text = arguments_lib.write(name, expected, given)

    def check_fit(height: int, width: int) -> None:
        if not _fits(formula, height, width):
            rows, columns = formula.least
            message = (
                f"{text} does not fit images of height {height} and width {width}: it needs at"
                f" least {rows} x {columns} pixels"
            )
            smaller = range(min(given.get("size", 0) - 1, max(height, width)), 0, -1)
            fitting = (s for s in smaller if _fits(make(**given | {"size": s}), height, width))
            for size in itertools.islice(fitting, 1):
                message += f"; the largest size that fits is {size}"
            raise UserError(message)

    @functools.lru_cache(maxsize=16)
    def expected_shapes(shape: tuple[int, int, int]) -> Params:
        init = formula.init
        if init is None:
            return {}
        return _shapes(jax.eval_shape(lambda: init(jax.random.key(0), shape)))

    def init_fn(rng: jax.Array, image_shape: Sequence[int]) -> Params:
        shape = check_image_shape(image_shape)
        check_fit(*shape[:2])
        if formula.init is None:
            return {}
        if rng is None:
            raise UserError("init needs a key: pass rng=jax.random.key(0), or another seed")
        return formula.init(rng, shape)

    def apply_fn(
        params: Params, images: ArrayLike, *, rng: jax.Array | None = None, **extra: Any
    ) -> jax.Array:
        images = check_images(images)
        height, width, channels = images.shape[-3:]
        check_fit(height, width)
        wanted, found = expected_shapes((height, width, channels)), _shapes(params)
        if found != wanted and (wanted or jax.tree.leaves(params)):
            raise UserError(
                f"{text}: images of shape {images.shape} need parameters of shapes {wanted}, got"
                f" {found}; draw them with init(rng, {images.shape[-3:]})"
            )
        needs = made.keywords
        taken = needs.of({"rng": rng, **extra})
        for missing in sorted(needs.required - taken.keys()):
            raise _missing(text, missing)
        result = formula.apply(params, images, **taken)
        views = formula.combine is not None and result.ndim > images.ndim
        shape = result.shape[1:] if views else result.shape
        if (shape, result.dtype) != (images.shape, images.dtype):
            raise UserError(
                f"{text} makes {result.dtype} of shape {result.shape} of images that are"
                f" {images.dtype} of shape {images.shape}: its formula must keep both"
            )
        return result

    made = Stage(init_fn, apply_fn)
    made.name, made.arguments, made.formula, made._text = name, given, formula, text
    stages = [s for prompt in made.inner for s in prompt.stages if isinstance(s, Stage)]
    if len(made.routings) > 1:
        raise UserError(
            "images are told apart by centroids within it already: leave one of the two out"
        )
    made.formula = formula._replace(
        takes_pixels=formula.takes_pixels or any(s.formula.takes_pixels for s in stages),
        mixes=formula.mixes or any(s.formula.mixes for s in stages),
    )
    made._form = arguments_lib.write(name, expected, given, initial=False)
    return made


def _check_inner(name: str, key: str, prompt: Prompt) -> None:
    """Refuses a prompt that no stage can take."""
    for place, stage in enumerate(prompt.stages):
        if isinstance(stage, Stage) and stage.formula.normalizes:
            raise arguments_lib.ArgumentError(
                f"{name} changes images before or behind {stage}, and cannot have it in its {key}:"
                f" write it outside, as in {name}(...) | {stage}",
                key,
                place,
            )
    for place, stage in enumerate(prompt.stages):
        if stage.combine is not None:
            raise arguments_lib.ArgumentError(
                f"{name} takes images one by one, and {stage} makes several of each: write it "
                f"outside, with {name} within",
                key,
                place,
            )
    if not prompt.has_parameters:
        raise arguments_lib.ArgumentError(
            f"{name}: {key} must have parameters that can be trained, and {prompt} has none", key
        )


def _fits(formula: Formula, height: int, width: int) -> bool:
    return height >= formula.least[0] and width >= formula.least[1]


def _shapes(params: Params) -> Params:
    return jax.tree.map(jnp.shape, params)


def _missing(text: str, name: str) -> UserError:
    if name == "rng":
        return UserError(
            f"{text} draws something at every call and needs a key: pass"
            " rng=jax.random.key(...), a new one for every batch"
        )
    return UserError(f"{text} needs {name}: pass apply(params, images, {name}=...)")
