"""The whole classifier as an ONNX model, by jax2onnx where that is installed."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from vp_jax.backbones.layers.attention import portable
from vp_jax.errors import UserError, brief
from vp_jax.exports.about import about_program
from vp_jax.exports.program import Program, check_against, make_program
from vp_jax.exports.wanted import Wanted
from vp_jax.host import files
from vp_jax.host.quiet import quiet

NEAR = 1e-4
"""How far probabilities of onnxruntime may be from the classifier's."""
MOST = 1_900_000_000
"""Bytes of weights; a model in one file has 2 GiB at most."""
INPUT, OUTPUT = "images", "probabilities"


def write(wanted: Wanted, out: pathlib.Path) -> str:
    """Writes an ONNX model with the weights in it, from `images`, uint8 `[B, H, W, 3]` of any
    number B, to `probabilities`, float32 `[B, K]`; class names and more are in its metadata.

    It is computed with onnxruntime, on the CPU, and compared with the classifier, before it is
    written.

    Returns:
      A line that says what was written.

    Raises:
      UserError: jax2onnx or onnxruntime is not installed, something of the classifier cannot be
        converted, or comes out otherwise.
    """
    _check_installed()
    program = make_program(wanted.classifier(), wanted.image_size)
    content = convert(program, about_program(program, wanted.license))
    difference = check_against(program, _runner(content), NEAR)
    files.write(out, lambda file: file.write(content))
    height, width = program.shape[:2]
    return (
        f"{out}: {len(content):,} bytes, images of {height} x {width}; with onnxruntime its "
        f"probabilities are at most {difference:.1e} from the run's"
    )


def convert(program: Program, about: dict[str, Any]) -> bytes:
    """The ONNX model of a program, with what is known of it as texts.

    Raises:
      UserError: something of it cannot be converted.
    """
    import jax2onnx

    size = sum(array.nbytes for array in program.arrays.values())
    if size > MOST:
        raise UserError(f"the weights have {size:,} bytes, and an ONNX file has at most {MOST:,}")
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *program.shape), jnp.uint8)
    try:
        with portable(), quiet("onnx_ir"):  # It warns of shapes that depend on the batch.
            traced = jax.make_jaxpr(lambda x: program.apply(program.arrays, x))(images)
            model: Any = jax2onnx.to_onnx(  # It has other functions in the place of some of JAX's.
                lambda x: jaxpr_as_fun(traced)(x)[0],
                [images],
                model_name="vp_jax",
                input_names=[INPUT],
                output_names=[OUTPUT],
            )
    except Exception as error:  # of any kind: its converters raise what they meet
        raise UserError(
            f"jax2onnx cannot convert this classifier: {brief(error)}; --to=stablehlo may"
        ) from error
    for name, value in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value if isinstance(value, str) else json.dumps(value)
    return bytes(model.SerializeToString())


def _runner(content: bytes) -> Any:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own kinds
        raise UserError(
            f"onnxruntime cannot load what jax2onnx has made: {brief(error)}; --to=stablehlo may do"
        ) from error

    def run(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([OUTPUT], {INPUT: images})[0])

    return run


def _check_installed() -> None:
    try:
        import jax2onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--to=onnx needs jax2onnx and onnxruntime ({error}): pip install 'vp_jax[onnx]', and "
            "then pip install --no-deps jax2onnx"
        ) from error
