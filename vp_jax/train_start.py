"""Learns a prompt on several tasks, as a start for others: DAM-VP's, by Reptile.

    python -m vp_jax.train_start --config=configs/methods/dam_vp_start.py --workdir=runs/start \\
        --tasks=sun397,oxford_pets,eurosat
    python -m vp_jax.train --config=configs/methods/dam_vp.py --config.start.from_run=runs/start

--tasks names the tasks, or is JSON with settings that a task has of its own, of task.*, head.*,
optimizer.* and batch_size:

    --tasks='["eurosat", {"task.name": "folder", "task.data_dir": "fruits"}]'

In each of --rounds every task makes --steps steps from the prompt, with an optimiser that begins
anew; then the prompt moves --share of the way to the mean of what the tasks have. All other
settings are given as for vp_jax.train; epochs and evaluations have no meaning.

--workdir ends as that of a run on the first task. The same command goes on after any interruption.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError
from vp_jax.host import files

cli.define_config_flag()
flags.DEFINE_string("tasks", None, "names of tasks with commas between them, or JSON")
flags.DEFINE_integer("rounds", 200, "of all tasks")
flags.DEFINE_integer("steps", 6, "of every task in a round")
flags.DEFINE_float("share", 0.5, "of the way to the mean of the tasks, in [0, 1]")
flags.DEFINE_string("workdir", None, "folder of the start (default: runs/ and the config's name)")


def main(argv: Sequence[str]) -> None:
    """Parses the flags, trains, prints the summary."""
    config, name = cli.parse_config(argv)
    if not flags.FLAGS.tasks:
        raise UserError("there is no task: add --tasks=NAME,NAME, as in --tasks=digits,eurosat")
    workdir = files.expanded(flags.FLAGS.workdir or f"runs/{name}")

    from vp_jax.report.start import start_summary
    from vp_jax.starts import Rounds, parse_tasks, train_start

    rounds = Rounds(flags.FLAGS.rounds, flags.FLAGS.steps, flags.FLAGS.share)
    result = train_start(config, parse_tasks(flags.FLAGS.tasks), workdir, rounds)
    print(start_summary(result, workdir))


if __name__ == "__main__":
    cli.run(main)
