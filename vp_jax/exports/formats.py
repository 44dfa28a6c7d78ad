"""The forms of an export by name."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from vp_jax.exports import bundle, hub, onnx_model, overlay, stablehlo
from vp_jax.exports.wanted import Wanted

Write = Callable[[Wanted, pathlib.Path], str]
"""Writes a file or a folder, and returns what it is, in a line."""

FORMATS: dict[str, Write] = {
    "bundle": bundle.write,
    "png": overlay.write,
    "stablehlo": stablehlo.write,
    "onnx": onnx_model.write,
    "hub": hub.write,
}
