"""The whole classifier as a StableHLO program, which needs JAX and nothing else."""

from __future__ import annotations

import functools
import io
import json
import pathlib
import tempfile
from typing import Any, BinaryIO

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from vp_jax.backbones.layers.attention import portable
from vp_jax.errors import UserError, brief
from vp_jax.exports.about import about_program
from vp_jax.exports.program import Program, check_against, make_program
from vp_jax.exports.wanted import Wanted
from vp_jax.host import files

PLATFORMS = ("cpu", "cuda", "tpu")
PROGRAM, WEIGHTS, ABOUT, RUNNER = "classifier.stablehlo", "weights.npz", "about.json", "run.py"
MOST_INSIDE = 1_900_000_000
"""Bytes of weights; a program has 2 GiB at most."""
EXACT, ROUNDED = 1e-6, 2e-2
"""How far probabilities may be apart: of float32 on a CPU, and else, where kernels differ."""


def write(wanted: Wanted, out: pathlib.Path) -> str:
    """Writes a folder with the program, what is known of it, and a script that runs it.

    The program takes uint8 images `[B, H, W, 3]` of any number B, and gives probabilities, float32
    `[B, K]`; with `weights_apart` it takes a dict of arrays before them. It is for the platforms
    `PLATFORMS`, is read back from disk and compared with the classifier before it has its name.

    Returns:
      A line that says what was written.

    Raises:
      UserError: there is no run, a platform cannot compute something, or the weights are too large
        to be inside.
    """
    program = make_program(wanted.classifier(), wanted.image_size)
    content = bytes(lower(program, wanted.weights_apart).serialize())
    apart = _npz(program.arrays) if wanted.weights_apart else None
    difference = _compared(program, content, apart)
    about = {**about_program(program, wanted.license), "platforms": PLATFORMS}
    named = {
        **({} if apart is None else {WEIGHTS: apart}),
        ABOUT: (json.dumps(about, indent=2) + "\n").encode(),
        RUNNER: pathlib.Path(__file__).with_name("run_stablehlo.py").read_bytes(),
        PROGRAM: content,
    }
    (out / WEIGHTS).unlink(missing_ok=True)  # of an earlier export
    for name, text in named.items():
        files.write(out / name, functools.partial(_fill, text))
    height, width = program.shape[:2]
    return (
        f"{out}: {PROGRAM}, {len(content):,} bytes, for {', '.join(PLATFORMS)}; images of {height} "
        f"x {width}; read back, its probabilities are at most {difference:.1e} from the run's"
    )


def _fill(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def lower(program: Program, weights_apart: bool = False) -> jax.export.Exported:
    """The program for all platforms, of any number of images.

    Raises:
      UserError: one of them cannot compute something of it, or the weights are too large.
    """
    size = sum(array.nbytes for array in program.arrays.values())
    if size > MOST_INSIDE and not weights_apart:
        raise UserError(
            f"the weights have {size:,} bytes, and a program with them inside at most "
            f"{MOST_INSIDE:,}: give --weights_apart"
        )
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *program.shape), jnp.uint8)

    def with_weights(x: jax.Array) -> jax.Array:
        # Else the compiler would compute with them what it can beforehand, and round otherwise.
        return program.apply(jax.lax.optimization_barrier(program.arrays), x)

    function: Any = program.apply if weights_apart else with_weights
    given = (program.arrays, images) if weights_apart else (images,)
    try:
        with portable():
            return jax.export.export(jax.jit(function), platforms=PLATFORMS)(*given)
    except (ValueError, NotImplementedError, TypeError) as error:
        raise UserError(
            f"this classifier cannot be a program for any number of images on all of "
            f"{', '.join(PLATFORMS)}: {brief(error)}. A function of your own has to work with any "
            "number of images, images.shape[0] and not len(images), without calls of the host"
        ) from error


def _compared(program: Program, content: bytes, apart: bytes | None) -> float:
    """How far the program is from the classifier, written to disk and read back."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / PROGRAM
        path.write_bytes(content)
        again = jax.export.deserialize(bytearray(path.read_bytes()))
    given = () if apart is None else (dict(np.load(io.BytesIO(apart), allow_pickle=False)),)
    most = EXACT if program.is_exact else ROUNDED
    return check_against(program, lambda images: again.call(*given, images), most)


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type] # names of arrays, not its own arguments
    return buffer.getvalue()
