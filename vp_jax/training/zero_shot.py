"""The model before anything is trained: what a run is compared with."""

from __future__ import annotations

from typing import Any

from jax.sharding import Mesh

from vp_jax import heads
from vp_jax.step.forward import Parts
from vp_jax.step.sharding import put, replicated
from vp_jax.training.experiment import Experiment
from vp_jax.training.feed import Feed
from vp_jax.training.fitting.mapping_fit import Fit, make_fit


class ZeroShot:
    """The unprompted model with the head that a run begins with.

    A mapping that is fitted to counts is fitted to the unprompted training images. It is not kept
    in checkpoints, since it follows from the settings.

    Args:
      experiment: the run.
      frozen: its parts that do not change, on the devices.
      feed: of its batches.
      mesh: the devices.
      fit: fits mappings of such heads; members of a sweep may share one. None makes its own.
    """

    def __init__(
        self,
        experiment: Experiment,
        frozen: Parts,
        feed: Feed,
        mesh: Mesh,
        fit: Fit | None = None,
    ):
        self._experiment, self._frozen, self._mesh = experiment, frozen, mesh
        self._head: dict[str, Any] | None = None
        self._fit = fit
        if fit is None and experiment.tally is not None:
            self._fit = make_fit(experiment.tally, feed, mesh)

    def fit(self, parts: Parts) -> dict[str, Any]:
        """The mapping that fits a pass over the training images with any parts, on the host."""
        assert self._fit is not None
        return self._fit(parts, self._experiment.task.train, self._experiment.key)

    @property
    def exists(self) -> bool:
        """Whether it is a classifier: with a random linear layer it is not."""
        return self._experiment.head.meaningful

    def head(self) -> dict[str, Any]:
        """The parameters of its head, on the host."""
        if self._head is None:
            fitted = {} if self._experiment.tally is None else self.fit(self._parts({}))
            self._head = {**self._experiment.head.params, **fitted}
        return self._head

    def parts(self) -> Parts:
        """Its parameters, on the devices."""
        own, base = heads.split(self._experiment.head.head, self.head())
        return self._parts({"head": own, **({"base": base} if base else {})})

    def _parts(self, more: Parts) -> Parts:
        initial = {k: v for k, v in self._experiment.initial.items() if k == "backbone"}
        return {**self._frozen, **put({**initial, **more}, replicated(self._mesh))}
