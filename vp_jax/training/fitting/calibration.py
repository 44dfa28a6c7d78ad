"""The temperature of a run, when training is over."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from vp_jax import data, distributed
from vp_jax.heads import calibration_error, fit_temperature
from vp_jax.step.forward import Parts
from vp_jax.training.evaluation import sureness
from vp_jax.training.experiment import Experiment
from vp_jax.training.feed import HostFeed
from vp_jax.training.fitting.features import make_compute


class Calibration(NamedTuple):
    """What dividing the logits of a run by one number does.

    Attributes:
      temperature: the number.
      before, after: the calibration error on test without and with it.
      confidence, of_label: as those of `Evaluation` on test, with it.
    """

    temperature: float
    before: float
    after: float
    confidence: np.ndarray
    of_label: np.ndarray


def calibrate(experiment: Experiment, parts: Parts) -> Calibration:
    """Fits the temperature of a run to its validation images, and measures it on test.

    Args:
      experiment: the run.
      parts: all of its parameters, on the devices; without a prompt they are unprompted.
    """
    feed = HostFeed(experiment.loop.batch_size, 0, experiment.mesh, workers=0)
    compute = make_compute(experiment.forward, experiment.key, feed, experiment.mesh, "answers")

    def logits(split: data.Split) -> np.ndarray:
        return compute(parts, split)

    val, test = experiment.task.val, experiment.task.test
    found = fit_temperature(logits(val), val.labels)
    temperature = float(distributed.of_main(np.float64(found)))
    z = logits(test)
    before, after = (np.asarray(jax.nn.softmax(z / t)) for t in (1.0, temperature))
    confidence, of_label = map(np.asarray, sureness(after, test.labels))
    return Calibration(
        temperature,
        calibration_error(before, test.labels),
        calibration_error(after, test.labels),
        confidence,
        of_label,
    )
