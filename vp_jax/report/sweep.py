"""The end of a sweep: its members tested and reported in their folders, and all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vp_jax.assembly.several.vary import label
from vp_jax.records import predictions_file
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.metrics import read_metrics
from vp_jax.records.names import RESULT
from vp_jax.report.comparison.compare import MOST
from vp_jax.report.comparison.entry import entry_of
from vp_jax.report.comparison.images import images_of
from vp_jax.report.comparison.page import comparison
from vp_jax.report.finish import write_predictor
from vp_jax.report.page.render import write_safely
from vp_jax.report.pictures.run_pictures import draw_prompt
from vp_jax.report.pictures.sweep_curves import sweep_curves
from vp_jax.report.result import Result, images_per_second, make_result
from vp_jax.report.run_page import on_test
from vp_jax.restored import of_experiment
from vp_jax.training.evaluation import Evaluation, measure
from vp_jax.training.final_test import FinalTest
from vp_jax.training.fitting.calibration import Calibration, calibrate
from vp_jax.training.loop import Loop
from vp_jax.training.start import Outcome

PICTURE = "sweep.png"


def finish_sweep(
    loop: Loop, outcomes: Sequence[Outcome], members: Sequence[Mapping[str, Any]]
) -> Result:
    """Evaluates all members on test, and writes all files but the sweep's `result.json`.

    Args:
      loop: that has trained them.
      outcomes: of the members, also of those that failed.
      members: what each has of its own, by the names of settings.

    Returns:
      What `result.json` of the sweep is to hold.
    """
    task, failed = loop.experiment.task, loop.has_failed
    zero_shots = loop.zero_shot_on("test")
    calibrates = loop.experiment.calibrates
    tuned, probabilities = loop.test(loop.split("test"), outcomes, calibrates)
    val = loop.test(loop.split("val"), outcomes, calibrates)[0] if calibrates else None
    extra = {
        name: loop.test([split] * len(members), outcomes)[0] for name, split in task.extra.items()
    }
    results: list[Result] = []
    calibrations: list[Calibration | None] = []
    for i, (outcome, member) in enumerate(zip(outcomes, members, strict=True)):
        own: Result = {"folder": loop.folders[i].name, "settings": dict(member)}
        if failed[i]:
            own["failed_step"] = int(outcome.last.failed_step)
        else:
            further = {name: found[i] for name, found in extra.items()}
            test = FinalTest(zero_shots[i], tuned[i], further)
            on_val = None if val is None else val[i]
            result, calibration = _finish_member(loop, i, outcome, test, on_val)
            own |= result
            calibrations.append(calibration)
        results.append(own)
    sweep_curves(
        loop.workdir / PICTURE,
        [read_metrics(folder) for folder in loop.folders],
        [label(member) for member in members],
        loop.settings.select_on,
    )
    write_comparison(loop, [label(member) for member in members], results)
    return {
        "members": results,
        "best_member": _best(loop, outcomes),
        "ensemble": _ensemble(loop, _mean(probabilities, calibrations)),
        "images_per_second": images_per_second(loop.progress),
        "wall_seconds": loop.progress.wall_seconds,
    }


def write_comparison(loop: Loop, labels: Sequence[str], results: Sequence[Result]) -> None:
    """Writes the page that compares the members that did not fail, where there are several."""
    entries = [
        entry_of(folder, name or folder.name, result)
        for folder, name, result in zip(loop.folders, labels, results, strict=True)
        if "failed_step" not in result
    ]
    if 2 <= len(entries) <= MOST:
        title = f"{len(entries)} runs at once"
        write_safely(
            loop.workdir,
            lambda: comparison(entries, title, images_of(loop.experiment.task)),
        )


def _finish_member(
    loop: Loop, number: int, outcome: Outcome, test: FinalTest, val: Evaluation | None
) -> tuple[Result, Calibration | None]:
    experiment, folder = loop.members.experiments[number], loop.folders[number]
    loop.save_member(number, outcome)
    calibration = None
    if val is not None:
        task = experiment.task
        calibration = calibrate(val, task.val.labels, test.tuned, task.test.labels)
    predictions_file.write(folder, on_test(experiment.task.test.labels, test, calibration))
    write_predictor(experiment, outcome, folder, calibration)
    if "prompt" in experiment.tune:
        draw_prompt(of_experiment(experiment, {**outcome.frozen, **outcome.best}), folder)
    result = make_result(experiment, outcome, test, calibration)
    workdir_lib.write_json(folder / RESULT, result)
    return result, calibration


def _best(loop: Loop, outcomes: Sequence[Outcome]) -> int:
    """The first member with the best evaluation on the split that is selected on."""
    by = [
        -1.0 if failed else outcome.progress.best[loop.metric]
        for outcome, failed in zip(outcomes, loop.has_failed, strict=True)
    ]
    return int(np.argmax(by))


def _mean(mean: np.ndarray, calibrations: Sequence[Calibration | None]) -> np.ndarray:
    """The mean of the members' probabilities, each calibrated, as `ensemble_predictions` has it.

    Args:
      mean: without temperatures; it stands where not all members have one.
      calibrations: of those that did not fail.
    """
    each = [found.probabilities for found in calibrations if found is not None]
    return np.mean(each, axis=0) if each and len(each) == len(calibrations) else mean


def _ensemble(loop: Loop, probabilities: np.ndarray) -> Result:
    test = loop.experiment.task.test
    predictions = probabilities.argmax(axis=-1)
    return {
        "members": int((~loop.has_failed).sum()),
        "test_accuracy": float((predictions == test.labels).mean()),
        "test_metric": measure(loop.experiment.task, test, predictions),
    }
