"""The page of a run: at its end, and of a workdir later."""

from __future__ import annotations

import contextlib
import pathlib

import numpy as np

from vp_jax import data, distributed
from vp_jax.assembly.setup import setup_again
from vp_jax.backbones import Backbone
from vp_jax.classifier import Classifier
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.records import predictions_file
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.names import PAGE
from vp_jax.records.predictions_file import Answers, OnTest
from vp_jax.report.looks.choice import Choice, choose
from vp_jax.report.looks.shown import Shown, show
from vp_jax.report.page.material import Material, from_folder
from vp_jax.report.page.page import page
from vp_jax.report.page.render import write, write_safely
from vp_jax.report.result import Result
from vp_jax.restored import load, of_experiment
from vp_jax.retest import retest
from vp_jax.step.forward import Parts
from vp_jax.training.evaluation import Evaluation
from vp_jax.training.experiment import Experiment
from vp_jax.training.final_test import FinalTest, tuned_parts
from vp_jax.training.fitting.calibration import Calibration
from vp_jax.training.start import Outcome

NO_DATA = (
    "The test images were not read, so that none are shown; python -m vp_jax.report reads them."
)
NO_ANSWERS = (
    "What the run answered on single test images is not known here: it was trained by a version "
    "that did not keep it, and its data were not read."
)
SEVERAL = (
    "Several processes trained this run; python -m vp_jax.report, by one, adds where it looks."
)


def answers(found: Evaluation) -> Answers:
    """What of an evaluation is kept of each image."""
    return Answers(found.predictions, found.confidence, found.of_label)


def on_test(labels: np.ndarray, test: FinalTest, calibration: Calibration | None) -> OnTest:
    """What is kept of the final test, with the probabilities of a calibrated run."""
    tuned = answers(test.tuned)
    if calibration is not None:
        tuned = Answers(tuned.predictions, calibration.confidence, calibration.of_label)
    return OnTest(labels, tuned, None if test.zero_shot is None else answers(test.zero_shot))


def write_page(
    experiment: Experiment,
    outcome: Outcome,
    found: OnTest,
    result: Result,
    workdir: pathlib.Path,
) -> None:
    """Writes `report.html` at the end of a run; the main process does.

    What goes wrong in drawing is told, and ends no run; a full disk does.
    """
    if not distributed.is_main():
        return
    classifier = of_experiment(experiment, tuned_parts(experiment, outcome))
    before = outcome.zero_shot.parts() if outcome.zero_shot.exists else None
    missing = (SEVERAL,) if distributed.count() > 1 else ()

    def draw() -> str:
        choice, shown = _shown(classifier, before, experiment.task.test, found, not missing)
        more = {"tested": found, "choice": choice, "shown": shown, "missing": missing}
        return page(from_folder(workdir, result, classifier, **more))

    write_safely(workdir, draw)


def _shown(
    classifier: Classifier, before: Parts | None, test: data.Split, found: OnTest, looks: bool
) -> tuple[Choice, Shown]:
    choice = choose(found)
    looked_at = choice.examples if looks else np.zeros(0, int)
    return choice, show(classifier, before, test, choice.every(), looked_at)


def make_page(
    workdir: str | pathlib.Path,
    weights: str | None = None,
    data_dir: str | None = None,
    read_data: bool = True,
    backbone: Backbone | None = None,
) -> pathlib.Path:
    """Writes the page of a finished run anew, and returns its path.

    Predictions on test are those that the run has kept; a run of a version that kept none is
    tested again.

    Args:
      workdir: of the run; of a sweep, the folder of a member.
      weights: where the backbone's weights are now, if not where they were.
      data_dir: likewise for the data.
      read_data: whether the data are read; without, the page has no test images.
      backbone: the user's own one, if the run was made with one.

    Raises:
      UserError: there is no finished run, or something of it is missing or damaged.
    """
    folder = files.expanded(workdir)
    workdir_lib.read_settings(folder)
    result = workdir_lib.read_result(folder)
    if result is None or "test_accuracy" not in result:
        raise UserError(f"the run in {folder} has not ended; give the command that began it again")
    if read_data:
        material = _with_data(folder, result, setup_again(folder, weights, data_dir, backbone))
    else:
        material = _without_data(folder, result, weights, backbone)
    write(folder / PAGE, page(material))
    return folder / PAGE


def _without_data(
    folder: pathlib.Path, result: Result, weights: str | None, backbone: Backbone | None
) -> Material:
    found = predictions_file.read(folder)
    missing = (NO_DATA,) if found is not None else (NO_DATA, NO_ANSWERS)
    classifier = load(folder, weights=weights, backbone=backbone) if result["tune"] else None
    return from_folder(folder, result, classifier, tested=found, missing=missing)


def _keep(folder: pathlib.Path, found: OnTest) -> None:
    """Keeps the answers of a run of a version that did not; a folder that cannot be written is left
    as it is."""
    with contextlib.suppress(PermissionError):
        predictions_file.write(folder, found)


def _with_data(folder: pathlib.Path, result: Result, experiment: Experiment) -> Material:
    again = retest(experiment, folder)
    found, test = predictions_file.read(folder), again.experiment.task.test
    if found is None or not np.array_equal(found.labels, test.labels):
        before = again.before()
        tuned = again.tuned() if before is None or result["tune"] else before
        is_new = found is None
        found = OnTest(test.labels, answers(tuned), before and answers(before))
        if is_new:
            _keep(folder, found)
    choice, shown = _shown(again.classifier, again.start, test, found, True)
    return from_folder(folder, result, again.classifier, tested=found, choice=choice, shown=shown)
