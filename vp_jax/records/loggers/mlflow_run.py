"""A run in MLflow, in the store that its own variables name."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from vp_jax.errors import UserError, brief
from vp_jax.records.loggers.base import About, Conclusion

EXPERIMENT = "vp_jax"
SEND_SECONDS = 2.0
_ROWS = 500  # metrics that are sent at once at most; MLflow takes 1,000
_LONGEST = 500  # letters of a parameter


class MlflowRun:
    """Follows a run as one run of MLflow, in all of its starts.

    `MLFLOW_TRACKING_URI`, `MLFLOW_EXPERIMENT_NAME` and the others mean what they do elsewhere.
    Rows are sent together, every few seconds.

    Raises:
      UserError: the store does not answer, or does not have the run that an earlier start began.
    """

    def __init__(self, about: About):
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        self._metric, self._sent = Metric, time.monotonic()
        self._pending: list[Any] = []
        try:
            self._client = MlflowClient()
            self.id = about.id or self._begin(about)
            self._client.get_run(self.id)
            self._client.update_run(self.id, status="RUNNING")
        except Exception as error:
            known = f", in which an earlier start has begun {about.id}" if about.id else ""
            raise UserError(
                f"MLflow cannot follow the run in {about.workdir}{known}: {brief(error)}; set "
                "MLFLOW_TRACKING_URI to its store, or leave mlflow out of --config.logger"
            ) from error

    def _begin(self, about: About) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        tags = {"group": about.group} if about.group else {}
        run = self._client.create_run(experiment, run_name=about.name, tags=tags)
        for key, value in about.settings.items():
            text = value if isinstance(value, str) else json.dumps(value)
            self._client.log_param(run.info.run_id, key, text[:_LONGEST])
        return str(run.info.run_id)

    def write(self, number: int, step: int, values: Mapping[str, float]) -> None:
        """Takes a row of metrics."""
        del number
        now = int(1000 * time.time())
        self._pending += [self._metric(name, x, now, step) for name, x in values.items()]
        if time.monotonic() - self._sent > SEND_SECONDS:
            self._send()

    def _send(self) -> None:
        pending, self._pending, self._sent = self._pending, [], time.monotonic()
        for begin in range(0, len(pending), _ROWS):
            self._client.log_batch(self.id, metrics=pending[begin : begin + _ROWS])

    def conclude(self, end: Conclusion) -> None:
        """Takes what the run came to: as metrics, and the pictures as artifacts."""
        self.write(end.rows, end.step, end.scores)
        self._send()
        for path in end.pictures.values():
            self._client.log_artifact(self.id, str(path))

    def close(self, finished: bool) -> None:
        """Hands on all that it has."""
        self._send()
        self._client.set_terminated(self.id, "FINISHED" if finished else "KILLED")
