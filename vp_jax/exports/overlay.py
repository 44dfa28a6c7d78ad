"""A prompt that covers pixels, as an image to lay over others."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from vp_jax.errors import UserError, brief
from vp_jax.exports.covering import Cover, cover_of, covered
from vp_jax.exports.measured import accuracy_on_test
from vp_jax.exports.wanted import Wanted
from vp_jax.host import files


def write(wanted: Wanted, out: pathlib.Path) -> str:
    """Writes a PNG, RGBA, of the size that the backbone takes.

    Whoever uses it resizes the short side of an RGB image to `short_side` of its text `vp_jax`
    (JSON), crops the centre to `inner`, pastes that in the middle of a black square of `canvas`
    pixels and lays the PNG over it: what comes out is the image that the model is to see, before
    the normalisation of its own. `test_accuracy` there is that of these 8 bits, on the run's own
    test split; None with `not_measured`, the reason, where the data are not there.

    Returns:
      A line that says what was written, with the accuracy.

    Raises:
      UserError: there is no run, or its prompt is no overlay, with the reason.
    """
    classifier = wanted.classifier()
    cover = cover_of(classifier)
    about: dict[str, Any] = {
        "canvas": cover.alpha.shape[0],
        "inner": classifier.rule.image_size,
        "short_side": classifier.rule.short_side,
        "method": classifier.rule.method,
        "prompt": str(classifier.prompt),
        "backbone": classifier.backbone.fingerprint,
        "values_clipped": cover.clipped,
        **_measured(wanted, cover),
    }
    files.write(out, lambda file: _image(cover).save(file, "PNG", pnginfo=_texts(about)))
    return f"{out}: {_summary(about)}"


def _measured(wanted: Wanted, cover: Cover) -> dict[str, Any]:
    """Accuracies on test of the 8 bits and of the run; None and why where the data are absent."""
    if wanted.place.is_file():
        why = "a bundle does not know the data; give the workdir"
        return {"test_accuracy": None, "not_measured": why}
    try:
        found = accuracy_on_test(
            wanted.place, wanted.weights, wanted.data_dir, lambda own: covered(own, cover)
        )
    except UserError as error:
        return {"test_accuracy": None, "not_measured": brief(error)}
    return found


def _image(cover: Cover) -> Any:
    from PIL import Image

    rgba = np.concatenate([cover.colour, cover.alpha], axis=-1)
    return Image.fromarray(np.rint(255 * rgba).astype(np.uint8), "RGBA")


def _texts(about: dict[str, Any]) -> Any:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("vp_jax", json.dumps(about))
    return texts


def _summary(about: dict[str, Any]) -> str:
    """What was written, in words."""
    text = (
        f"RGBA, {about['canvas']} x {about['canvas']}, over the image of {about['inner']} pixels "
        "in its middle"
    )
    if about["values_clipped"]:
        text += f"; {about['values_clipped']:.1%} of its values were outside [0, 1] and are clipped"
    if about["test_accuracy"] is None:
        return f"{text}; its accuracy was not measured: {about['not_measured']}"
    return (
        f"{text}; test accuracy of these 8 bits {about['test_accuracy']:.1%}, of the run "
        f"{about['run_test_accuracy']:.1%}, on {about['test_examples']:,} images"
    )
