"""Lists the runs and sweeps below a folder: what became of them, and what to type to go on.

    python -m vp_jax.list_runs runs
    python -m vp_jax.list_runs runs --sort=test
    python -m vp_jax.list_runs runs --format=jsonl > runs.jsonl

A run is finished; running, where a process of this machine holds its folder; stopped, with the
step of its last checkpoint; empty, where nothing was saved yet; failed, a member of a sweep whose
loss was not finite; or damaged, with the reason. `val` is the task's metric of the best step on the
split that it is chosen by, `test` that on test; those of a sweep are its best member's. Members
stand below a sweep that is finished.

Only text files are read, and nothing is written or locked. Each command begins with the settings
that the run's own config.json has, so that it works without the config file that was given first.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError
from vp_jax.report.run_list import FORMATS, SORTS

flags.DEFINE_enum("format", None, FORMATS, "default: table on a terminal, or csv")
flags.DEFINE_enum("sort", "name", SORTS, "by what: the best first, the shortest time first")


def main(argv: Sequence[str]) -> None:
    """Parses the flags, lists the runs."""
    folders = cli.parse_flags(argv, positional=True)
    if len(folders) != 1:
        raise UserError("give one folder to look for runs in: python -m vp_jax.list_runs runs")

    from vp_jax.assembly.go_on import go_on
    from vp_jax.host import files
    from vp_jax.records.listing.state import UNFINISHED, find_runs
    from vp_jax.report import run_list

    top = files.expanded(folders[0])
    if not top.is_dir():
        what = "is no folder" if top.exists() else "is not there"
        raise UserError(f"{top} {what}: give the folder that the workdirs of runs are in")
    found = [
        run_list.Listed(
            run_list.name_of(run.folder, top),
            run,
            go_on(run.folder, run.settings) if run.state in UNFINISHED else "",
        )
        for run in find_runs(top)
    ]
    on_terminal = sys.stdout.isatty()
    kind = flags.FLAGS.format or ("table" if on_terminal else "csv")
    if not found and kind == "table":
        print(f"no run of vp_jax below {top}")
        return
    width = shutil.get_terminal_size().columns if on_terminal else None
    run_list.write(run_list.in_order(found, flags.FLAGS.sort), kind, sys.stdout, width)


if __name__ == "__main__":
    cli.run(main, compiles=False)
