"""The flags of the command lines: configs with overrides, several processes, help."""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vp_jax import config_files
from vp_jax.config import literal
from vp_jax.config_files import load as load_config
from vp_jax.errors import UserError, spell_settings, unknown
from vp_jax.former_settings import DEFAULTS, refusal
from vp_jax.overrides import OPEN, put, split_off

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def define_process_flags() -> None:
    """The flags by which several processes find each other, for `join_processes`."""
    from absl import flags

    flags.disclaim_key_flags()
    flags.DEFINE_string("coordinator", None, "of several processes: HOST:PORT of process 0")
    flags.DEFINE_integer("processes", None, "how many; 1: this one alone, whatever a launcher says")
    flags.DEFINE_integer("process_id", None, "which of them this is, from 0")
    flags.DEFINE_integer(
        "heartbeat_seconds", None, "after how long a silence one of them counts as lost (100)"
    )


def join_processes() -> None:
    """Connects this process with the others that the flags or a launcher name, if any.

    Raises:
      UserError: flags are missing or wrong, or no connection can be made.
    """
    from absl import flags

    from vp_jax import distributed

    given = flags.FLAGS
    more = {} if given.heartbeat_seconds is None else {"heartbeat": given.heartbeat_seconds}
    distributed.initialize(given.coordinator, given.processes, given.process_id, **more)


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


def parse_flags(argv: Sequence[str], more_help: str = "", positional: bool = False) -> list[str]:
    """Parses the absl flags; `--help` prints the program's docstring, its flags and `more_help`.

    Returns:
      The arguments that are no flags.

    Raises:
      UserError: an unknown flag, a value of the wrong type, or an argument that is no flag, unless
        they are `positional`.
    """
    from absl import app, flags

    if asks_for_help(argv):
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
    if len(rest) > 1 and not positional:
        how = "settings are given as --config.NAME=VALUE" if more_help else "see --help"
        raise UserError(f"unknown argument {rest[1]!r}; {how}")
    return list(rest[1:])


def parse_run_flags(
    argv: Sequence[str], own_flags: Mapping[str, str], *, positional: bool = False
) -> list[str]:
    """Parses the flags of a command about one run, which --workdir names.

    Args:
      argv, positional: as for `parse_flags`, of which the rest comes back.
      own_flags: of the command, by the settings of the run that they replace.

    Raises:
      UserError: also where no run is named.
    """
    from absl import flags

    spell_settings(own_flags, "settings of the run, in its config.json")
    rest = parse_flags(argv, positional=positional)
    if not flags.FLAGS.workdir:
        raise UserError("no run given: add --workdir=runs/NAME")
    return rest


def asks_for_help(argv: Sequence[str]) -> bool:
    """Whether somebody wants to know how the command is called."""
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
