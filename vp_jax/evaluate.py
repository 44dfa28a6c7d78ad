"""Evaluates a run's best checkpoint on the test split, beside the model without its prompt.

python -m vp_jax.evaluate --workdir=runs/quickstart
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from vp_jax import cli

flags.DEFINE_string("workdir", None, "folder of a training")
flags.DEFINE_string("weights", None, "where the backbone's weights are now")
flags.DEFINE_string("data_dir", None, "where the data are now")
flags.DEFINE_integer("batch_size", None, "images at a time, if not as in training")
cli.define_process_flags()

OWN_FLAGS = {
    "backbone.weights": "--weights",
    "task.data_dir": "--data_dir",
    "batch_size": "--batch_size",
}
"""By the settings of the run that they replace."""


def main(argv: Sequence[str]) -> None:
    """Parses the flags, evaluates, prints the summary."""
    cli.parse_run_flags(argv, OWN_FLAGS)
    cli.join_processes()

    from vp_jax import distributed
    from vp_jax.report.summary import evaluation_summary
    from vp_jax.runs import evaluate

    given = flags.FLAGS
    result = evaluate(given.workdir, given.weights, given.data_dir, batch_size=given.batch_size)
    if distributed.is_main():
        print(evaluation_summary(result))


if __name__ == "__main__":
    cli.run(main)
