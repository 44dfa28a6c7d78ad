"""The accuracy of a changed classifier on the test split of its run."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

from vp_jax.assembly.setup import setup_again
from vp_jax.classifier import Classifier
from vp_jax.retest import retest
from vp_jax.training.evaluation import make_evaluate
from vp_jax.training.start import feed_of


def accuracy_on_test(
    workdir: pathlib.Path,
    weights: str | None,
    data_dir: str | None,
    change: Callable[[Classifier], Classifier],
) -> dict[str, Any]:
    """`test_accuracy` of what `change` makes of a run's classifier, `run_test_accuracy` of the run,
    and `test_examples`.

    Raises:
      UserError: the data or weights are not there, or not the run's.
    """
    found = retest(setup_again(workdir, weights, data_dir), workdir)
    experiment, changed = found.experiment, change(found.classifier)
    task, mesh = experiment.task, experiment.mesh
    feed, forward = feed_of(experiment, mesh), changed.logits(task.resized)
    evaluate = make_evaluate(forward, changed.key, task, feed, mesh)
    return {
        "test_accuracy": evaluate(changed.parts, task.test).accuracy,
        "run_test_accuracy": found.tuned().accuracy,
        "test_examples": len(task.test),
    }
