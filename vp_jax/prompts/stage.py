"""What makes a stage of a formula: its text, its checks, and what else it needs than pixels."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.prompts import arguments as arguments_lib
from vp_jax.prompts.base import Keywords, Params, Prompt, keywords
from vp_jax.prompts.checks import check_image_shape, check_images

P = ParamSpec("P")


class Formula(NamedTuple):
    """What a stage does, without any check.

    Attributes:
      apply: `apply(params, images) -> images`, pure, of the same shape and dtype, `[..., H, W, C]`.
        What else it needs it names as keyword-only arguments: `rng`, a key, or whatever a caller
        has (in a run: `label`, `features`, `normalization`, `resize_method`); one with a default
        may be missing.
      init: `init(rng, (H, W, C)) -> params`, a pytree of float32 arrays; None: no parameters.
      least: the smallest images that it fits, as (height, width).
      additive: whether it adds each of its parameters to one pixel value, always the same, and
        does nothing else; prompts of different sizes can then be trained in one program.
      takes_pixels: whether its images must have values in [0, 1], so that it stands before
        `normalize`.
      normalizes: whether its result has normalised values.
      mixes: whether what it makes of a flat image shows nothing of it, as with a filter; its
        picture is that of a point.
    """

    apply: Callable[..., jax.Array]
    init: Callable[[jax.Array, tuple[int, int, int]], Params] | None = None
    least: tuple[int, int] = (1, 1)
    additive: bool = False
    takes_pixels: bool = False
    normalizes: bool = False
    mixes: bool = False


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
        """What it asks for besides parameters and pixels."""
        return keywords(self.formula.apply)

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
    needs = keywords(formula.apply)

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
        taken = needs.of({"rng": rng, **extra})
        for missing in sorted(needs.required - taken.keys()):
            raise _missing(text, missing)
        result = formula.apply(params, images, **taken)
        if (result.shape, result.dtype) != (images.shape, images.dtype):
            raise UserError(
                f"{text} makes {result.dtype} of shape {result.shape} of images that are"
                f" {images.dtype} of shape {images.shape}: its formula must keep both"
            )
        return result

    made = Stage(init_fn, apply_fn)
    made.name, made.arguments, made.formula, made._text = name, given, formula, text
    made._form = arguments_lib.write(name, expected, given, initial=False)
    return made


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
