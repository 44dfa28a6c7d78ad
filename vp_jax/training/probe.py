"""The linear probe as a run: cached features, L-BFGS, regularisation chosen on validation data."""

from __future__ import annotations

import pathlib
import sys
import time

import numpy as np

from vp_jax.heads import linear_probe
from vp_jax.training import features as features_lib
from vp_jax.training.checkpoints import Checkpoints
from vp_jax.training.evaluation import make_evaluate
from vp_jax.training.loop import Outcome, Progress, checkpoint_meta, fresh_state
from vp_jax.training.metrics import Metrics
from vp_jax.training.setup import Experiment
from vp_jax.training.sharding import make_mesh, put, replicated
from vp_jax.training.workdir import CHECKPOINTS, FEATURES
from vp_jax.training.zero_shot import ZeroShot


def run_probe(experiment: Experiment, workdir: pathlib.Path) -> Outcome:
    """Solves the linear probe, or takes it from the checkpoint of an earlier start.

    The checkpoint's step is the number of L-BFGS iterations of the chosen solution. A start that
    was killed leaves its features behind; the next one solves the same problems again.

    Raises:
      UserError: features are not finite, or the disk is full.
    """
    started = time.monotonic()
    config, task = experiment.config, experiment.task
    mesh = make_mesh()
    frozen = put(experiment.frozen, replicated(mesh))
    evaluate = make_evaluate(experiment.forward, experiment.key, config.batch_size, mesh)
    checkpoints = Checkpoints(workdir / CHECKPOINTS)
    state, progress = fresh_state(experiment), Progress()
    found = checkpoints.restore_latest(state, experiment.identity)
    if found is not None:
        state, meta = found
        progress = Progress(**meta["progress"])
    else:
        selection = getattr(task, config.select_on)
        compute = features_lib.make_compute(
            experiment.outputs, experiment.key, config.batch_size, mesh
        )

        def features(split):
            origin = {"of": repr((experiment.identity, config.seed, split.name, len(split)))}
            return features_lib.cached(
                workdir / FEATURES, split, lambda: compute(frozen, split), origin
            )

        clock = time.monotonic()
        train, val = features(task.train), features(selection)
        progress.train_seconds = time.monotonic() - clock
        progress.train_images = len(task.train) + len(selection)
        probe = _sweep(experiment, train, val, selection.labels, workdir)
        step = max(probe.iterations, 1)
        state = state._replace(step=np.int32(step), tuned={"head": probe.params})
        chosen = evaluate({**frozen, **put(state.tuned, replicated(mesh))}, selection)
        progress.record(step, {"loss": chosen.loss, "accuracy": chosen.accuracy})
        progress.done = True
        progress.wall_seconds = time.monotonic() - started
        checkpoints.save(state, checkpoint_meta(experiment, progress, step), step)
    checkpoints.close()
    features_lib.forget(workdir / FEATURES)
    best = put(state.tuned, replicated(mesh))
    return Outcome(best, state, progress, evaluate, frozen, ZeroShot(experiment, frozen, mesh))


def _sweep(
    experiment: Experiment,
    train: np.ndarray,
    val: np.ndarray,
    val_labels: np.ndarray,
    workdir: pathlib.Path,
) -> linear_probe.Probe:
    metrics, name = Metrics(workdir, 0), experiment.config.select_on
    tried = 0

    def progress(c: float, accuracy: float) -> None:
        nonlocal tried
        tried += 1
        print(f"linear probe, c = {c:.3g}: {name} accuracy {accuracy:.1%}", file=sys.stderr)
        metrics.write(tried, {"probe/c": c, f"{name}/accuracy": accuracy})

    try:
        probe, _, _ = linear_probe.sweep(
            train,
            experiment.task.train.labels,
            val,
            val_labels,
            len(experiment.task.class_names),
            solver=experiment.config.head.solver,
            progress=progress,
        )
    finally:
        metrics.close()
    return probe
