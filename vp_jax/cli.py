"""What the command lines share: errors in one sentence, exit statuses; their flags."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from vp_jax.command_flags import asks_for_help
from vp_jax.command_flags import define_config_flag as define_config_flag
from vp_jax.command_flags import define_process_flags as define_process_flags
from vp_jax.command_flags import join_processes as join_processes
from vp_jax.command_flags import parse_config as parse_config
from vp_jax.command_flags import parse_flags as parse_flags
from vp_jax.command_flags import parse_run_flags as parse_run_flags
from vp_jax.command_flags import setting_names as setting_names
from vp_jax.command_flags import settings_help as settings_help
from vp_jax.config_files import load
from vp_jax.errors import UserError
from vp_jax.host import files, streams, user_cache
from vp_jax.host.compilation_cache import keep_compiled_programs
from vp_jax.host.interrupts import INTERRUPTS, Interrupted
from vp_jax.host.memory import keep_freed_memory

load_config = load

STATUS_ERROR = 1
STATUS_USER_ERROR = 2


def run(main: Callable[[Sequence[str]], None], *, compiles: bool = True) -> None:
    """Calls `main(argv)`; exits with 0 when done, with 2 on a user's mistake, with 130 or 143 when
    SIGINT or SIGTERM has stopped it before its end.

    With several processes, other errors end with 1 and say how to go on.

    Args:
      main: the command.
      compiles: whether it is one that compiles programs, to be kept for its next start.
    """
    streams.mend()
    INTERRUPTS.install()
    _drop_late_answers()
    keep_freed_memory()
    if compiles and not asks_for_help(sys.argv):
        keep_compiled_programs(user_cache.find("programs"))
    try:
        _check_names(sys.argv)
        main(sys.argv)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        _leave(STATUS_USER_ERROR)
    except Interrupted as stop:
        print(f"\nstopped by {stop}; {INTERRUPTS.going_on()}")
        _leave(stop.status)
    except Exception as error:
        if isinstance(error, OSError) and files.is_disk_full(error):
            where = error.filename or "the workdir"
            print(
                f"error: the disk is full: {where} could not be written; {INTERRUPTS.going_on()}. "
                "Free some space and run the same command again",
                file=sys.stderr,
            )
            _leave(STATUS_USER_ERROR)
        if isinstance(error, OSError) and error.errno in files.NOT_THE_PROGRAM:
            print(f"error: {_sentence(error)}", file=sys.stderr)
            _leave(STATUS_USER_ERROR)
        if not _is_one_of_several():
            raise
        traceback.print_exc()
        print(
            "error: one of several processes has stopped, and the others with it; if the error "
            "above is only that a connection was lost, another process says why. Start all of them "
            f"again: {INTERRUPTS.going_on()}",
            file=sys.stderr,
        )
        _leave(STATUS_ERROR)


def _check_names(argv: Sequence[str]) -> None:
    """Refuses what this locale cannot read, before libraries in C++ fail on a path with it."""
    if sys.getfilesystemencoding() == "utf-8":
        return
    for argument in argv:
        if any("\udc80" <= letter <= "\udcff" for letter in argument):
            raise UserError(
                f"{argument!r} cannot be read in this locale, whose encoding is "
                f"{sys.getfilesystemencoding()}: set PYTHONUTF8=1, or a locale such as "
                "LC_ALL=C.UTF-8"
            )


def _sentence(error: OSError) -> str:
    """What a disk or the system has refused, in a sentence."""
    where = error.filename or "a file"
    return (
        f"{where} cannot be read or written: {error.strerror}; what was saved before is untouched. "
        "Mend that and run the same command again"
    )


def _drop_late_answers() -> None:
    """Says nothing of what TensorStore answers when a failed read or write is over already, in
    threads of its own; the error itself is raised and reported."""
    report = sys.unraisablehook

    def hook(what: sys.UnraisableHookArgs) -> None:
        if str(what.exc_value) != "Event loop is closed":
            report(what)

    sys.unraisablehook = hook


def _is_one_of_several() -> bool:
    """Whether there are other processes; they were joined by a module that imports JAX."""
    distributed = sys.modules.get("vp_jax.distributed")
    return distributed is not None and distributed.count() > 1


def _leave(status: int) -> NoReturn:
    distributed = sys.modules.get("vp_jax.distributed")
    if distributed is not None and distributed.must_leave():
        distributed.leave(status)
    sys.exit(status)
