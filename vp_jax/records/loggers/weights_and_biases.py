"""A run in Weights & Biases, online or offline as its own variables say."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from vp_jax.errors import UserError, brief
from vp_jax.records.loggers.base import About, Conclusion

PROJECT = "vp_jax"
STEP = "step"
"""The metric that all others are drawn over. Its own count of steps is that of rows, of which a run
may have several at a step."""


class WeightsAndBiases:
    """Follows a run as one run of Weights & Biases, in all of its starts.

    `WANDB_MODE`, `WANDB_PROJECT`, `WANDB_ENTITY` and the others mean what they do elsewhere. Its
    own files go to `wandb` in the workdir.

    Raises:
      UserError: it cannot begin.
    """

    def __init__(self, about: About):
        import wandb

        project, _, known = about.id.rpartition("/")
        project = project or os.environ.get("WANDB_PROJECT") or PROJECT
        mode = os.environ.get("WANDB_MODE") or "online"  # as it is now, not at its first use
        try:
            self._run = wandb.init(
                project=project,
                id=known or secrets.token_hex(4),
                mode=mode,
                resume="allow" if mode == "online" else None,
                name=about.name,
                group=about.group or None,
                config=dict(about.settings),
                dir=str(about.workdir.absolute()),
                reinit="create_new",
                settings=wandb.Settings(console="off", silent=True, init_timeout=60),
            )
        except Exception as error:
            reason = brief(error).rstrip(".")
            raise UserError(
                f"Weights & Biases cannot follow the run in {about.workdir}: {reason}; log in by "
                "`wandb login`, or set WANDB_MODE=offline, or leave wandb out of --config.logger"
            ) from error
        self._picture = wandb.Image
        self.id = f"{project}/{self._run.id}"
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP)

    def write(self, number: int, step: int, values: Mapping[str, float]) -> None:
        """Takes a row of metrics; one that it has already is passed over there."""
        self._run.log({STEP: step, **values}, step=number)

    def conclude(self, end: Conclusion) -> None:
        """Takes what the run came to: into its summary, and the pictures among its media."""
        shown: dict[str, Any] = {n: self._picture(str(p)) for n, p in end.pictures.items()}
        self._run.log({STEP: end.step, **end.scores, **shown}, step=end.rows)

    def close(self, finished: bool) -> None:
        """Hands on all that it has."""
        self._run.finish(exit_code=0 if finished else 1)
