"""What a run knows of itself, beside its state."""

from __future__ import annotations

import dataclasses
from typing import Any

OF_SEVERAL = ("members", "stopped")  # what checkpoints of one run do not hold


@dataclasses.dataclass
class Progress:
    """What a run knows of itself, beside its state; saved with every checkpoint.

    Attributes:
      best_step: of the best evaluation so far, -1 before the first.
      best: its metrics.
      stale: evaluations since then.
      zero_shot: accuracy before training on the split that is selected on; None where the head
        had nothing but random numbers.
      data_changes: how the data differ from those of the first start, as far as that was accepted.
      done: whether training is over.
      train_seconds, train_images: of steady training, the first step of a start left out.
      wall_seconds: of all starts together.
      members: of each member of a sweep, if there are several; then the fields of one are unused.
      stopped: the step at which each member ended, -1 while it trains.
    """

    best_step: int = -1
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    stale: int = 0
    zero_shot: float | None = None
    data_changes: list[str] = dataclasses.field(default_factory=list)
    done: bool = False
    train_seconds: float = 0.0
    train_images: int = 0
    wall_seconds: float = 0.0
    members: list[Progress] = dataclasses.field(default_factory=list)
    stopped: list[int] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.members = [m if isinstance(m, Progress) else Progress(**m) for m in self.members]

    @property
    def each(self) -> list[Progress]:
        """Of every member."""
        return self.members or [self]

    def to_json(self) -> dict[str, Any]:
        """Its fields, as checkpoints hold them."""
        found = {**vars(self), "members": [member.to_json() for member in self.members]}
        return found if self.members else {k: found[k] for k in found if k not in OF_SEVERAL}

    def record(self, step: int, metrics: dict[str, float], by: str = "accuracy") -> None:
        """Takes note of an evaluation; the first with the highest `by` is best."""
        if self.best_step < 0 or metrics[by] > self.best[by]:
            self.best_step, self.best, self.stale = step, metrics, 0
        else:
            self.stale += 1
