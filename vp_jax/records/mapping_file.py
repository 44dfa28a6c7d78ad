"""The output mapping of a run as a table to read."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import jax

from vp_jax import distributed, heads
from vp_jax.records.names import MAPPING
from vp_jax.step.forward import Parts

MAPS = ("indices", "weights", "kernel")  # parameters that say what each source class counts for


def write_mapping(
    head: heads.Head,
    parts: Parts,
    source_classes: Sequence[str],
    class_names: Sequence[str],
    workdir: pathlib.Path,
) -> None:
    """Writes `mapping.csv` if the head, with its parameters, maps source classes to classes.

    Of several processes the main one does.
    """
    if not distributed.is_main():
        return
    params = parts.get("base") or parts.get("head", {})
    if head.takes != "logits" or not any(name in params for name in MAPS):
        return
    heads.write_csv(
        workdir / MAPPING, heads.mapping_rows(jax.device_get(params), source_classes, class_names)
    )
