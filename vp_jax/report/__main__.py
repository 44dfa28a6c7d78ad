"""Makes the page of a finished run, report.html in its workdir, anew.

    python -m vp_jax.report --workdir=runs/quickstart

A run writes it at its end; this is for runs of earlier versions, for the members of a sweep, and
for another look. The page is one file that needs no other and no scripts. What the run answered on
its test images is kept in test_predictions.npz; a run of a version that kept none is tested again.
The images on the page are read from the data; --nodata leaves them out, and reads no data.

A sweep writes a page that compares its runs; those of its members, SWEEP/0 and so on, are made by
this command.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from vp_jax import cli

flags.DEFINE_string("workdir", None, "folder of a training")
flags.DEFINE_bool("data", True, "read the data: test images, and answers of earlier versions' runs")
flags.DEFINE_string("weights", None, "where the backbone's weights are now")
flags.DEFINE_string("data_dir", None, "where the data are now")

OWN_FLAGS = {"backbone.weights": "--weights", "task.data_dir": "--data_dir"}
"""By the settings of the run that they replace."""


def main(argv: Sequence[str]) -> None:
    """Parses the flags, makes the page, says where it is."""
    cli.parse_run_flags(argv, OWN_FLAGS)
    given = flags.FLAGS

    from vp_jax.report.run_page import make_page

    print(make_page(given.workdir, given.weights, given.data_dir, given.data))


if __name__ == "__main__":
    cli.run(main)
