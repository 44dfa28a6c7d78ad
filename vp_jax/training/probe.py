"""The linear probe as a run: cached features, L-BFGS, regularisation chosen on validation data."""

from __future__ import annotations

import time

import jax.numpy as jnp
import numpy as np

from vp_jax import data, distributed
from vp_jax.heads.fit import linear_probe
from vp_jax.host.progress_bar import waiting
from vp_jax.records.metrics import Metrics
from vp_jax.records.names import FEATURES
from vp_jax.step.sharding import put
from vp_jax.training.fitting import features as features_lib
from vp_jax.training.start import Outcome, Start


class LinearProbe(Start):
    """One start of a linear probe, fresh or finished before.

    The checkpoint's step is the number of L-BFGS iterations of the chosen solution. A start that
    was killed leaves its features behind; the next one solves the same problems again.
    """

    def run(self) -> list[Outcome]:
        """Solves the linear probe, unless an earlier start has.

        Raises:
          UserError: features are not finite, or the disk is full.
        """
        if self.is_fresh:
            probe = self._sweep(self._features(self.experiment.task.train))
            self.step = max(probe.iterations, 1)
            tuned = {"head": put(distributed.of_main(probe.params), self.everywhere)}
            self.state = self.state._replace(step=jnp.int32(self.step), tuned=tuned)
            chosen = self.evaluate(self.parts(self.state), self.split(self.settings.select_on)[0])
            self.progress.record(self.step, self.measured(chosen), self.metric)
            self.progress.done = True
        with self.checkpoints:
            self.save()
            self.checkpoints.wait()
            features_lib.forget(self.workdir / FEATURES)
            return self.outcomes()

    def _features(self, split: data.Split) -> np.ndarray:
        experiment = self.experiment
        compute = features_lib.make_compute(
            experiment.outputs, experiment.key, self.feed, self.mesh
        )

        def timed() -> np.ndarray:
            start = time.monotonic()
            features = compute(self.frozen, split)
            self.progress.train_seconds += time.monotonic() - start
            self.progress.train_images += len(split)
            return features

        known = experiment.task.contents.get(split.name)
        examples = len(split) if known is None else known.digests(ordered=True)
        origin = {"of": repr((experiment.identity, experiment.seed, split.name, examples))}
        return features_lib.cached(self.workdir / FEATURES, split, timed, origin)

    def _sweep(self, train: np.ndarray) -> linear_probe.Probe:
        name = self.settings.select_on
        (selection,) = self.split(name)
        metrics = Metrics(self.workdir, -1, self.followers[0])
        tried = 0

        def progress(c: float, accuracy: float) -> None:
            nonlocal tried
            tried += 1
            distributed.say(f"linear probe, c = {c:.3g}: {name} accuracy {accuracy:.1%}")
            metrics.write(tried, {"probe/c": c, f"{name}/accuracy": accuracy})

        try:
            features = self._features(selection)
            with waiting("solving the linear probe for the first of several regularisations"):
                probe, _, _ = linear_probe.sweep(
                    train,
                    self.experiment.task.train.labels,
                    features,
                    selection.labels,
                    len(self.experiment.task.class_names),
                    solver=self.experiment.solver or "auto",
                    progress=progress,
                )
        finally:
            metrics.close()
        return probe
