"""Evaluates a run's best checkpoint on the test split, beside the model without its prompt.

python -m vp_jax.evaluate --workdir=runs/quickstart
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError

flags.DEFINE_string("workdir", None, "folder of a training")
flags.DEFINE_string("weights", None, "where the backbone's weights are now")
flags.DEFINE_string("data_dir", None, "where the data are now")


def main(argv: Sequence[str]) -> None:
    """Parses the flags, evaluates, prints the summary."""
    cli.parse_flags(argv)
    if not flags.FLAGS.workdir:
        raise UserError("no run given: add --workdir=runs/NAME")

    from vp_jax.report.summary import evaluation_summary
    from vp_jax.runs import evaluate

    result = evaluate(flags.FLAGS.workdir, flags.FLAGS.weights, flags.FLAGS.data_dir)
    print(evaluation_summary(result))


if __name__ == "__main__":
    cli.run(main)
