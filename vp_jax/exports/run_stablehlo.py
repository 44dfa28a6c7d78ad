"""python run.py IMAGES.npy: a line for each image, uint8 [N, H, W, 3]; needs jax alone."""

import json
import pathlib
import sys

import jax.export
import numpy as np


def main(here: pathlib.Path, images: np.ndarray) -> None:
    names = json.loads((here / "about.json").read_text())["class_names"]
    program = jax.export.deserialize(bytearray((here / "classifier.stablehlo").read_bytes()))
    apart = [dict(np.load(path)) for path in here.glob("weights.npz")]
    for row in np.asarray(program.call(*apart, images)):
        print(names[row.argmax()], f"{row.max():.4f}", sep="\t")


if __name__ == "__main__":
    main(pathlib.Path(__file__).parent, np.load(sys.argv[1]))
