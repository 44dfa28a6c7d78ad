"""From the files of a request to what is said of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from vp_jax.data.images.prepared import Prepared
from vp_jax.errors import UserError
from vp_jax.serving.admission import Admission
from vp_jax.serving.answers import answer
from vp_jax.serving.batches import Batcher
from vp_jax.serving.limits import BUSY, Limits, Refusal
from vp_jax.serving.metrics import Metrics
from vp_jax.serving.model import EXPLAIN, Found, Model
from vp_jax.serving.uploads import Upload

Done = TypeVar("Done")


class Abandoned(Exception):
    """Nobody waits for an answer any more."""


class Service:
    """Decodes in threads, computes in batches, and holds no more than its limits say.

    Args:
      model: warmed up.
      limits: of one process.
      metrics: that it counts.
      threads: that decode.
    """

    def __init__(self, model: Model, limits: Limits, metrics: Metrics, threads: int):
        self.model, self.limits, self.metrics = model, limits, metrics
        self.admission = Admission(limits, on_change=metrics.of_held)
        self._pool = ThreadPoolExecutor(threads, "decode")
        self._batcher: Batcher[Prepared, Found] = Batcher(
            model.compute, model.shapes, metrics.of_batch
        )

    async def answers(
        self,
        uploads: Sequence[Upload],
        lane: str,
        top: int,
        abandoned: Callable[[], Awaitable[object]],
    ) -> list[dict[str, Any]]:
        """What is said of each file, in order; of one that cannot be read, why.

        Args:
          uploads: of one request.
          lane: of `model`: whether pictures and the classes without the prompt are wanted too.
          top: how many classes are named.
          abandoned: returns when the client has gone.

        Raises:
          Refusal: there is no room, or it has taken too long.
          Abandoned: the client has gone; what was not computed yet is not computed.
        """
        with self.admission.of_images(len(uploads)):
            work = self._all(uploads, lane, top)
            said = await unless(abandoned, work, self.limits.answer_seconds)
        if said is None:
            raise Refusal(
                BUSY,
                f"there was no answer within {self.limits.answer_seconds:g} seconds: send it later",
                self.admission.retry_after(),
            )
        for one in said:
            self.metrics.images.labels("unreadable" if "error" in one else "answered").inc()
        return said

    async def _all(self, uploads: Sequence[Upload], lane: str, top: int) -> list[dict[str, Any]]:
        return await asyncio.gather(*(self._one(upload, lane, top) for upload in uploads))

    async def _one(self, upload: Upload, lane: str, top: int) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        pixels = self.limits.pixels
        found: Found | UserError
        image = await loop.run_in_executor(self._pool, self.model.prepare, lane, upload, pixels)
        if isinstance(image, UserError):
            found = image
        else:
            found = await asyncio.wrap_future(self._batcher.submit(lane, image))
        said = upload.name, found, self.model.classifier.class_names, top
        if lane == EXPLAIN:  # Its pictures take a while to encode.
            return await loop.run_in_executor(self._pool, answer, *said)
        return answer(*said)

    def close(self) -> None:
        """Computes what waits, and ends all threads."""
        self._batcher.stop()
        self._pool.shutdown()


async def unless(
    abandoned: Callable[[], Awaitable[object]], work: Coroutine[Any, Any, Done], seconds: float
) -> Done | None:
    """The result of some work; None, and the work cancelled, if it takes longer.

    Raises:
      Abandoned: nobody waits for it any more; the work is cancelled too.
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(abandoned())
    both: set[asyncio.Future[Any]] = {working, gone}
    try:
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if gone.done():
            raise Abandoned
        return None
    finally:
        gone.cancel()
        working.cancel()
