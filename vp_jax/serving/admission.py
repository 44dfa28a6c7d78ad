"""Who may come in: a process holds a bounded number of images, and of bytes."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

from vp_jax.serving.limits import BUSY, Limits, Refusal

LONGEST_WAIT = 60
"""Seconds that a client is told to wait at most."""


class Rate:
    """How many images a second are answered, lately.

    Args:
      clock: seconds.
      memory: seconds after which what was is worth a third.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, memory: float = 10.0):
        self._clock, self._memory = clock, memory
        self._since = self._then = clock()
        self._count = 0.0

    def add(self, count: int) -> None:
        """Counts images that have been answered now."""
        now = self._clock()
        self._count = self._count * math.exp((self._then - now) / self._memory) + count
        self._then = now

    def per_second(self) -> float:
        """Images a second; 0 where none was answered yet."""
        now = self._clock()
        faded = self._count * math.exp((self._then - now) / self._memory)
        share = -math.expm1((self._since - now) / self._memory)
        return faded / (self._memory * share) if share > 0 else 0.0


class Admission:
    """Counts what a process holds; refuses what would be too much, with when to come again.

    For one thread. Whoever is let in is answered.

    Args:
      limits: of images and bytes.
      rate: at which images are answered.
      on_change: is told how many images and bytes are held.

    Attributes:
      images: that are held now.
      bytes: likewise.
    """

    def __init__(
        self,
        limits: Limits,
        rate: Rate | None = None,
        on_change: Callable[[int, int], None] = lambda images, size: None,
    ):
        self._limits, self._rate, self._on_change = limits, rate or Rate(), on_change
        self.images, self.bytes = 0, 0

    @contextlib.contextmanager
    def of_images(self, count: int) -> Iterator[None]:
        """Holds images until the end of the block.

        Raises:
          Refusal: there is no room for so many.
        """
        if self.images + count > self._limits.waiting:
            raise Refusal(
                BUSY,
                f"{self.images} images wait already, and {self._limits.waiting} are the most: "
                "send them again later",
                self.retry_after(),
            )
        self._add(count, 0)
        try:
            yield
            self._rate.add(count)
        finally:
            self._add(-count, 0)

    @contextlib.contextmanager
    def of_bytes(self) -> Iterator[Callable[[int], None]]:
        """A function that adds to the bytes that are held until the end of the block.

        Raises:
          Refusal: by that function: they would be too many.
        """
        own = 0

        def hold(count: int) -> None:
            nonlocal own
            if self.bytes + count > self._limits.held:
                raise Refusal(
                    BUSY, "too many requests arrive at once: send it later", self.retry_after()
                )
            own += count
            self._add(0, count)

        try:
            yield hold
        finally:
            self._add(0, -own)

    def _add(self, images: int, size: int) -> None:
        self.images += images
        self.bytes += size
        self._on_change(self.images, self.bytes)

    def retry_after(self) -> int:
        """Seconds after which half of the images that wait now will have been answered."""
        rate = self._rate.per_second()
        seconds = self.images / 2 / rate if rate else 1.0
        return min(max(1, math.ceil(seconds)), LONGEST_WAIT)
