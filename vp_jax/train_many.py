"""Trains many visual prompts or heads at once over one frozen model, in one program.

    python -m vp_jax.train_many --config=configs/quickstart.py --workdir=runs/sweep \\
        --vary="seed=0,1,2;optimizer.learning_rate=5,10"

--vary lists the values of some settings, as above or as JSON:

    --vary='{"prompt": ["normalize | pad(10)", "normalize | pad(30)"], "seed": [0, 1, 2]}'

Every combination is a run of its own. Settings that may vary: seed, prompt,
optimizer.learning_rate, optimizer.learning_rates.prompt, optimizer.learning_rates.head. All others
are shared, and given as for vp_jax.train: --config.epochs=20 --config.tune=prompt,head.

Each ends in --workdir/0, --workdir/1, ... as a run of vp_jax.train would, for
vp_jax.evaluate to read; sweep.png has all curves, result.json all results, and the accuracy of all
prompts together (the mean of their class probabilities). The same command goes on after any
interruption.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError
from vp_jax.host import files

cli.define_config_flag()
flags.DEFINE_string("vary", None, "what varies: NAME=VALUE,VALUE;NAME=VALUE,VALUE or JSON")
flags.DEFINE_string(
    "workdir", None, "folder of the sweep (default: runs/, the config's name and _many)"
)


def main(argv: Sequence[str]) -> None:
    """Parses the flags, trains, prints the summary."""
    config, name = cli.parse_config(argv)
    if not flags.FLAGS.vary:
        raise UserError('nothing varies: add --vary="NAME=VALUE,VALUE", as in --vary="seed=0,1,2"')
    workdir = files.expanded(flags.FLAGS.workdir or f"runs/{name}_many")

    from vp_jax.many import grid, parse_vary, train_many
    from vp_jax.report.summary import sweep_summary

    result = train_many(config, grid(parse_vary(flags.FLAGS.vary)), workdir)
    print(sweep_summary(result, workdir))


if __name__ == "__main__":
    cli.run(main)
