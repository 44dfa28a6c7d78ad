"""Says what a trained prompt, or head, sees on images: files, folders and archives.

    python -m vp_jax.predict --workdir=runs/quickstart digits/ other.png
    python -m vp_jax.predict --workdir=runs/quickstart --format=csv --top=3 images.zip > found.csv
    find photos -name '*.jpg' | python -m vp_jax.predict --workdir=runs/quickstart --format=jsonl -

A folder or an archive stands for all images in it; `-` reads their names from standard input, a
line each. Images are decoded, resized and cropped as in training. Answers come in the order of the
images, as they are found, so that any number of them takes the memory of a few batches. What cannot
be read is told at the end, and ends the command with status 1; all other answers are there.

--threshold=0.8 gives no answer where the most likely class has a lower probability; --by_folder
counts how often the answer is the class that the image's folder is named after.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from absl import flags

from vp_jax import cli
from vp_jax.errors import UserError

flags.DEFINE_string("workdir", None, "folder of a training")
flags.DEFINE_enum("format", None, ["table", "csv", "jsonl"], "default: table on a terminal, or csv")
flags.DEFINE_integer("top", 1, "how many classes of each image, the most likely first")
flags.DEFINE_float("threshold", 0.0, "no answer below this probability")
flags.DEFINE_bool("by_folder", False, "the folder of an image names its class: count right answers")
flags.DEFINE_string("weights", None, "where the backbone's weights are now")
flags.DEFINE_integer("batch_size", None, "images at a time, if not as in training")

OWN_FLAGS = {"backbone.weights": "--weights", "batch_size": "--batch_size"}
"""By the settings of the run that they replace."""


def lines(file: Iterator[str]) -> Iterator[str]:
    """Names of images, a line each; empty ones are passed over."""
    for line in file:
        if name := line.rstrip("\r\n"):
            yield name


def main(argv: Sequence[str]) -> None:
    """Parses the flags, predicts, says how many images there were."""
    paths = cli.parse_run_flags(argv, OWN_FLAGS, positional=True)
    given = flags.FLAGS
    if not paths:
        raise UserError("no images given: name files, folders or archives, or - for a list of them")
    if given.top < 1 or not 0 <= given.threshold <= 1:
        raise UserError("--top must be at least 1, and --threshold a probability from 0 to 1")

    from vp_jax.answers import answer_all
    from vp_jax.report.predictions import writer
    from vp_jax.restored import load

    kind = given.format or ("table" if sys.stdout.isatty() else "csv")
    model = load(given.workdir, weights=given.weights, batch_size=given.batch_size)
    write = writer(kind, model.class_names, given.top, given.by_folder, sys.stdout)
    names = lines(sys.stdin) if paths == ["-"] else iter(paths)
    count = answer_all(model, names, write, given.top, given.threshold, given.by_folder)
    print(count.summary(given.by_folder), file=sys.stderr)
    if count.failed:
        raise SystemExit(cli.STATUS_ERROR)


if __name__ == "__main__":
    cli.run(main)
