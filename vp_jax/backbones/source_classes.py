"""The names of the classes that pretrained classifiers know."""

from __future__ import annotations

import functools
import pathlib

from vp_jax import errors

FOLDER = pathlib.Path(__file__).parent / "source_class_names"
NAMES = ("imagenet1k", "imagenet21k", "cifar10")


@functools.cache
def source_classes(name: str) -> tuple[str, ...]:
    """The names, in the order of the logits.

    Args:
      name: of the set: one of `NAMES`.

    Raises:
      UserError: there is no such set.
    """
    if name not in NAMES:
        raise errors.unknown("set of source classes", name, NAMES)
    return tuple((FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines())
