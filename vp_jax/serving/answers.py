"""What was found of images, as texts and numbers for JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from vp_jax.errors import UserError
from vp_jax.report.predictions import best
from vp_jax.serving.model import Found


def answer(
    name: str, found: Found | UserError, class_names: Sequence[str], top: int
) -> dict[str, Any]:
    """What is said of one image.

    Args:
      name: of its file.
      found: of it, or why it could not be read.
      class_names: in the order of the labels.
      top: how many classes are named, the most likely first.
    """
    if isinstance(found, UserError):
        return {"image": name, "error": str(found)}
    said: dict[str, Any] = {
        "image": name,
        "predictions": predictions(found.probabilities, class_names, top),
    }
    if found.pictures:
        plain, *seen = found.pictures
        said["before"] = (
            None if found.before is None else predictions(found.before, class_names, top)
        )
        said["pictures"] = {
            "before": data_url(plain),
            "with_prompt": data_url(seen[0]) if seen else None,
        }
    return said


def predictions(row: np.ndarray, class_names: Sequence[str], top: int) -> list[dict[str, Any]]:
    """The most likely classes of probabilities `[K]`, best first."""
    return [
        {"class": class_names[label], "label": label, "probability": round(value, 6)}
        for label, value in zip(*best(row, top), strict=True)
    ]


def data_url(picture: np.ndarray) -> str:
    """A picture as the text that a page shows; several views lie side by side.

    Args:
      picture: float `[S, S, 3]` or `[V, S, S, 3]`; what is beyond 0 and 1 is black or white.
    """
    from PIL import Image

    if picture.ndim == 4:
        picture = np.concatenate(list(picture), axis=1)
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
