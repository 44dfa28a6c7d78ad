"""Damaged inputs by the thousand: each is read, or refused in a sentence; no other end is allowed.

    python tests/fuzz/fuzz.py --minutes=60
    python tests/fuzz/fuzz.py --target="image files" --first=123 --count=1

Every case follows from its number. Cases run in a process that is watched from outside: a
traceback, a crash, a hang and memory beyond the kind's bound are failures; they are printed, with
the command that repeats them, and the others go on. Ends with a table of what was tried.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

HANG_SECONDS = 60
BATCH = 400
"""Cases of one process, which then gives its memory back."""


class Outcome(NamedTuple):
    """What became of a case: `"read"`, `"refused"` or `"failed"`, and how it failed."""

    end: str
    message: str = ""


def rng_of(target: str, number: int):
    """The random numbers of a case."""
    import numpy as np

    return np.random.default_rng((zlib.crc32(target.encode()), number))


def attempt(target, number: int) -> Outcome:
    """Makes and reads one case."""
    from targets import REFUSED

    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        before = _resident()
        try:
            target.attempt(rng_of(target.name, number), pathlib.Path(folder))
            outcome = Outcome("read")
        except REFUSED as error:
            outcome = _check_message(str(error))
        except SystemExit as error:
            outcome = Outcome("failed", f"SystemExit {error.code}")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = Outcome("failed", "".join(traceback.format_exception(error))[-3000:])
    grown = _peak() - before
    if _peak() > _State.peak and grown > target.memory:
        outcome = Outcome("failed", f"{grown / 1e6:,.0f} MB of memory")
    _State.peak = _peak()
    return outcome


class _State:
    peak = 0


def _check_message(message: str) -> Outcome:
    if not message.strip() or "Traceback" in message or " object at 0x" in message:
        return Outcome("failed", f"refused with {message!r}")
    return Outcome("refused", message)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _resident() -> int:
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def _work(name: str, first: int, count: int) -> None:
    """In a process of its own: a line a case."""
    import os

    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is printed otherwise is not looked at
    from targets import TARGETS

    _State.peak = _peak()
    target = next(t for t in TARGETS if t.name == name)
    for number in range(first, first + count):
        print(json.dumps(["begun", number, ""]), file=out, flush=True)
        outcome = attempt(target, number)
        print(json.dumps([outcome.end, number, outcome.message]), file=out, flush=True)


def _watch(name: str, first: int, count: int, report) -> int:
    """Runs cases in another process; returns how many were begun."""
    command = [sys.executable, __file__, "--work", f"--target={name}"]
    command += [f"--first={first}", f"--count={count}"]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        begun = ended = first - 1
        while True:
            ready, _, _ = select.select([process.stdout], [], [], HANG_SECONDS)
            if not ready:
                process.kill()
                process.wait()
                report(name, begun, "failed", f"no end after {HANG_SECONDS} s")
                return begun - first + 1
            line = process.stdout.readline()
            if not line:
                break
            end, number, message = json.loads(line)
            if end == "begun":
                begun = number
            else:
                ended = number
                report(name, number, end, message)
        status = process.wait()
        if status or begun > ended:
            errors.seek(0)
            tail = errors.read()[-2000:]
            report(name, begun, "failed", f"the process ended with status {status}: {tail}")
        return max(begun - first + 1, 1)


def main() -> None:
    """Tries all kinds in turn until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="of all kinds together")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, help="cases of --target, instead of --minutes")
    parser.add_argument("--target", help="one kind only")
    parser.add_argument("--show", action="store_true", help="print what every case came to")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        _work(given.target, given.first, given.count)
        return
    from targets import TARGETS

    tried: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)

    def report(name: str, number: int, end: str, message: str) -> None:
        tried[name][end] += 1
        if given.show and end != "failed":
            print(f"{name}, case {number}: {end} {message}", flush=True)
        if end == "failed":
            again = f"--target={name!r} --first={number} --count=1"
            print(f"FAILED {name}, case {number} ({again}):\n{message}\n", flush=True)

    kinds = [t.name for t in TARGETS if given.target in (None, t.name)]
    if not kinds:
        parser.error(f"no such target; there are {', '.join(t.name for t in TARGETS)}")
    if given.count:
        at, last = given.first, given.first + given.count
        while at < last:
            at += _watch(kinds[0], at, min(BATCH, last - at), report)
    else:
        until = time.monotonic() + 60 * given.minutes
        position = dict.fromkeys(kinds, given.first)
        batch = dict.fromkeys(kinds, 10)
        share = 60 * given.minutes / len(kinds) / 4  # every kind has about four turns
        while time.monotonic() < until:
            for name in kinds:
                begun = time.monotonic()
                position[name] += _watch(name, position[name], batch[name], report)
                took = time.monotonic() - begun
                batch[name] = max(1, min(int(batch[name] * share / took), 4 * batch[name], 50_000))
                if time.monotonic() > until:
                    break
    print(f"{'input':28}{'tried':>10}{'read':>10}{'refused':>10}{'failed':>10}")
    for name in kinds:
        counts = tried[name]
        row = (sum(counts.values()), counts["read"], counts["refused"], counts["failed"])
        print(f"{name:28}" + "".join(f"{n:>10,}" for n in row))
    sys.exit(any(counts["failed"] for counts in tried.values()))


if __name__ == "__main__":
    main()
