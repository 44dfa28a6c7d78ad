"""Several processes that run one program together, each with devices of its own.

JAX connects them. Every process computes the same and joins every collective; process 0, the main
one, alone writes the files of a run and speaks.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
import time
from typing import Any, NoReturn

import jax
import numpy as np

from vp_jax.errors import UserError, spelled

CONNECT_SECONDS = 300
"""How long processes wait for each other at the start."""

HEARTBEAT_SECONDS = 100
"""After how long a silence a process counts as lost, as JAX has it."""

SAY_AFTER_SECONDS = 3
"""How long a process waits for the others before it says so."""

PARTING_SECONDS = 5
"""How long a process that ends by an error waits for others that end by the same."""

STATUS_ALONE = 2
"""Exit status of a process whose others do not come."""

_TASKS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")  # how many a launcher has started
_RANKS = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK")  # and which of them this one is
_NODES = "SLURM_STEP_NODELIST"
_KUBERNETES_INDEX = "JOB_COMPLETION_INDEX"
_NO_CLUSTER = "should be defined"  # in what JAX raises where it finds none

_abandoned = False  # the attempt to connect; its thread still waits in C++


def initialize(
    coordinator: str | None = None,
    processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: int = CONNECT_SECONDS,
    heartbeat: int = HEARTBEAT_SECONDS,
) -> None:
    """Connects this process with the others, if there are any. Call it before JAX computes.

    Without arguments the launcher says who they are: SLURM, Open MPI, Kubernetes or a TPU pod, as
    JAX detects them; a process that is alone goes on at once. One that waits says for whom after
    a few seconds; one that waits in vain ends with `STATUS_ALONE`, since JAX itself would abort it.

    Args:
      coordinator: `HOST:PORT` of process 0, a free port there that all can reach.
      processes: how many there are; 1 asks no launcher.
      process_id: which of them this one is, from 0.
      timeout: seconds to wait for the others.
      heartbeat: after how many seconds of silence another one counts as lost, and this one ends;
        the same number for all of them.

    Raises:
      UserError: some arguments are missing or out of range, or no connection can be made.
    """
    if heartbeat < 1:
        raise UserError(f"--heartbeat_seconds is {heartbeat}; it must be at least 1")
    given = {"coordinator": coordinator, "processes": processes, "process_id": process_id}
    if processes == 1 and coordinator is None and process_id in (None, 0):
        return
    where: dict[str, Any] = {"heartbeat_timeout_seconds": heartbeat}
    if any(value is not None for value in given.values()):
        _check(given)
        where |= {
            "coordinator_address": coordinator,
            "num_processes": processes,
            "process_id": process_id,
            "cluster_detection_method": "deactivate",
        }
    elif not _may_be_several():
        return
    # Its notifier would take SIGTERM away from the handlers of `interrupts`.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        _connect(where, timeout, _waiting(given, timeout), _unreachable(given, f"in {timeout} s"))
    except (ValueError, RuntimeError, OSError) as error:
        if set(given.values()) == {None} and _NO_CLUSTER in str(error):
            return
        reason = " ".join(str(error).split())
        raise UserError(_unreachable(given, f"({reason})")) from error


def _connect(where: dict[str, Any], timeout: int, whom: str, unreachable: str) -> None:
    """Lets JAX connect the processes while this thread listens to signals.

    JAX waits in C++, where no signal is handled, and aborts the process when nobody comes.
    """
    global _abandoned
    done, failed = threading.Event(), []

    def connect() -> None:
        try:
            jax.distributed.initialize(**where, initialization_timeout=timeout + PARTING_SECONDS)
        except BaseException as error:  # It belongs to the thread that waits.
            failed.append(error)
        done.set()

    threading.Thread(target=connect, daemon=True).start()
    try:
        if not done.wait(min(SAY_AFTER_SECONDS, timeout)) and timeout > SAY_AFTER_SECONDS:
            print(whom, file=sys.stderr, flush=True)
            done.wait(timeout - SAY_AFTER_SECONDS)
    except BaseException:
        _abandoned = True
        raise
    if not done.is_set():
        print(f"error: {unreachable}", file=sys.stderr, flush=True)
        os._exit(STATUS_ALONE)
    if failed:
        raise failed[0]


def _check(given: dict[str, Any]) -> None:
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} must be given too: several processes are started with "
            "--coordinator=HOST:PORT --processes=N --process_id=I, I from 0 to N - 1"
        )
    host, _, port = given["coordinator"].rpartition(":")
    if not host or not port.isdigit():
        raise UserError(
            f"--coordinator is {given['coordinator']!r}; it must be HOST:PORT, process 0's address "
            "and a free port there"
        )
    if not 0 <= given["process_id"] < given["processes"]:
        raise UserError(
            f"--process_id is {given['process_id']} of --processes={given['processes']}; it must "
            "be at least 0 and below their number"
        )


def _may_be_several() -> bool:
    """Whether JAX is to look for a cluster; on a TPU machine it alone knows."""
    if any(os.environ.get(name, "1") != "1" for name in _TASKS):
        return True
    wanted = os.environ.get("JAX_PLATFORMS", "")
    may_be_tpu = importlib.util.find_spec("libtpu") and (not wanted or "tpu" in wanted)
    return bool(may_be_tpu) or _KUBERNETES_INDEX in os.environ


def _waiting(given: dict[str, Any], timeout: int) -> str:
    """For whom this process waits, and who says that they exist."""
    number, of, where = given["process_id"], given["processes"], f"at {given['coordinator']}"
    why = ""
    if given["coordinator"] is None:
        named = (*_TASKS, *_RANKS, _NODES, _KUBERNETES_INDEX)
        found = {name: os.environ[name] for name in named if name in os.environ}
        of = next((found[name] for name in _TASKS if name in found), "several")
        number = next((found[name] for name in _RANKS if name in found), "one")
        where = f"on {found[_NODES]}" if _NODES in found else "of this cluster"
        why = f", as {', '.join(f'{n}={v}' for n, v in found.items()) or 'the cluster'} says"
    return (
        f"process {number} of {of} waits for the others {where}{why}; after {timeout} s it gives "
        "up. If it is alone, end it with Ctrl-C and give --processes=1"
    )


def _unreachable(given: dict[str, Any], how: str) -> str:
    if given["coordinator"] is None:
        return (
            f"the other processes of this cluster could not be reached {how}; give "
            "--coordinator=HOST:PORT --processes=N --process_id=I, or --processes=1 to train in "
            "this process alone"
        )
    return (
        f"process {given['process_id']} and the others of {given['processes']} did not meet at "
        f"{given['coordinator']} {how}; check that all were started, that the address is process "
        "0's, and that the port is free and open"
    )


def count() -> int:
    """How many processes there are. Alone it starts no backend of JAX."""
    return jax.process_count() if jax.distributed.is_initialized() and not _abandoned else 1


def must_leave() -> bool:
    """Whether this process ends by `leave`: there are others, or it stopped waiting for them."""
    return _abandoned or count() > 1


def is_main() -> bool:
    """Whether this process writes files and speaks."""
    return count() == 1 or jax.process_index() == 0


def say(text: str) -> None:
    """Prints a line to stderr, once for all processes."""
    if is_main():
        print(spelled(text), file=sys.stderr)


def least(*values: int) -> tuple[int, ...]:
    """The least of each number over all processes, which all must call it; also of truth values."""
    if count() == 1:
        return values
    from jax.experimental import multihost_utils

    packed = np.array(values, np.int64).view(np.uint8)  # JAX would cut 64 bits down to 32
    every = np.asarray(multihost_utils.process_allgather(packed)).view(np.int64)
    return tuple(int(value) for value in every.min(axis=0))


def wait() -> None:
    """Returns when all processes have called it."""
    least(0)


def of_main(tree: Any) -> Any:
    """A tree of host arrays as the main process has it."""
    if count() == 1:
        return tree
    from jax.experimental import multihost_utils

    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(tree))


def leave(status: int) -> NoReturn:
    """Ends this process, one of several.

    It does not wait at exit, as JAX does, for others that wait for it in a collective: these find
    it gone and stop.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if _abandoned:
        os._exit(status)
    from orbax.checkpoint import multihost

    with contextlib.suppress(Exception):  # The others may be gone, or still at work.
        multihost.get_barrier_sync_fn()(key="leave", timeout_ms=1000 * PARTING_SECONDS)
        if is_main():
            time.sleep(1)  # It is the coordinator, and JAX aborts those who lose it.
    os._exit(status)
