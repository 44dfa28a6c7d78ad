"""What a server computes: the programs of a classifier, for batches of fixed shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from vp_jax.classifier import Classifier, multiple
from vp_jax.data.images.prepared import Prepared
from vp_jax.errors import UserError
from vp_jax.serving.prepare import prepared
from vp_jax.serving.uploads import Upload
from vp_jax.serving.without_prompt import about_it, without_prompt
from vp_jax.step.forward import resize_rule

ANSWER, EXPLAIN = "answer", "explain"
"""Lanes: the classes alone; and those without the prompt too, with pictures."""

MOST_EXPLAINED = 8
"""Images of a batch in the lane with pictures, which people ask for and not programs."""


class Found(NamedTuple):
    """What was found of an image.

    Attributes:
      probabilities: of all classes, float32 `[K]`.
      before: likewise without the prompt; None where it was not asked for, or there is none.
      pictures: what the model sees without the prompt and with it, float32 `[S, S, 3]` or of each
        of several views `[V, S, S, 3]`, 0 is black and 1 is white; the first alone where there is
        no prompt, none where they were not asked for.
    """

    probabilities: np.ndarray
    before: np.ndarray | None = None
    pictures: tuple[np.ndarray, ...] = ()


class Model:
    """The programs of a classifier by lane.

    Attributes:
      classifier: what is served.
      plain: the same before the prompt, or a sentence that says why there is none.
      about_plain: a sentence on what it is.
      shapes: by lane, the sizes of batches, ascending; nothing is compiled for others.
    """

    def __init__(self, classifier: Classifier):
        self.classifier = classifier
        self.plain = without_prompt(classifier)
        is_there = isinstance(self.plain, Classifier)
        self.about_plain = about_it(classifier) if is_there else str(self.plain)
        devices = classifier.mesh.size
        devices = classifier.mesh.size
        few = multiple(min(classifier.batch_size, MOST_EXPLAINED), devices)
        self.shapes = {
            ANSWER: sizes(classifier.batch_size, devices, 4),
            EXPLAIN: sizes(few, devices, MOST_EXPLAINED),
        }
        self._whole = resize_rule(classifier.backbone)
        rules = classifier.rules
        self._rules = {
            ANSWER: rules,
            EXPLAIN: rules if self._whole in rules else (*rules, self._whole),
        }

    def prepare(self, lane: str, upload: Upload, most_pixels: int) -> Prepared | UserError:
        """Decodes and resizes a file for a lane, or says why it cannot; in any thread."""
        return prepared(upload, self._rules[lane], self.classifier.upright, most_pixels)

    def compute(self, lane: str, batch: Sequence[Prepared], size: int) -> list[Found]:
        """What is found of each of a batch of a lane's prepared images.

        Args:
          lane: `ANSWER` or `EXPLAIN`.
          batch: at most `size`.
          size: one of the lane's shapes.
        """
        own = self.classifier
        rows = own.run(own.probability_program, own.parts, batch, size, 0)
        if lane == ANSWER:
            return [Found(row) for row, _ in zip(np.asarray(rows), batch, strict=False)]
        whole = [(one[self._rules[EXPLAIN].index(self._whole)],) for one in batch]
        before = self._before(whole, size)
        seen = None
        if "prompt" in own.parts:
            seen = np.asarray(own.run(own.picture_program, own.seeing, batch, size, 0))
        found = np.asarray(rows)
        return [
            Found(
                found[i],
                None if before is None else before[i],
                (whole[i][0] / np.float32(255), *(() if seen is None else (seen[i],))),
            )
            for i in range(len(batch))
        ]

    def _before(self, whole: Sequence[Prepared], size: int) -> np.ndarray | None:
        plain = self.plain
        if isinstance(plain, str):
            return None
        return np.asarray(plain.run(plain.probability_program, plain.parts, whole, size, 0))

    def warm_up(self) -> None:
        """Compiles and runs all programs in all shapes, so that nothing is compiled after it."""
        for lane, shapes in self.shapes.items():
            black = tuple(np.zeros((r.image_size,) * 2 + (3,), np.uint8) for r in self._rules[lane])
            for size in shapes:
                self.compute(lane, [black], size)


def sizes(largest: int, devices: int, step: int) -> tuple[int, ...]:
    """The sizes of batches: the powers of a step up to the largest, and that.

    Few, since each is a program of its own. All are multiples of the number of devices.

    >>> sizes(64, 1, 4), sizes(24, 1, 4), sizes(16, 4, 4), sizes(8, 1, 8)
    ((1, 4, 16, 64), (1, 4, 16, 24), (4, 16), (1, 8))
    """
    largest = max(largest, devices)
    found, size = {largest}, devices
    while size < largest:
        found.add(size)
        size *= step
    return tuple(sorted(found))


def on_compilation(call: Callable[[], object]) -> None:
    """Calls something whenever a program is compiled in this process, from now on."""

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        del duration_secs
        if event == "/jax/core/compile/backend_compile_duration":
            call()

    jax.monitoring.register_event_duration_secs_listener(listen)
