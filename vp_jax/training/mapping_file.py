"""The output mapping of a run as a table to read."""

from __future__ import annotations

import pathlib

import jax

from vp_jax import distributed, heads
from vp_jax.training.forward import Parts
from vp_jax.training.setup import Experiment
from vp_jax.training.workdir import MAPPING

MAPS = ("indices", "weights", "kernel")  # parameters that say what each source class counts for


def write_mapping(experiment: Experiment, parts: Parts, workdir: pathlib.Path) -> None:
    """Writes `mapping.csv` if the head among the parts maps source classes to classes.

    Of several processes the main one does.
    """
    if not distributed.is_main():
        return
    params = parts.get("head", {})
    if experiment.head.head.takes != "logits" or not any(name in params for name in MAPS):
        return
    names = experiment.backbone.source_classes, experiment.task.class_names
    heads.write_csv(workdir / MAPPING, heads.mapping_rows(jax.device_get(params), *names))
