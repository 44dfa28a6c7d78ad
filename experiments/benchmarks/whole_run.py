"""What users run, on a benchmark's problem: a training by `runs.train`, and passes over a split."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from problem import LEARNING_RATE, MOMENTUM, Problem
from synthetic import make_npz

from vp_jax import config as config_lib
from vp_jax import runs
from vp_jax.assembly.setup import setup
from vp_jax.backbones import Backbone
from vp_jax.step.fsdp import put_frozen
from vp_jax.step.sharding import put, replicated
from vp_jax.training.start import evaluate_of, feed_of


class WholeRuns:
    """Trainings and evaluations of a problem's model on noise images of its own size, in one file.

    Args:
      problem: whose model, texts, batch size and size of the prompt are taken.
      steps: of a training; the first compiles and is not timed.
      folder: of the file and of the runs.
    """

    def __init__(self, problem: Problem, steps: int, folder: pathlib.Path):
        self._backbone = with_tokens(problem)
        self._folder, self._numbers = folder, itertools.count()
        path = make_npz(
            folder / "noise.npz",
            steps * problem.batch,
            problem.batch,
            problem.classes,
            problem.backbone.image_size,
        )
        self._config = settings(problem, path)
        self._evaluate = self._make_evaluate()
        self._evaluate()  # compiles

    def train(self) -> float:
        """Images/s of a whole run, as its `result.json` has them.

        Raises:
          RuntimeError: the images were not resident, which they are for small tasks.
        """
        folder = self._folder / f"run_{next(self._numbers)}"
        with contextlib.redirect_stderr(io.StringIO()):
            result = runs.train(self._config, folder, self._backbone)
        if result["pipeline"] != "resident":
            raise RuntimeError(f"the pipeline was {result['pipeline']}")
        return result["images_per_second"]

    def evaluate(self) -> float:
        """Images/s of a pass over the training split, as a run makes them after its epochs."""
        start = time.perf_counter()
        images = self._evaluate()
        return images / (time.perf_counter() - start)

    def _make_evaluate(self) -> Callable[[], int]:
        with contextlib.redirect_stderr(io.StringIO()):
            experiment = setup(self._config, self._folder / "evaluated", self._backbone)
        mesh, split = experiment.mesh, experiment.task.train
        evaluate = evaluate_of(experiment, feed_of(experiment, mesh), mesh)
        parts = {
            **put_frozen(experiment.frozen, mesh),
            **put(experiment.initial, replicated(mesh)),
        }

        def a_pass() -> int:
            return len(evaluate(parts, split).predictions)

        return a_pass


def make(problem: Problem, steps: int) -> Callable[[str], float]:
    """A function from `"train"` or `"evaluate"` to the images/s of one such run."""
    folder = tempfile.TemporaryDirectory()
    whole = WholeRuns(problem, steps, pathlib.Path(folder.name))

    def call(what: str, folder: Any = folder) -> float:  # The folder lives as long as the function.
        return getattr(whole, what)()

    return call


def settings(problem: Problem, path: pathlib.Path) -> ConfigDict:
    """An epoch over a file, the rest of it as in the bare step."""
    config = config_lib.default()
    config.backbone.name = problem.backbone.name
    config.task.name, config.task.data_dir = "npz", str(path)
    config.prompt = f"normalize | pad({problem.pad})"
    config.head.name = "first_k" if problem.tokens is None else "text"
    config.batch_size, config.epochs = problem.batch, 1
    config.optimizer.learning_rate, config.optimizer.momentum = LEARNING_RATE, MOMENTUM
    config.schedule.name = "constant"
    return config


def with_tokens(problem: Problem) -> Backbone:
    """The backbone, whose tokenizer knows the problem's texts only."""
    if problem.tokens is None:
        return problem.backbone

    def tokenizer(texts: Any) -> np.ndarray:
        return problem.tokens[: len(texts)]

    return dataclasses.replace(problem.backbone, tokenizer=tokenizer)
