"""Asks a server for an hour what it should and should not be asked, and looks for what it loses.

    python experiments/soak.py --workdir=runs/quickstart
    python experiments/soak.py --workdir=runs/quickstart --minutes=20

Clients of seven kinds run together, each again and again with pauses: `good` (1 to 8 images, some
with pictures), `mixed` (a broken file among good ones), `broken` (no image at all), `bomb` (a small
file of 400 million pixels), `huge` (a body beyond the limit), `slow` (sends a byte now and then, or
stops in its headers) and `abandoned` (leaves before the answer). `good` and `mixed` requests must
be answered, each image in its place with the class that the first answer for it had; a 503 with
Retry-After is obeyed and tried again, and counted. The others must get the status that is meant for
them. Every ten minutes one of the two processes is killed; what it had in hand is sent again, and
counted.

Memory, of all processes of the server and shared with no other, is looked at every ten seconds. Its
`growth` is that of the median of the last quarter over the median of the second one. A process that
began anew makes the curve begin anew; then it is that of the longest stretch. It ends with status 1
if an answer was wrong or missing, a status was not the one meant, or memory has grown by more than
5 %. It needs the extra `load`: pip install 'vp_jax[serve,load]'.
"""

from __future__ import annotations

import asyncio
import collections
import io
import json
import os
import random
import signal
import statistics
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import numpy as np
import tqdm
from absl import app, flags
from PIL import Image
from served import Server, percentile

IMAGES = 40
TRIES = 30
LIMITS = (
    *("--workers=2", "--upload_seconds=5", "--max_files=8", "--max_mib=4"),
    *("--max_megapixels=20", "--waiting=64"),
)
GROWTH = 0.05
LONGEST_HOLD = 60
"""Seconds after which somebody who sends next to nothing should be gone, on a busy machine."""

FORM = b"multipart/form-data; boundary=b\r\n\r\n--b\r\nX: "

File = tuple[str, bytes]
"""A name and a content."""


