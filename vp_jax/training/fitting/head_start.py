"""A head that is fitted before the first step, to what it sees of images then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vp_jax import data, distributed, heads
from vp_jax.heads.fit import linear_probe
from vp_jax.host.progress_bar import waiting
from vp_jax.step.forward import Parts
from vp_jax.training.experiment import Experiment

Compute = Callable[[Parts, data.Split], np.ndarray]
"""From parts and a split to what the head reads of all images in order, `[N, inputs]` float32."""

BELOW = 10.0
"""How far below all others the bias of a class without training images begins."""


def fit_head(experiment: Experiment, parts: Parts, compute: Compute) -> dict[str, Any]:
    """The parameters of a head that train, fitted on the training images with the prompt as it is.

    A layer is the linear probe of `heads.fit.linear_probe`, a residual that of
    `heads.fit_residual`; how strong the regularisation is, validation images choose. Images are not
    augmented.

    Args:
      experiment: whose head it is.
      parts: all parameters at the start.
      compute: what the head reads.

    Raises:
      UserError: features are not finite, or there are too few.
    """
    task, head = experiment.task, experiment.head.head
    train, val = (compute(parts, split) for split in (task.train, task.val))
    if head.own:
        base = {**experiment.head.params, **parts.get("base", {})}
        apply = jax.jit(head.apply)
        logits = [np.asarray(apply(base, x)) for x in (train, val)]
        with waiting("fitting the head to the training images"):
            found = heads.fit_residual(logits[0], task.train.labels, logits[1], task.val.labels)
        loss = dict(found.tried)
        distributed.say(
            f"the head begins fitted: cross-entropy on val {loss[found.c]:.3f}, before "
            f"{loss[0.0]:.3f} (c = {found.c:g})"
        )
        return distributed.of_main({"residual": found.residual})
    classes = len(task.class_names)
    with waiting("fitting the head to the training images"):
        labels = task.train.labels, task.val.labels
        probe, c, tried = linear_probe.sweep(train, labels[0], val, labels[1], classes)
    distributed.say(
        f"the head begins as a linear probe: accuracy on val {dict(tried)[c]:.1%} (c = {c:.3g})"
    )
    return distributed.of_main({**probe.params, "bias": _finite(probe.params["bias"])})


def _finite(bias: np.ndarray) -> np.ndarray:
    """A bias that can be learned: of a class without images it is far below, not at -1e9."""
    absent = bias == linear_probe.ABSENT
    return np.where(absent, bias[~absent].min() - BELOW, bias).astype(np.float32)
