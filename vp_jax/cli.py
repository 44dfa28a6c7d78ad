"""What the command lines share: flags and configs, errors in one sentence, exit statuses."""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from vp_jax import config_files
from vp_jax.config import literal
from vp_jax.config_files import load as load_config
from vp_jax.errors import UserError, unknown
from vp_jax.former_settings import DEFAULTS, refusal
from vp_jax.host import files, streams, user_cache
from vp_jax.host.compilation_cache import keep_compiled_programs
from vp_jax.host.interrupts import INTERRUPTS, Interrupted
from vp_jax.host.memory import keep_freed_memory
from vp_jax.overrides import OPEN, put, split_off

if TYPE_CHECKING:
    from ml_collections import ConfigDict

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
    if compiles and not _asks_for_help(sys.argv):
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


def define_process_flags() -> None:
    """The flags by which several processes find each other, for `join_processes`."""
    from absl import flags

    flags.disclaim_key_flags()
    flags.DEFINE_string("coordinator", None, "of several processes: HOST:PORT of process 0")
    flags.DEFINE_integer("processes", None, "how many; 1: this one alone, whatever a launcher says")
    flags.DEFINE_integer("process_id", None, "which of them this is, from 0")


def join_processes() -> None:
    """Connects this process with the others that the flags or a launcher name, if any.

    Raises:
      UserError: flags are missing or wrong, or no connection can be made.
    """
    from absl import flags

    from vp_jax import distributed

    given = flags.FLAGS
    distributed.initialize(given.coordinator, given.processes, given.process_id)


def define_config_flag() -> None:
    """The flag `--config`, for `parse_config`."""
    from absl import flags
    from ml_collections import config_flags

    class Parser(flags.ArgumentParser[Any]):
        def parse(self, argument: str) -> ConfigDict:
            return load_config(argument)

    flags.disclaim_key_flags()
    about = "a config's name or its file; --config.NAME=VALUE overrides"
    config_flags.DEFINE_config_file("config", None, about)
    flags.FLAGS["config"].parser = Parser()


def parse_config(argv: Sequence[str]) -> tuple[ConfigDict, str]:
    """Reads `--config=FILE` and its `--config.NAME=VALUE` overrides from the absl flags.

    The flag must have been defined by `define_config_flag`.

    Lists may be typed plainly, `--config.tune=prompt,head`, and arguments of the optimiser under
    any name: see `overrides`.

    Returns:
      The config and the file's name without its ending.
    """
    from absl import flags

    files = [m.group(1) for a in argv if (m := re.fullmatch(r"--?config=(.*)", a))]
    files += [b for a, b in zip(argv, argv[1:], strict=False) if a in ("--config", "-config")]
    if files:
        check_overrides(load_config(files[-1]), argv)
    rest, overrides = split_off(argv)
    with _as_sys_argv(rest):
        parse_flags(rest, f"{config_files.help_text()}\n\n{settings_help()}")
    if not files:
        raise UserError(
            f"no config given: add --config=NAME, of {', '.join(config_files.names())}, or "
            "--config=FILE"
        )
    config = flags.FLAGS.config
    put(config, overrides)
    config.tune = tuple(map(str, config.tune))
    return config, config_files.find(files[-1]).stem


@contextlib.contextmanager
def _as_sys_argv(argv: Sequence[str]) -> Iterator[None]:
    """Lets `config_flags`, which looks there for overrides, see these arguments."""
    before, sys.argv = sys.argv, list(argv)
    try:
        yield
    finally:
        sys.argv = before


def parse_flags(argv: Sequence[str], more_help: str = "") -> None:
    """Parses the absl flags; `--help` prints the program's docstring, its flags and `more_help`.

    Raises:
      UserError: an unknown flag, a value of the wrong type, or an argument that is no flag.
    """
    from absl import app, flags

    if _asks_for_help(argv):
        print(sys.modules["__main__"].__doc__)
        print(flags.FLAGS.main_module_help())
        print(more_help)
        sys.exit(0)
    app.define_help_flags()
    try:
        rest = flags.FLAGS(list(argv))
    except flags.Error as error:
        what = re.sub(
            r"^Found (.*) in argv before.*", r"\1 must stand behind --config=FILE", f"{error}"
        )
        raise UserError(what) from error
    if len(rest) > 1:
        how = "settings are given as --config.NAME=VALUE" if more_help else "see --help"
        raise UserError(f"unknown argument {rest[1]!r}; {how}")


def _asks_for_help(argv: Sequence[str]) -> bool:
    return any(a in ("--help", "-help", "-h", "-?", "--helpshort") for a in argv)


def settings_help() -> str:
    """All settings with their defaults and meanings, a line each, from the source of `config`."""
    from vp_jax import config

    lines = ["settings, each also as --config.NAME=VALUE, with the defaults:", ""]
    for line in inspect.getsource(config.default).splitlines():
        match = re.fullmatch(r"    config\.(\S+) = (.+?)(?:  # (.*))?", line)
        if match and (match.group(2) != "ConfigDict()" or match.group(3)):
            name, value, meaning = match.groups()
            value = re.sub(r"placeholder\(\w+\)", "None", value).replace("ConfigDict()", "{}")
            value = re.sub(r"any_type\((.+)\)", r"\1", value)
            lines.append(f"  {name:28} {value:28} {meaning or ''}".rstrip())
    return "\n".join(lines)


def check_overrides(config: ConfigDict, argv: Sequence[str]) -> None:
    """Refuses `--config.NAME` where the config has no such setting, with the nearest names."""
    valid = setting_names(config)
    former = {}
    for argument in argv[1:]:
        match = re.fullmatch(r"--?(no)?config\.prompt\.(\w+)(?:=(.*))?", argument, re.DOTALL)
        if match and match[2] in DEFAULTS:
            former[match[2]] = not match[1] if match[3] is None else literal(match[3])
    if former:
        raise UserError(refusal(former))
    for argument in argv[1:]:
        match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if match and match.group(1) not in valid and not match.group(1).startswith(f"{OPEN}."):
            raise unknown("setting", match.group(1), valid)


def setting_names(config: ConfigDict, prefix: str = "") -> list[str]:
    """The dotted names of all settings that hold a value."""
    names = []
    for key, value in config.items():
        if hasattr(value, "items") and len(value):
            names += setting_names(value, f"{prefix}{key}.")
        else:
            names.append(prefix + key)
    return names
