"""Compares finished runs on one page: accuracies with intervals, McNemar's test, curves.

    python -m vp_jax.compare runs/prompt runs/probe
    python -m vp_jax.compare --out=seeds.html runs/seeds/0 runs/seeds/1 runs/seeds/2

The page, compare.html in the current folder or what --out names, is one file without scripts. Runs
that were tested on the same images, which their checksums tell, are compared image by image: what
one has right and the other wrong, and whether that is more than chance. The images themselves are
read from the data of the first run; --nodata leaves them out, and reads no data.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import spell_settings

flags.DEFINE_string("out", "compare.html", "the page")
flags.DEFINE_bool("data", True, "read test images from the data of the first run")
flags.DEFINE_string("weights", None, "where the weights of the first run's backbone are now")
flags.DEFINE_string("data_dir", None, "where the data are now")

OWN_FLAGS = {"backbone.weights": "--weights", "task.data_dir": "--data_dir"}
"""By the settings of the first run that they replace."""


def main(argv: Sequence[str]) -> None:
    """Parses the flags, makes the page, says where it is."""
    spell_settings(OWN_FLAGS, "settings of the first run, in its config.json")
    workdirs = cli.parse_flags(argv, positional=True)
    given = flags.FLAGS

    from vp_jax.report.comparison.compare import compare

    note = compare(workdirs, given.out, given.weights, given.data_dir, given.data)
    if note:
        print(note, file=sys.stderr)
    print(given.out)


if __name__ == "__main__":
    cli.run(main)