class Soak:
    """The clients, and what they have seen.

    Attributes:
      counts: of requests by kind and what became of them.
      wrong: what should not have been, the first hundred.
      seconds: of good requests.
      memory: seconds since the begin, the server's processes, their bytes.
    """

    def __init__(self, server: Server, end: float):
        self._server, self._end = server, end
        self._known: dict[int, str] = {}
        self._files = [(f"{i}.png", picture(i)) for i in range(IMAGES)]
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self.wrong: list[str] = []
        self.seconds: list[float] = []
        self.memory: list[tuple[float, tuple[int, ...], int]] = []

    async def run(self, kill_minutes: float) -> None:
        """All clients until the end."""
        clients: dict[Callable[[aiohttp.ClientSession], Awaitable[None]], int] = {
            **{self.good: 6, self.mixed: 2, self.broken: 1, self.bomb: 1},
            **{self.huge: 1, self.slow: 3, self.abandoned: 2},
        }
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            tasks = [self._again(kind, session) for kind, n in clients.items() for _ in range(n)]
            await asyncio.gather(*tasks, self._watch(), self._kill(60 * kill_minutes))

    async def _again(
        self,
        kind: Callable[[aiohttp.ClientSession], Awaitable[None]],
        session: aiohttp.ClientSession,
    ) -> None:
        while time.monotonic() < self._end:
            try:
                await kind(session)
            except Exception as error:
                self._wrong(f"{kind.__name__}: {type(error).__name__}: {error}")
            await asyncio.sleep(random.uniform(0, 1))

    async def good(self, session: aiohttp.ClientSession) -> None:
        """Images that can be read; each must be answered as the first time."""
        numbers = random.sample(range(IMAGES), random.randint(1, 8))
        explain = random.random() < 0.2
        began = time.monotonic()
        body = await self._ask(session, "good", [self._files[i] for i in numbers], 200, explain)
        self.seconds.append(time.monotonic() - began)
        for number, one in zip(numbers, body["images"], strict=True):
            self._check(number, one)

    async def mixed(self, session: aiohttp.ClientSession) -> None:
        """A broken file among images."""
        numbers = random.sample(range(IMAGES), 3)
        files = [self._files[i] for i in numbers]
        files.insert(1, ("broken.png", self._files[numbers[0]][1][:40]))
        images = (await self._ask(session, "mixed", files, 200))["images"]
        if "error" not in images.pop(1):
            self._wrong("mixed: a broken file was answered")
        for number, one in zip(numbers, images, strict=True):
            self._check(number, one)

    async def broken(self, session: aiohttp.ClientSession) -> None:
        """Nothing that can be read."""
        await self._ask(
            session, "broken", [("a.png", b"no image"), ("b.png", os.urandom(500))], 422
        )

    async def bomb(self, session: aiohttp.ClientSession) -> None:
        """Pixels that would fill the memory."""
        await self._ask(session, "bomb", [("bomb.png", BOMB)], 422)

    async def huge(self, session: aiohttp.ClientSession) -> None:
        """Bytes beyond the limit."""
        await self._ask(session, "huge", [("huge.bmp", bytes(5 << 20))], 413)

    async def slow(self, session: aiohttp.ClientSession) -> None:
        """A client that sends next to nothing: it is told 408, or in its headers sent away."""
        del session
        host, port = self._server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nContent-Type: "
        in_headers = random.random() < 0.5
        writer.write(head if in_headers else head + FORM)
        found = asyncio.ensure_future(reader.read(12))
        end = time.monotonic() + LONGEST_HOLD
        while time.monotonic() < end and not (await asyncio.wait({found}, timeout=0.5))[0]:
            writer.write(b"-")
        writer.close()
        if not found.done():
            found.cancel()
            self._wrong(f"slow: it held its place for {LONGEST_HOLD} seconds")
            return
        try:
            said = found.result().decode()
        except ConnectionError:
            said = ""
        wanted = "" if in_headers else "HTTP/1.1 408"
        self.counts["slow", "sent away" if in_headers else "408"] += said == wanted
        if said != wanted:
            self.counts["slow", said or "closed"] += 1  # by a kill, at most as often as there were

    async def abandoned(self, session: aiohttp.ClientSession) -> None:
        """Somebody who does not wait."""
        form = form_of(random.choices(self._files, k=8))
        try:
            async with asyncio.timeout(random.uniform(0.001, 0.1)):
                async with session.post(f"{self._server.url}/predict", data=form) as response:
                    await response.read()
            self.counts["abandoned", "answered before"] += 1
        except TimeoutError:
            self.counts["abandoned", "left"] += 1
        except (aiohttp.ClientError, ConnectionError):
            self.counts["abandoned", "connection lost"] += 1

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        kind: str,
        files: Sequence[File],
        status: int,
        explain: bool = False,
    ) -> dict[str, Any]:
        """The answer with the status that is meant, after as many tries as it takes."""
        url = f"{self._server.url}/predict{'?explain=true' if explain else ''}"
        for _ in range(TRIES):
            try:
                async with session.post(url, data=form_of(files)) as response:
                    body = await response.json()
            except (aiohttp.ClientError, ConnectionError):
                self.counts[kind, "connection lost"] += 1
                await asyncio.sleep(0.2)
                continue
            self.counts[kind, str(response.status)] += 1
            if response.status == status:
                return body
            if response.status != 503:
                raise RuntimeError(f"status {response.status}: {body}")
            await asyncio.sleep(int(response.headers["Retry-After"]))
        raise RuntimeError(f"no answer after {TRIES} tries")

    def _check(self, number: int, one: dict[str, Any]) -> None:
        found = one["predictions"][0]["class"] if "predictions" in one else str(one)
        known = self._known.setdefault(number, found)
        if one["image"] != self._files[number][0] or "error" in one or found != known:
            self._wrong(f"image {number}: {one['image']} is {found}, and was {known} at first")

    def _wrong(self, what: str) -> None:
        self.counts["wrong", ""] += 1
        if len(self.wrong) < 100:
            self.wrong.append(what)
            tqdm.tqdm.write(f"WRONG {what}")

    async def _watch(self) -> None:
        began = time.monotonic()
        while (now := time.monotonic()) < self._end:
            workers = self._server.workers()
            if len(workers) == 2:
                pids = tuple(x.pid for x in workers)
                self.memory.append((now - began, pids, self._server.memory()))
            await asyncio.sleep(min(10, max(0, self._end - now)))

    async def _kill(self, seconds: float) -> None:
        while (left := self._end - time.monotonic()) > seconds:
            await asyncio.sleep(min(left, seconds))
            workers = self._server.workers()
            os.kill(workers[0].pid, signal.SIGKILL)
            self.counts["kills", ""] += 1


