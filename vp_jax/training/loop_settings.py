"""What a train loop has to know beside the parts that it trains."""

from __future__ import annotations

import dataclasses
from typing import Literal

from vp_jax.step.loss import Loss


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """How long a run trains, and when it evaluates, writes and saves.

    Attributes:
      epochs: passes over the training split.
      batch_size: examples of a step, of all devices together.
      eval_every_epochs: epochs between two evaluations; the last epoch has one always.
      select_on: the split by which the best epoch is chosen.
      patience: evaluations without a better one before stopping early; 0 never stops.
      log_every_steps: between two rows of metrics within an epoch; its last step is always logged.
      checkpoint_every_steps: besides every evaluation; 0: only then.
      call_seconds: of training in one go; progress and signals wait for its end.
      fits_head: whether the head is fitted to the training images before the first step.
      calibrates: whether a temperature is fitted to the validation images at the end; None: where
        there are some.
      label_smoothing: what all classes have of a training label, in [0, 1).
      teacher: workdir of a finished run whose answers are learned; empty for none.
      teacher_share: of the loss that is what the teacher says, in (0, 1].
      teacher_temperature: by which its logits and these are divided for that.
      workers: processes that prepare training batches on the host; 0 for threads.
      accept_changed_data: whether to go on with other images than the run began with.
      logger: who else follows the run, by the names of `records.loggers`.
    """

    epochs: int
    batch_size: int
    eval_every_epochs: int = 1
    select_on: Literal["val", "test"] = "val"
    patience: int = 0
    log_every_steps: int = 20
    checkpoint_every_steps: int = 0
    call_seconds: float = 1.0
    fits_head: bool = False
    calibrates: bool | None = None
    label_smoothing: float = 0.0
    teacher: str = ""
    teacher_share: float = 0.5
    teacher_temperature: float = 1.0
    workers: int = 0
    accept_changed_data: bool = False
    logger: tuple[str, ...] = ()

    @property
    def loss(self) -> Loss:
        """That of a training image."""
        share = self.teacher_share if self.teacher else 0.0
        return Loss(self.label_smoothing, share, self.teacher_temperature)
