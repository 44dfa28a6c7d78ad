"""Images/s and latencies of a server on loopback, beside the classifier without a server.

    python experiments/benchmarks/serve.py
    python experiments/benchmarks/serve.py --models=clip_tiny --images=16
    python experiments/benchmarks/serve.py --tiny

Bare classifier, server and client are processes of their own on one machine. In each round the bare
classifier reads the same JPEG files for some seconds, without a pause, and then clients on 1, 8 and
64 connections send them, each the next request when the last is answered; who is not measured
waits. `x bare` is the median of the rounds' ratios, with their range. The client, aiohttp, takes
its share of the cores, which a client on another machine would not: the seconds of computing that
an image costs are beside it, of classifier or server and of the client. They are the same on a busy
machine, which makes all times longer.

Weights, prompt and texts are random: times depend on shapes alone. It needs the extra `load`:
pip install 'vp_jax[serve,load]'.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import measure
import numpy as np
import photographs
import random_weights
from absl import app, flags

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "experiments"))

from served import Server, percentile  # noqa: E402

from vp_jax import backbones, heads, prompts  # noqa: E402
from vp_jax.backbones.clip.sizes import SIZES  # noqa: E402
from vp_jax.records import bundle_file  # noqa: E402
from vp_jax.records.checkpoints.state_arrays import to_arrays  # noqa: E402
from vp_jax.report.table import table  # noqa: E402

FILES = 64
CLASSES = 100


def write_bundle(folder: pathlib.Path, model: str) -> tuple[pathlib.Path, list[str]]:
    """A bundle of a random padding prompt and random texts, for random weights of a model; with the
    flag that says where these are, if they are not the package's."""
    import jax

    weights = None
    if model != "clip_tiny":
        weights = folder / "weights"
        random_weights.write_model(weights, model)
    own = backbones.load(model, weights)
    pad = max(1, own.image_size * 30 // 224)
    prompt = prompts.parse(f"normalize | pad({pad})")
    texts = np.random.default_rng(0).normal(size=(CLASSES, own.embed_dim)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    head = heads.text(texts, np.float32(own.logit_scale))
    parts = {
        "prompt": prompt.init(jax.random.key(0), (own.image_size, own.image_size, 3)),
        "head": head.init(None, own.embed_dim, CLASSES),
    }
    bundle = bundle_file.Bundle(
        arrays=to_arrays(jax.device_get(parts)),
        prompt=str(prompt),
        class_names=tuple(f"class {i}" for i in range(CLASSES)),
        head={"name": "text", "base": "text", "reads": "features"},
        backbone={
            "name": model,
            "source": "vp_jax",
            "weights": weights and str(weights),
            "dtype": "float32",
            "fingerprint": own.fingerprint,
        },
        images={"upright": False},
        temperature=1.0,
        training={"tune": ["prompt"], "seed": 0, "batch_size": 64, "task": "digits"},
        metrics={},
    )
    path = folder / "bundle.safetensors"
    bundle_file.write(path, bundle)
    return path, [f"--weights={weights}"] if weights else []


def files_of(side: int) -> list[bytes]:
    """JPEG files of twice as many pixels a side as the model takes."""
    return [photographs.jpeg(i, (2 * side, 3 * side // 2)) for i in range(FILES)]


def bare(workdir: str, weights: str | None, batch: int) -> None:
    """Reads seconds from standard input, and writes how many images/s the classifier did, and in
    how many seconds of computing."""
    import vp_jax

    model = vp_jax.load(workdir, weights=weights, batch_size=batch)
    endless = itertools.cycle(files_of(model.backbone.image_size))
    rows = model.stream(endless)
    list(itertools.islice(rows, 4 * batch))
    print("ready", flush=True)
    for line in sys.stdin:
        list(itertools.islice(rows, 2 * batch))  # what was made ahead while it waited
        count, began, used = 0, time.perf_counter(), time.process_time()
        while (taken := time.perf_counter() - began) < float(line):
            count += len(list(itertools.islice(rows, batch)))
        print(count / taken, (time.process_time() - used) / count, flush=True)


@contextlib.contextmanager
def bare_process(
    workdir: pathlib.Path, weights: Sequence[str], batch: int
) -> Iterator[subprocess.Popen[str]]:
    """`bare` in a process of its own; `weights` is the flag that says where they are, if any."""
    command = [sys.executable, __file__, f"--bare={workdir}", f"--batch={batch}", *weights]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


class Turn(NamedTuple):
    """What some seconds of work came to.

    Attributes:
      rate: images/s.
      cpu: seconds of computing for an image, of the classifier or the server, on all cores.
      client_cpu: likewise, of the client.
      latencies: seconds of every request.
    """

    rate: float
    cpu: float
    client_cpu: float = 0.0
    latencies: tuple[float, ...] = ()


def bare_turn(process: subprocess.Popen[str], seconds: float) -> Turn:
    """The bare classifier for some seconds."""
    assert process.stdin and process.stdout
    process.stdin.write(f"{seconds}\n")
    process.stdin.flush()
    return Turn(*map(float, process.stdout.readline().split()))


def served_turn(
    server: Server,
    bodies: Sequence[bytes],
    kind: str,
    images: int,
    connections: int,
    seconds: float,
) -> Turn:
    """A server for some seconds; see `load`."""

    def used() -> float:
        return sum(x.cpu_times().user + x.cpu_times().system for x in server.workers())

    of_server, of_client = used(), time.process_time()
    work = load(server.url, bodies, kind, images, connections, seconds)
    rate, latencies = asyncio.run(work)
    count = images * len(latencies)
    of_server, of_client = used() - of_server, time.process_time() - of_client
    return Turn(rate, of_server / count, of_client / count, tuple(latencies))


async def load(
    url: str,
    bodies: Sequence[bytes],
    content_type: str,
    images: int,
    connections: int,
    seconds: float,
) -> tuple[float, list[float]]:
    """Images/s that so many connections have answered, and the seconds of every request.

    Raises:
      RuntimeError: a request was not answered with 200.
    """
    import aiohttp

    latencies: list[float] = []
    done = 0
    numbers = itertools.cycle(range(len(bodies)))
    headers = {"Content-Type": content_type}

    async def client(session: aiohttp.ClientSession, end: float) -> None:
        nonlocal done
        while (began := time.perf_counter()) < end:
            body = bodies[next(numbers)]
            async with session.post(f"{url}/predict", data=body, headers=headers) as response:
                await response.read()
                if response.status != 200:
                    raise RuntimeError(f"status {response.status}")
            latencies.append(time.perf_counter() - began)
            done += images

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        began = time.perf_counter()
        clients = [client(session, began + seconds) for _ in range(connections)]
        await asyncio.gather(*clients)
        return done / (time.perf_counter() - began), latencies


def forms(files: Sequence[bytes], images: int) -> tuple[list[bytes], str]:
    """Forms of so many of the files each, and their content type."""
    boundary = "a-boundary-of-this-benchmark"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="{i}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + content
        + b"\r\n"
        for i, content in enumerate(files)
    ]
    endless, last = itertools.cycle(parts), f"--{boundary}--\r\n".encode()
    bodies = [b"".join([*itertools.islice(endless, images), last]) for _ in files]
    return bodies, f"multipart/form-data; boundary={boundary}"


def measured(model: str, images: int, rounds: int, seconds: float, batch: int) -> str:
    """The table of one model."""
    turns: dict[int, list[Turn]] = {n: [] for n in (0, *flags.FLAGS.connections)}
    with tempfile.TemporaryDirectory() as scratch:
        bundle, weights = write_bundle(pathlib.Path(scratch), model)
        bodies, kind = forms(files_of(SIZES[model].image_size), images)
        waiting = f"--waiting={max(256, 2 * images * max(turns))}"
        with (
            bare_process(bundle, weights, batch) as process,
            Server(str(bundle), f"--batch_size={batch}", waiting, *weights) as server,
        ):
            for _ in range(rounds):
                turns[0].append(bare_turn(process, seconds))
                for n in flags.FLAGS.connections:
                    turns[n].append(served_turn(server, bodies, kind, images, n, seconds))
    headers = ("connections", "images/s", "x bare (range)", "p50 ms", "p99 ms", "requests")
    return table(
        [row(n, found, turns[0]) for n, found in turns.items()],
        (*headers, "CPU ms/image", "of client"),
    )


def row(connections: int, turns: Sequence[Turn], base: Sequence[Turn]) -> tuple[object, ...]:
    """A line of the table; no connections are the bare classifier, which is the base."""

    def middle(values: Iterable[float]) -> float:
        return statistics.median(values)

    rate, cpu = middle(x.rate for x in turns), 1000 * middle(x.cpu for x in turns)
    if not connections:
        return ("bare", f"{rate:,.1f}", None, None, None, None, f"{cpu:.2f}", None)
    against = measure.ratio([1 / x.rate for x in base], [1 / x.rate for x in turns])
    seconds = [y for x in turns for y in x.latencies]
    p50, p99 = (f"{1000 * percentile(seconds, x):,.0f}" for x in (0.5, 0.99))
    of_client = f"{1000 * middle(x.client_cpu for x in turns):.2f}"
    count = f"{len(seconds):,}"
    return (connections, f"{rate:,.1f}", against, p50, p99, count, f"{cpu:.2f}", of_client)


def main(argv: Sequence[str]) -> None:
    """Measures all models."""
    del argv
    given = flags.FLAGS
    if given.bare:
        bare(given.bare, given.weights, given.batch)
        return
    models, rounds, seconds, batch = given.models, given.rounds, given.seconds, given.batch
    if given.tiny:
        models, rounds, seconds, batch = ["clip_tiny"], 1, 0.5, 4
    print(measure.machine(), flush=True)
    measure.warn_if_busy()
    for model in models:
        print(f"\n{model}, {given.images} images a request, batches of up to {batch}", flush=True)
        print(measured(model, given.images, rounds, seconds, batch), flush=True)


if __name__ == "__main__":
    flags.DEFINE_list("models", ["clip_tiny", "clip_vit_b32"], "CLIPs, one after the other")
    flags.DEFINE_multi_integer("connections", [1, 8, 64], "open at a time")
    flags.DEFINE_integer("images", 1, "of a request", lower_bound=1)
    flags.DEFINE_integer("batch", 64, "images that are computed together at most", lower_bound=1)
    flags.DEFINE_integer("rounds", 5, "in which all take turns", lower_bound=1)
    flags.DEFINE_float("seconds", 5.0, "of a turn")
    flags.DEFINE_bool("tiny", False, "the smallest model, one short round: a smoke test")
    flags.DEFINE_string("bare", None, "for the process of the bare classifier")
    flags.DEFINE_string("weights", None, "likewise")
    app.run(main)
