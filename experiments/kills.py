"""Kills runs at random instants, lets them go on, and compares their ends with one never killed.

    python experiments/kills.py --workdir=runs/kills
    python experiments/kills.py --workdir=runs/kills_few --plain=2 --many=1 --two=1

Three kinds of runs of the quickstart's model and task, made short, with a checkpoint every second
step: `plain`, `many` (two prompts in one program) and `two` (two processes, of which one is killed,
so that the other ends by itself). The first of each kind is not disturbed. Every other one gets
SIGKILL, or one time in five SIGTERM, at an instant drawn evenly from the duration of an undisturbed
run, start, savings, test and pictures included; one that was faster than that is begun anew. Then
the same command is given again until it ends.

An end is *identical* if all arrays of the final and the best checkpoints, `metrics.jsonl` and
`result.json` without its times are those of the undisturbed run, bit for bit. Every kill is a line
of `--workdir/kills.jsonl`, so that the same command goes on where it was stopped; 100 of them take
about half an hour on two idle cores.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.saved import SavedCheckpoints
from vp_jax.report import table

ROOT = pathlib.Path(__file__).parents[1]
SHORT = (
    *("--config=configs/quickstart.py", "--config.task.shots=8", "--config.epochs=4"),
    *("--config.schedule.warmup_steps=5", "--config.log_every_steps=3"),
    *("--config.checkpoint_every_steps=2", "--config.call_seconds=0.001"),
)
COMMANDS = {
    "plain": ("-m", "vp_jax.train", *SHORT),
    "many": ("-m", "vp_jax.train_many", *SHORT, "--vary=seed=0,1"),
    "two": ("-m", "vp_jax.train", *SHORT),
}
TIMES = ("images_per_second", "wall_seconds")
SIGTERM_EVERY = 5
STARTS = 5
"""How often a killed run is started again before it is given up."""
SECONDS = 3600
"""How long a start may take, on a machine that does much else too."""

PHASES = ("before the first checkpoint", "training", "after the last step")


@dataclasses.dataclass
class Kill:
    """One kill and what became of the run.

    Attributes:
      kind, number: of the run.
      by: the signal.
      share: of the duration of an undisturbed run at which it came.
      phase: of `PHASES`, by the checkpoints that were there.
      saving: whether a checkpoint was being written.
      status: with which the killed process ended.
      starts: how many it took to the end.
      differs: what was not as in the undisturbed run; empty where the ends are identical.
    """

    kind: str
    number: int
    by: str
    share: float
    phase: str
    saving: bool
    status: int
    starts: int
    differs: list[str]


def launch(kind: str, folder: pathlib.Path) -> list[subprocess.Popen]:
    """Starts all processes of a run; what they say is appended to files beside its folder."""
    ends = [()]
    if kind == "two":
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            address = f"--coordinator=localhost:{probe.getsockname()[1]}"
        ends = [(address, "--processes=2", f"--process_id={i}") for i in range(2)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    environment["VP_JAX_CACHE"] = str(folder.parent / "cache")
    processes = []
    for number, end in enumerate(ends):
        with open(folder.with_suffix(f".{number}.log"), "ab") as log:
            command = [sys.executable, *COMMANDS[kind], f"--workdir={folder}", *end]
            processes.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
            )
    return processes


def wait(processes: Sequence[subprocess.Popen]) -> list[int]:
    """The exit statuses of processes."""
    try:
        return [process.wait(SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()


def complete(kind: str, folder: pathlib.Path) -> int:
    """Starts a run until it has ended; how often that was."""
    for number in range(1, STARTS + 1):
        if set(wait(launch(kind, folder))) == {0}:
            return number
    raise UserError(f"{folder} has not ended after {STARTS} starts: see {folder}.*.log")


def ending(folder: pathlib.Path) -> dict[str, Any]:
    """What a run has left: arrays, rows of metrics and results, by where they are."""
    found: dict[str, Any] = {}
    for place in (folder, *sorted(p for p in folder.iterdir() if p.name.isdecimal())):
        name = str(place.relative_to(folder))
        saved = SavedCheckpoints(place / "checkpoints")
        newest = saved.steps()[-1]
        best = saved.meta(newest)["progress"]["best_step"]
        for step in {newest, best} - {-1}:
            found |= {f"{name}: step {step}, {n}": x for n, x in saved.arrays(step).items()}
        if (place / "metrics.jsonl").exists():
            found[f"{name}: metrics.jsonl"] = (place / "metrics.jsonl").read_bytes()
        found[f"{name}: result.json"] = without_times(
            json.loads((place / "result.json").read_text())
        )
    return found


def without_times(result: Any) -> Any:
    """A result without what a clock has measured."""
    if isinstance(result, list):
        return [without_times(x) for x in result]
    if isinstance(result, dict):
        return {key: without_times(x) for key, x in result.items() if key not in TIMES}
    return result


def differences(one: dict[str, Any], two: dict[str, Any]) -> list[str]:
    """The names of what is not the same in two endings."""
    return sorted(
        name
        for name in one.keys() | two.keys()
        if name not in one or name not in two or not _same(one[name], two[name])
    )


def _same(one: Any, two: Any) -> bool:
    if not isinstance(one, np.ndarray):
        return one == two
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


def kill(
    kind: str, number: int, folder: pathlib.Path, seconds: float, last: int
) -> tuple[Kill, float]:
    """Begins a run, kills it at a random instant, and completes it.

    Args:
      kind, number: of the run; they and nothing else determine the instants that are drawn.
      folder: of the run.
      seconds: the duration of an undisturbed one.
      last: the step at which training ends.

    Returns:
      The kill, whose `differs` is still empty, and the duration, corrected where the run ended
      before its instant because the machine has become faster.
    """
    rng = np.random.default_rng([list(COMMANDS).index(kind), number])
    by = signal.SIGTERM if number % SIGTERM_EVERY == SIGTERM_EVERY - 1 else signal.SIGKILL
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        share = rng.uniform()
        start = time.monotonic()
        processes = launch(kind, folder)
        victim = processes[rng.integers(len(processes))]
        while time.monotonic() < start + share * seconds and victim.poll() is None:
            time.sleep(0.01)
        names = [p.name for p in (folder / "checkpoints").glob("*")]
        victim.send_signal(by)
        status = wait(processes)[processes.index(victim)]
        if status != 0:
            break
        seconds = min(seconds, time.monotonic() - start)
    steps = [int(name) for name in names if name.isdecimal()]
    phase = PHASES[0 if not steps else 1 if max(steps) < last else 2]
    saving = any("tmp" in name for name in names)
    starts = complete(kind, folder)
    return Kill(kind, number, by.name, share, phase, saving, status, starts, []), seconds


def undisturbed(kind: str, workdir: pathlib.Path) -> tuple[dict[str, Any], float, int]:
    """The ending of a run that nothing disturbs, its duration in seconds, and its last step.

    The first one compiles, the second one is timed.
    """
    whole = workdir / f"{kind}-whole"
    complete(kind, whole)
    again = workdir / f"{kind}-again"
    shutil.rmtree(again, ignore_errors=True)
    start = time.monotonic()
    complete(kind, again)
    seconds = time.monotonic() - start
    if different := differences(ending(whole), ending(again)):
        raise UserError(f"two undisturbed runs of {kind} differ: {', '.join(different)}")
    return ending(whole), seconds, SavedCheckpoints(whole / "checkpoints").steps()[-1]


def summary(kills: Sequence[Kill]) -> str:
    """The table: a row for each kind, then all."""
    rows = []
    for kind in (*COMMANDS, "all"):
        of = [k for k in kills if kind in (k.kind, "all")]
        if of:
            phases = [sum(k.phase == phase for k in of) for phase in PHASES]
            counts = (len(of), sum(k.by == "SIGTERM" for k in of), *phases)
            counts = (*counts, sum(k.saving for k in of), sum(not k.differs for k in of))
            rows.append((kind, *counts))
    headers = ("runs", "kills", "by SIGTERM", *PHASES, "while saving", "identical ends")
    return table(rows, headers)


def main(argv: Sequence[str]) -> None:
    """Kills what has not been killed yet, and prints the table."""
    cli.parse_flags(argv)
    workdir = pathlib.Path(flags.FLAGS.workdir).absolute()
    workdir.mkdir(parents=True, exist_ok=True)
    log = workdir / "kills.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    kills = [Kill(**json.loads(line)) for line in lines]
    for kind in COMMANDS:
        done = {k.number for k in kills if k.kind == kind}
        left = [n for n in range(flags.FLAGS[kind].value) if n not in done]
        if not left:
            continue
        expected, seconds, last = undisturbed(kind, workdir)
        for number in left:
            folder = workdir / f"{kind}-{number}"
            made, seconds = kill(kind, number, folder, seconds, last)
            made.differs = differences(expected, ending(folder))
            with log.open("a") as file:
                file.write(json.dumps(dataclasses.asdict(made)) + "\n")
            kills.append(made)
            if made.differs:
                print(f"{folder} differs: {', '.join(made.differs)}", file=sys.stderr)
            else:
                shutil.rmtree(folder)
            print(f"{kind} {number}: {made.by} at {made.share:.0%}, {made.phase}", file=sys.stderr)
    print(summary(kills))
    if any(k.differs for k in kills):
        raise UserError(f"not all ends are identical; those that are not are kept in {workdir}")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", "runs/kills", "folder of all runs, and of kills.jsonl")
    flags.DEFINE_integer("plain", 50, "kills of plain runs")
    flags.DEFINE_integer("many", 30, "kills of many prompts at once")
    flags.DEFINE_integer("two", 20, "kills of one of two processes")
    cli.run(main)
