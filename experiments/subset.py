"""Takes the first images of every class out of an archive, as a folder for the task `folder`.

    python experiments/subset.py --archive=cifar10_jpeg.tar.xz --out=runs/cifar10_60 \\
        --train=60 --test=40

The archive holds `train/CLASS/*` and `test/CLASS/*`; the images are copied as they are.
"""

from __future__ import annotations

import collections
import pathlib
import tarfile

import tqdm
from absl import app, flags


def copy_first(archive: pathlib.Path, out: pathlib.Path, limits: dict[str, int]) -> int:
    """Copies the first images of every class.

    Args:
      archive: of `SPLIT/CLASS/FILE`.
      out: the folder; must not be there yet.
      limits: images a class by split; other splits are left out.

    Returns:
      The number of images copied.
    """
    out.mkdir(parents=True)
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    with tarfile.open(archive) as file:
        for member in tqdm.tqdm(file, desc=archive.name, unit=" files"):
            parts = member.name.removeprefix("./").split("/")
            if not member.isfile() or len(parts) != 3 or ".." in parts:
                continue
            split, label, name = parts
            if seen[split, label] >= limits.get(split, 0):
                continue
            seen[split, label] += 1
            target = out / split / label
            target.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(file.extractfile(member).read())
    return seen.total()


def main(argv: list[str]) -> None:
    """Copies and says how many."""
    del argv
    limits = {"train": flags.FLAGS.train, "test": flags.FLAGS.test}
    count = copy_first(pathlib.Path(flags.FLAGS.archive), pathlib.Path(flags.FLAGS.out), limits)
    print(f"{count:,} images in {flags.FLAGS.out}")


if __name__ == "__main__":
    flags.DEFINE_string("archive", None, "tar file, compressed or not", required=True)
    flags.DEFINE_string("out", None, "folder to make", required=True)
    flags.DEFINE_integer("train", 60, "training images a class", lower_bound=1)
    flags.DEFINE_integer("test", 40, "test images a class", lower_bound=1)
    app.run(main)
