"""The temperature of a run, when training is over."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from vp_jax import distributed
from vp_jax.heads import calibration_error, fit_temperature
from vp_jax.training.evaluation import Evaluation, sureness

DIGITS = 6
"""After the point, of a calibration error."""


class Calibration(NamedTuple):
    """What dividing the logits of a run by one number does.

    Attributes:
      temperature: the number.
      before, after: the calibration error on test without and with it.
      probabilities: of the classes on test with it, float32 `[N, K]`.
      confidence, of_label: as those of `Evaluation` on test, with it.
    """

    temperature: float
    before: float
    after: float
    probabilities: np.ndarray
    confidence: np.ndarray
    of_label: np.ndarray


def calibrate(
    val: Evaluation, val_labels: np.ndarray, test: Evaluation, test_labels: np.ndarray
) -> Calibration | None:
    """Fits the temperature of a run to its validation images, and measures it on test.

    Where every validation image is answered rightly, the likelihood only grows as the temperature
    falls and says nothing of it: it stays 1. Four digits of it are kept: there are no more in some
    hundred images, and runs on other devices, whose logits are rounded otherwise, have the same.

    Args:
      val, test: the run on the two splits, with logits.
      val_labels, test_labels: int, `[N]` of each.

    Returns:
      None where logits are not finite, which is told: nothing can be fitted to them.
    """
    assert val.logits is not None and test.logits is not None
    if not (np.isfinite(val.logits).all() and np.isfinite(test.logits).all()):
        distributed.say("no temperature was fitted: some logits are not finite")
        return None
    temperature = 1.0
    if (val.predictions != val_labels).any():
        found = fit_temperature(val.logits, val_labels)
        temperature = float(f"{distributed.of_main(np.float64(found)):.4g}")
    plain, divided = (np.asarray(jax.nn.softmax(test.logits / t)) for t in (1.0, temperature))
    before, after = (round(calibration_error(p, test_labels), DIGITS) for p in (plain, divided))
    confidence, of_label = map(np.asarray, sureness(divided, test_labels))
    return Calibration(temperature, before, after, divided, confidence, of_label)
