"""What is done with the gradient of a part before its optimiser takes it, as one line of text."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vp_jax.errors import UserError, unknown

TINY = 1e-10
"""Added to norms, as in EVP's code."""

Change = Callable[[Any], Any]
"""From the gradient of a part, a tree of arrays under its name, to another one."""


def unit() -> Change:
    """`g / (||g|| + 1e-10)`, the norm over all numbers of the part.

    Wu et al., EVP (2212.10556), whose code takes the norm of a gradient with respect to the whole
    image and keeps its frame afterwards: the text `unit | frame(30)` with the prompt `full`. With
    the prompt `pad(30)` and the text `unit` the norm is of the frame alone, and steps are longer.
    """

    def change(gradient: Any) -> Any:
        norm = optax.tree.norm(gradient)
        return jax.tree.map(lambda g: g / (norm + TINY), gradient)

    return change


def unit_each() -> Change:
    """`unit` of each stage of a prompt, or array of a head, by itself."""
    one = unit()

    def each(whole: Any) -> Any:
        return jax.tree.map(one, whole, is_leaf=lambda x: x is not whole)

    return lambda gradient: {part: each(own) for part, own in gradient.items()}


def unit_arrays() -> Change:
    """`unit` of each array by itself, also of those of one stage (ACAVP, 2510.07823)."""
    return lambda gradient: jax.tree.map(unit(), gradient)


def clip(largest: float) -> Change:
    """Every number clipped to [-largest, largest] (AutoVP, 2310.08381, and ACAVP: 0.001)."""
    return lambda gradient: jax.tree.map(lambda g: jnp.clip(g, -largest, largest), gradient)


def clip_norm(largest: float) -> Change:
    """The gradient made shorter where its norm over the part is above `largest`."""

    def change(gradient: Any) -> Any:
        share = jnp.minimum(1.0, largest / (optax.tree.norm(gradient) + TINY))
        return jax.tree.map(lambda g: g * share, gradient)

    return change


def sign() -> Change:
    """-1, 0 or 1 for every number, as in attacks that bound each pixel."""
    return lambda gradient: jax.tree.map(jnp.sign, gradient)


def frame(size: float) -> Change:
    """Zero but for a frame of `size` pixels, in arrays `[H, W, C]`."""

    def framed(g: jax.Array) -> jax.Array:
        if g.ndim != 3 or 2 * size >= min(g.shape[:2]):
            raise UserError(
                f"frame({size:g}) keeps the border of arrays [H, W, C] that are larger than "
                f"2 * {size:g} pixels, and the part has one of shape {g.shape}: take it with the "
                "prompt full"
            )
        inside = slice(int(size), -int(size))
        return jnp.asarray(g).at[inside, inside].set(0)

    return lambda gradient: jax.tree.map(framed, gradient)


_WORDS: dict[str, Callable[..., Change]] = {
    function.__name__: function
    for function in (unit, unit_each, unit_arrays, clip, clip_norm, sign, frame)
}


def by_text(text: str, setting: str = "optimizer.gradient") -> optax.GradientTransformation:
    """Changes of a gradient, written one after the other with `|` between them.

    Members of a sweep whose prompts have different sizes share one program all the same: their
    gradients are zero where they have no parameters, and all changes leave zeros alone.

    Args:
      text: such as `"unit | clip(0.001)"`; `unit`, `unit_each`, `unit_arrays` and `sign` take no
        number, `clip`, `clip_norm` and `frame` take one above 0. The empty text changes nothing.
      setting: where the text is from, for messages.

    Raises:
      UserError: an unknown word, or a number that is missing, too many or not above 0; when it is
        used, `frame` on arrays that are not `[H, W, C]`, or not larger.

    >>> import jax.numpy as jnp
    >>> changes = by_text("unit | clip(0.7)")
    >>> changed, _ = changes.update({"prompt": jnp.array([3.0, -4.0])}, changes.init({}))
    >>> changed["prompt"].round(2)
    Array([ 0.6, -0.7], dtype=float32)
    """
    words = text.split("|") if text.strip() else []
    changes = [_change(word.strip(), text, setting) for word in words]
    return optax.chain(*(_stateless(change) for change in changes)) if words else optax.identity()


def _stateless(change: Change) -> optax.GradientTransformation:
    return optax.stateless(lambda gradient, params: change(gradient))


def _change(word: str, text: str, setting: str) -> Change:
    found = re.fullmatch(r"(\w+)(?:\s*\(([^()]*)\))?", word)
    if found is None:
        raise UserError(
            f"--config.{setting} is {text!r}; write it as words with | between them, as in "
            "'unit | clip(0.001)'"
        )
    name, given = found[1], (found[2] or "").strip()
    if name not in _WORDS:
        raise unknown(f"change of a gradient in --config.{setting}", name, _WORDS)
    if not inspect.signature(_WORDS[name]).parameters:
        if given:
            raise UserError(f"{name} of --config.{setting} takes no number: leave ({given}) out")
        return _WORDS[name]()
    return _WORDS[name](_number(name, given, setting))


def _number(name: str, given: str, setting: str) -> float:
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf or (name == "frame" and number % 1):
        kind = "whole number of pixels" if name == "frame" else "number"
        raise UserError(
            f"{name} of --config.{setting} needs a {kind} above 0, and has {given!r}: write it as "
            f"in {name}({8 if name == 'frame' else 0.001})"
        )
    return number
