"""What a server counts, for Prometheus."""

from __future__ import annotations

import os

import prometheus_client as prometheus
from prometheus_client import multiprocess

from vp_jax.serving.counted_together import FOLDER

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one process, part of those of all.

    Attributes:
      requests: to /predict, by the status of the answer; `abandoned` where nobody waited for it.
      seconds: from the first byte of such a request to its answer.
      images: by what became of them: `answered` or `unreadable`.
      batches: images of a batch, by lane.
      padding: places of batches that no image filled.
      held_images, held_bytes: now.
      compiled: programs that were compiled after the server had begun to answer; should stay 0.
    """

    def __init__(self) -> None:
        registry = prometheus.CollectorRegistry()
        self.requests = prometheus.Counter(
            "vp_jax_requests", "Requests to /predict.", ["status"], registry=registry
        )
        self.seconds = prometheus.Histogram(
            "vp_jax_request_seconds",
            "Seconds from the first byte of a request to its answer.",
            buckets=SECONDS,
            registry=registry,
        )
        self.images = prometheus.Counter(
            "vp_jax_images", "Images by what became of them.", ["outcome"], registry=registry
        )
        self.batches = prometheus.Histogram(
            "vp_jax_batch_images", "Images of a batch.", ["lane"], buckets=ITEMS, registry=registry
        )
        self.padding = prometheus.Counter(
            "vp_jax_padding", "Places of batches that no image filled.", registry=registry
        )
        self.held_images = prometheus.Gauge(
            "vp_jax_held_images",
            "Images not answered yet.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.held_bytes = prometheus.Gauge(
            "vp_jax_held_bytes",
            "Bytes of requests not answered yet.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.compiled = prometheus.Counter(
            "vp_jax_compiled", "Programs compiled after the warm-up.", registry=registry
        )
        self._registry = registry

    def of_held(self, images: int, size: int) -> None:
        """Takes note of how many images, and bytes of requests, are held now."""
        self.held_images.set(images)
        self.held_bytes.set(size)

    def of_batch(self, lane: str, count: int, size: int) -> None:
        """Counts a batch of so many images, computed as so many."""
        self.batches.labels(lane).observe(count)
        self.padding.inc(size - count)

    def text(self) -> bytes:
        """What all processes have counted, in the format of `CONTENT_TYPE`."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = prometheus.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        return prometheus.generate_latest(registry)


CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST
