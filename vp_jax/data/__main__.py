"""Lists, explains and prepares the registered tasks.

python -m vp_jax.data list
python -m vp_jax.data info svhn
python -m vp_jax.data prepare svhn --data_dir=DIR [--manual_dir=DIR]
"""

from __future__ import annotations

import pathlib
import textwrap
from collections.abc import Sequence

from vp_jax import cli
from vp_jax.data import catalog, tasks
from vp_jax.data.sources import download, source
from vp_jax.data.sources import tfds as tfds_source
from vp_jax.data.tasks.task import Task
from vp_jax.errors import UserError, spell_settings, unknown
from vp_jax.host import files
from vp_jax.report.table import table

COMMANDS = {"list": 0, "info": 1, "prepare": 1}
"""How many names of tasks each command takes."""

_WIDTH = 100
_MARGIN = 12


def main(argv: Sequence[str]) -> None:
    """Parses the command line and carries it out."""
    spell_settings({"task.data_dir": "--data_dir"}, "settings of python -m vp_jax.train")
    from absl import flags

    flags.DEFINE_string("data_dir", None, "folder of the prepared datasets; None: tfds's own")
    flags.DEFINE_string(
        "manual_dir", None, "folder of files fetched by hand; None: DATA_DIR/downloads/manual"
    )
    words = []
    for argument in argv[1:]:
        if argument.startswith("-"):
            break
        words.append(argument)
    cli.parse_flags([argv[0], *argv[1 + len(words) :]])
    command, names = _checked(words)
    if command == "list":
        print(table([catalog.row(tasks.get(name)) for name in tasks.names()], catalog.HEADERS))
        return
    root = source.default_root(flags.FLAGS.data_dir)
    manual_dir = flags.FLAGS.manual_dir
    if manual_dir is not None:
        manual_dir = files.expanded(manual_dir).absolute()
    if command == "info":
        _info(tasks.get(names[0]), root, manual_dir)
    else:
        _prepare(tasks.get(names[0]), root, manual_dir)


def _checked(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The command and the names behind it."""
    if not words:
        raise UserError(
            "no command given: list, info NAME or prepare NAME comes first, then --data_dir=DIR"
        )
    command, *names = words
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    if len(names) != COMMANDS[command]:
        wanted = f"the name of one task: {command} NAME" if COMMANDS[command] else "no name"
        raise UserError(f"{command} takes {wanted}; {len(names)} were given")
    return command, names


def _info(task: Task, root: pathlib.Path, manual_dir: pathlib.Path | None) -> None:
    for name, text in catalog.facts(task, root, manual_dir):
        lines = textwrap.wrap(text, _WIDTH - _MARGIN, break_long_words=False)
        print(f"{name:{_MARGIN}}" + f"\n{'':{_MARGIN}}".join(lines))


def _prepare(task: Task, root: pathlib.Path, manual_dir: pathlib.Path | None) -> None:
    if task.format != "tfds":
        how = download.manual(task, root) or "A training names them by its setting task.data_dir."
        raise UserError(f"the task {task.name!r} reads your own files, nothing is prepared. {how}")
    opened = tfds_source.read(task, root, manual_dir=manual_dir)
    rows = catalog.split_rows(task, opened)
    print(table(rows, ("split", "of", "examples", "declared")))
    print(f"{task.name} is prepared in {opened.path}")
    if any(size != declared and declared != "-" for _, _, size, declared in rows):
        print("The sizes are not those declared: this is another version of the dataset.")


if __name__ == "__main__":
    cli.run(main, compiles=False)
