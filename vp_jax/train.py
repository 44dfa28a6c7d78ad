"""Learns a visual prompt for a frozen model.

    python -m vp_jax.train --config=configs/quickstart.py
    python -m vp_jax.train --config=configs/clip_pad.py --workdir=runs/pad30 --config.seed=1

Everything is written to --workdir. The same command goes on after any interruption. Every setting
of the config (vp_jax/config.py lists them with their meaning) can be given on the command line:
--config.task.name=svhn_cropped --config.prompt="normalize | pad(10)" --config.tune=prompt
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from vp_jax import cli
from vp_jax.host import files

cli.define_config_flag()
flags.DEFINE_string("workdir", None, "folder of this run (default: runs/ and the config's name)")
cli.define_process_flags()


def main(argv: Sequence[str]) -> None:
    """Parses the flags, trains, prints the summary."""
    config, name = cli.parse_config(argv)
    workdir = files.expanded(flags.FLAGS.workdir or f"runs/{name}")
    cli.join_processes()

    from vp_jax import distributed
    from vp_jax.report.summary import training_summary
    from vp_jax.runs import train

    result = train(config, workdir)
    if distributed.is_main():
        print(training_summary(result, workdir))


if __name__ == "__main__":
    cli.run(main)
