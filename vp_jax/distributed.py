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
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
import numpy as np

from vp_jax.errors import UserError, spelled

CONNECT_SECONDS = 300
"""How long processes wait for each other at the start."""

PARTING_SECONDS = 5
"""How long a process that ends by an error waits for others that end by the same."""

STATUS_ALONE = 2
"""Exit status of a process whose others do not come."""

_TASKS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")  # how many a launcher has started
_KUBERNETES_INDEX = "JOB_COMPLETION_INDEX"
_NO_CLUSTER = "should be defined"  # in what JAX raises where it finds none


def initialize(
    coordinator: str | None = None,
    processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: int = CONNECT_SECONDS,
) -> None:
    """Connects this process with the others, if there are any. Call it before JAX computes.

    Without arguments the launcher says who they are: SLURM, Open MPI, Kubernetes or a TPU pod, as
    JAX detects them; a process that is alone goes on at once. One that waits for others in vain
    says so and ends with `STATUS_ALONE`, since JAX itself would abort it.

    Args:
      coordinator: `HOST:PORT` of process 0, a free port there that all can reach.
      processes: how many there are; 1 asks no launcher.
      process_id: which of them this one is, from 0.
      timeout: seconds to wait for the others.

    Raises:
      UserError: some arguments are missing or out of range, or no connection can be made.
    """
    given = {"coordinator": coordinator, "processes": processes, "process_id": process_id}
    if processes == 1 and coordinator is None and process_id in (None, 0):
        return
    if any(value is not None for value in given.values()):
        _check(given)
        where = {
            "coordinator_address": coordinator,
            "num_processes": processes,
            "process_id": process_id,
            "cluster_detection_method": "deactivate",
        }
    elif _may_be_several():
        where = {}
    else:
        return
    # Its notifier would take SIGTERM away from the handlers of `interrupts`.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        with _at_most(timeout, _unreachable(given, f"in {timeout} s")):
            jax.distributed.initialize(**where, initialization_timeout=timeout + PARTING_SECONDS)
    except (ValueError, RuntimeError, OSError) as error:
        if not where and _NO_CLUSTER in str(error):
            return
        reason = " ".join(str(error).split())
        raise UserError(_unreachable(given, f"({reason})")) from error


@contextlib.contextmanager
def _at_most(seconds: int, message: str) -> Iterator[None]:
    """Ends the process with a message if what is inside takes longer."""

    def end() -> None:
        print(f"error: {message}", file=sys.stderr, flush=True)
        os._exit(STATUS_ALONE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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
    return jax.process_count() if jax.distributed.is_initialized() else 1


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
    from orbax.checkpoint import multihost

    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(Exception):  # The others may be gone, or still at work.
        multihost.get_barrier_sync_fn()(key="leave", timeout_ms=1000 * PARTING_SECONDS)
        if is_main():
            time.sleep(1)  # It is the coordinator, and JAX aborts those who lose it.
    os._exit(status)