def stretch(memory: Sequence[tuple[float, tuple[int, ...], int]]) -> list[int]:
    """Bytes of the longest time for which the processes were the same."""
    runs: dict[tuple[int, ...], list[int]] = collections.defaultdict(list)
    for _, processes, count in memory:
        runs[processes].append(count)
    return max(runs.values(), key=len, default=[])


def growth(memory: Sequence[int]) -> float:
    """How much larger the median of the last quarter is than that of the second one, as a share."""
    quarter = len(memory) // 4
    if not quarter:
        return float("nan")
    return (
        statistics.median(memory[-quarter:]) / statistics.median(memory[quarter : 2 * quarter]) - 1
    )


def form_of(files: Sequence[File]) -> aiohttp.FormData:
    """A form of files."""
    form = aiohttp.FormData()
    for name, content in files:
        form.add_field("images", content, filename=name, content_type="image/png")
    return form


def picture(number: int) -> bytes:
    """An image file, a few small and some of a megapixel."""
    rng = np.random.default_rng(number)
    side = int(rng.choice([32, 64, 300, 1000], p=[0.3, 0.4, 0.2, 0.1]))
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    file = io.BytesIO()
    small.resize((side, 3 * side // 4)).save(file, "PNG" if number % 2 else "JPEG")
    return file.getvalue()


def bomb(side: int) -> bytes:
    """A PNG file of black pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checked)

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    whole = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + whole


BOMB = bomb(20_000)


def report(soak: Soak, minutes: float) -> tuple[str, bool]:
    """What there is to say, and whether all was as it should be."""
    lines = [f"{minutes:g} minutes"]
    lines += [f"  {kind:10} {what:16} {n:7,}" for (kind, what), n in sorted(soak.counts.items())]
    steady = stretch(soak.memory)
    grown = growth(steady)
    p50, p99 = (1000 * percentile(soak.seconds, x) for x in (0.5, 0.99))
    lines.append(f"good requests: p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, with waits for another try")
    if steady:
        low, high = min(steady) / 2**20, max(steady) / 2**20
        lines.append(
            f"memory of the processes, {len(steady)} looks at the same two: {low:,.0f} to "
            f"{high:,.0f} MiB, growth {100 * grown:+.1f} %"
        )
    fine = not soak.wrong and not grown > GROWTH
    return "\n".join([*lines, "as it should be" if fine else "NOT as it should be"]), fine


def main(argv: Sequence[str]) -> None:
    """Soaks, and ends with status 1 if something was not as it should be."""
    del argv
    given = flags.FLAGS
    random.seed(0)
    with Server(given.workdir, *LIMITS) as server:
        soak = Soak(server, time.monotonic() + 60 * given.minutes)
        asyncio.run(soak.run(given.kill_minutes))
    text, fine = report(soak, given.minutes)
    print(text, flush=True)
    if given.json:
        with open(given.json, "w") as file:
            json.dump({"memory": soak.memory, "wrong": soak.wrong}, file)
    if not fine:
        raise SystemExit(1)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "of a run, or a bundle", required=True)
    flags.DEFINE_float("minutes", 60, "how long")
    flags.DEFINE_float("kill_minutes", 10, "after which a process is killed, again and again")
    flags.DEFINE_string("json", None, "file for the memory over time")
    app.run(main)
