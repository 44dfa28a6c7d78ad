"""Serves a trained prompt, or head: a page to drop images on, and answers for programs.

    python -m vp_jax.serve --workdir=runs/quickstart
    curl -F images=@digit.png http://127.0.0.1:8000/predict

The page is at http://127.0.0.1:8000, what programs may ask for at /docs and /openapi.json,
/healthz says whether it answers, /metrics is for Prometheus. It listens on this machine alone,
unless --host=0.0.0.0 says otherwise. There is no encryption and nobody is asked who he is: put what
does that in front of it before others can reach it. It reads no path and no address that a request
names.

Images of all requests are computed together, in batches. Of more than --waiting images, requests
are refused with status 503 and Retry-After. SIGTERM and Ctrl-C let it answer what has arrived, and
end with status 0. A process that dies is begun again; with --workers=2 the other one answers
meanwhile, each has the model in memory. It needs the extra `serve`: pip install 'vp_jax[serve]'.
"""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Callable, Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError
from vp_jax.serving.limits import MIB, Limits

_DEFAULT = Limits()
LARGEST_BATCH = 64
LEAST = 0.01

flags.DEFINE_string("workdir", None, "folder of a training, or a bundle of vp_jax.export")
flags.DEFINE_string("host", "127.0.0.1", "address to listen on; 0.0.0.0: all of this machine")
flags.DEFINE_integer("port", 8000, "0: any free one, which is printed", 0, 65535)
flags.DEFINE_integer("workers", 1, "processes that answer", 1)
flags.DEFINE_string("weights", None, "where the backbone's weights are now")
flags.DEFINE_integer("batch_size", LARGEST_BATCH, "images that are computed together at most", 1)
flags.DEFINE_integer("max_files", _DEFAULT.files, "images of a request", 1)
flags.DEFINE_integer("max_mib", _DEFAULT.body // MIB, "MiB of a request", 1)
flags.DEFINE_float("max_megapixels", _DEFAULT.pixels / 1e6, "of an image", LEAST)
flags.DEFINE_integer("waiting", _DEFAULT.waiting, "images that wait in a process", 1)
flags.DEFINE_integer("held_mib", _DEFAULT.held // MIB, "MiB of all requests in a process", 1)
flags.DEFINE_integer("connections", _DEFAULT.connections, "open to a process at a time", 1)
flags.DEFINE_float(
    "upload_seconds", _DEFAULT.upload_seconds, "in which a request must arrive", LEAST
)
flags.DEFINE_float(
    "answer_seconds", _DEFAULT.answer_seconds, "in which it is answered, or refused", LEAST
)

OWN_FLAGS = {"backbone.weights": "--weights", "batch_size": "--batch_size"}
"""By the settings of the run that they replace."""
NEEDED = ("httptools", "prometheus_client", "python_multipart", "starlette", "uvicorn")


def limits() -> Limits:
    """As the flags say.

    Raises:
      UserError: they contradict each other.
    """
    given = flags.FLAGS
    return Limits(
        files=given.max_files,
        body=given.max_mib * MIB,
        pixels=int(given.max_megapixels * 1e6),
        waiting=given.waiting,
        held=given.held_mib * MIB,
        connections=given.connections,
        upload_seconds=given.upload_seconds,
        answer_seconds=given.answer_seconds,
    )


def work_of(found: Limits) -> Callable[[socket.socket, Callable[[], None], int], None]:
    """What each process does."""
    given = flags.FLAGS

    def work(listening: socket.socket, ready: Callable[[], None], alone: int) -> None:
        from vp_jax import restored
        from vp_jax.serving import worker

        own = restored.load(given.workdir, weights=given.weights, batch_size=given.batch_size)
        worker.serve(own, found, listening, ready, alone)

    return work


def main(argv: Sequence[str]) -> None:
    """Parses the flags, and serves until it is told to stop."""
    cli.parse_run_flags(argv, OWN_FLAGS)
    given = flags.FLAGS
    found = limits()
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"serving needs {', '.join(missing)}: install the extra, pip install 'vp_jax[serve]'"
        )
    if given.workers > 1:  # which share an accelerator's memory, if there is one
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.75 / given.workers:.2f}")

    from vp_jax.serving.supervisor import Supervisor, bind

    listening = bind(given.host, given.port)

    def say(text: str) -> None:
        print(text, flush=True)

    if status := Supervisor(work_of(found), given.workers, listening, say).run():
        raise SystemExit(status)


if __name__ == "__main__":
    cli.run(main)
