"""The end of a run: tested once, and what people look at written into its folder."""

from __future__ import annotations

import pathlib

from vp_jax.assembly.trained import to_keep
from vp_jax.host.progress_bar import waiting
from vp_jax.records import classifier_file, predictions_file
from vp_jax.records.mapping_file import write_mapping
from vp_jax.report.pictures.run_pictures import draw_run
from vp_jax.report.result import Result, make_result
from vp_jax.report.run_page import on_test, write_page
from vp_jax.step.forward import head_params
from vp_jax.training.experiment import Experiment
from vp_jax.training.final_test import FinalTest, final_test, tuned_parts
from vp_jax.training.fitting.calibration import Calibration, calibrate
from vp_jax.training.start import Outcome


def finish(experiment: Experiment, outcome: Outcome, workdir: pathlib.Path) -> Result:
    """Evaluates a run on test, and writes all of its files but `result.json`.

    All processes evaluate, the main one writes.

    Returns:
      What `result.json` is to hold; whoever calls this writes it, as the last file of the run.
    """
    test = final_test(experiment, outcome)
    calibration = calibrated(experiment, outcome, test)
    write_predictor(experiment, outcome, workdir, calibration)
    if outcome.progress.best_step >= 0:
        with waiting("drawing the pictures of the run"):
            draw_run(experiment, outcome, test, workdir)
    result = make_result(experiment, outcome, test, calibration)
    found = on_test(experiment.task.test.labels, test, calibration)
    predictions_file.write(workdir, found)
    with waiting("writing the page of the run"):
        write_page(experiment, outcome, found, result, workdir)
    return result


def calibrated(experiment: Experiment, outcome: Outcome, test: FinalTest) -> Calibration | None:
    """The temperature of a run; None of one that is not to have it, or has nothing to fit it to."""
    if not experiment.calibrates:
        return None
    task = experiment.task
    val = outcome.evaluate(tuned_parts(experiment, outcome), task.val, logits=True)
    return calibrate(val, task.val.labels, test.tuned, task.test.labels)


def write_predictor(
    experiment: Experiment,
    outcome: Outcome,
    workdir: pathlib.Path,
    calibration: Calibration | None = None,
) -> None:
    """Writes what a run predicts with and no checkpoint has, and `mapping.csv` where its head maps
    source classes."""
    write_mapping(
        experiment.head.head,
        outcome.best,
        experiment.backbone.source_classes,
        experiment.task.class_names,
        workdir,
    )
    head = head_params(tuned_parts(experiment, outcome))
    kept = to_keep(experiment, head)
    if calibration is not None:
        kept = kept._replace(temperature=calibration.temperature)
    classifier_file.write(workdir, kept)
