"""What a classifier answers on many images, one after the other, and how often."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys
from collections.abc import Iterable

from vp_jax.classifier import Classifier
from vp_jax.data.sources.listed import listed
from vp_jax.errors import UserError
from vp_jax.host.progress_bar import progress_bar
from vp_jax.report.predictions import Answer, Write, best
from vp_jax.report.significance import wilson

SHOWN = 20
"""Images that could not be read and are named at the end."""


@dataclasses.dataclass
class Count:
    """How many images there were, and what became of them.

    Attributes:
      images: of all.
      silent: below the threshold.
      known: those whose folder names a class.
      right: those among them that were answered with it.
      failed: names and reasons of those that could not be read, the first ones.
      broken: how many of these there were.
    """

    images: int = 0
    silent: int = 0
    known: int = 0
    right: int = 0
    broken: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Counts one more."""
        self.images += 1
        if answer.error:
            self.broken += 1
            if len(self.failed) < SHOWN:
                self.failed.append(answer.error)
            return
        self.silent += answer.abstains
        if answer.expected is not None:
            self.known += 1
            self.right += not answer.abstains and answer.labels[0] == answer.expected

    def summary(self, by_folder: bool) -> str:
        """Lines for a person."""
        parts = [f"{self.images:,} images"]
        if self.silent:
            parts.append(f"{self.silent:,} below the threshold")
        if self.broken:
            parts.append(f"{self.broken:,} could not be read")
        lines = [", ".join(parts)]
        if by_folder:
            lines.append(self._score())
        lines += [f"  {reason}" for reason in self.failed]
        if self.broken > len(self.failed):
            lines.append(f"  and {self.broken - len(self.failed):,} more")
        return "\n".join(lines)

    def _score(self) -> str:
        if not self.known:
            return "no folder is named after a class: nothing to score"
        low, high = (100 * x for x in wilson(self.right, self.known))
        percent = 100 * self.right / self.known
        return (
            f"{self.right:,} of {self.known:,} right: {percent:.1f} %"
            f" (95 % interval {low:.1f} to {high:.1f})"
        )


def answer_all(
    model: Classifier,
    paths: Iterable[str],
    write: Write,
    top: int = 1,
    threshold: float = 0.0,
    by_folder: bool = False,
) -> Count:
    """Answers on all images below some paths, in order, in bounded memory.

    Args:
      model: of a finished run.
      paths: image files, folders and archives, as for `data.sources.listed`.
      write: gets every answer as it comes.
      top: how many classes it has.
      threshold: the least probability of an answer.
      by_folder: whether the folder of an image names its class; compared without case, `_` and `-`.
    """
    labels = {_plain(name): label for label, name in enumerate(model.class_names)}
    count = Count()
    images, again = itertools.tee(listed(paths))
    with progress_bar(None, "predicting", disable=sys.stdout.isatty()) as bar:
        for image, row in zip(again, model.stream(images), strict=False):
            if isinstance(row, UserError):
                answer = Answer(image.name, error=str(row))
            else:
                found, values = best(row, top)
                answer = Answer(image.name, found, values, abstains=values[0] < threshold)
            if by_folder:
                answer = answer._replace(expected=labels.get(_plain(image.folder)))
            write(answer)
            count.add(answer)
            bar.update(1)
    return count


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().lower()
