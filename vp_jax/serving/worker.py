"""One process that answers: a model, warmed up, behind a socket that others may share."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from vp_jax.classifier import Classifier
from vp_jax.serving.app import make_app
from vp_jax.serving.connections import protocol
from vp_jax.serving.limits import Limits
from vp_jax.serving.metrics import Metrics
from vp_jax.serving.model import Model, on_compilation
from vp_jax.serving.service import Service

KEEP_ALIVE_SECONDS = 20
BACKLOG = 1024
STOPS = (signal.SIGTERM, signal.SIGINT)


class _Server(uvicorn.Server):
    """Stops after a signal when all has been answered, and ends with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.should_exit = True

        for number in STOPS:
            signal.signal(number, stop)
        yield


def serve(
    classifier: Classifier,
    limits: Limits,
    listening: socket.socket,
    ready: Callable[[], None],
    alone: int | None = None,
) -> None:
    """Answers until SIGTERM or SIGINT, and then what has arrived.

    Args:
      classifier: what is served.
      limits: of this process.
      listening: the socket, bound and listening.
      ready: called when the next request will be answered.
      alone: a file that is at its end when the process that began this one has died.
    """
    for name in ("python_multipart", "uvicorn.error"):  # Who sends nonsense is told so, not we.
        logging.getLogger(name).setLevel(logging.ERROR)
    model, metrics = Model(classifier), Metrics()
    model.warm_up()
    on_compilation(metrics.compiled.inc)
    service = Service(model, limits, metrics, os.cpu_count() or 1)
    config = uvicorn.Config(
        make_app(service),
        http=protocol(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(limits.upload_seconds + limits.answer_seconds) + 1,
    )
    server = _Server(config)
    threading.Thread(target=_watch, args=(server, ready, alone), daemon=True).start()
    server.run([listening])
    service.close()


def _watch(server: uvicorn.Server, ready: Callable[[], None], alone: int | None) -> None:
    """Says when the server has started; stops it when this process is left alone."""
    while not server.started and not server.should_exit:
        time.sleep(0.005)
    ready()
    if alone is not None:
        os.read(alone, 1)
        server.should_exit = True
