"""Makes a folder of JPEG files that decode like photographs, for benchmarks of input.

    python experiments/benchmarks/photographs.py --out=/tmp/photographs --count=10000

Each picture is its own: smooth colours, edges and noise whose spectrum falls as that of natural
images does, from the seed 0. At 500 x 375 and quality 90 a file has about 65 kB, as photographs of
that size have.
"""

from __future__ import annotations

import io
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tqdm
from absl import app, flags
from PIL import Image

CLASSES = 10


def pixels(number: int, size: tuple[int, int]) -> np.ndarray:
    """A picture uint8 `[h, w, 3]` of the size (w, h); each number has another one."""
    rng = np.random.default_rng(number)
    width, height = size
    picture = np.zeros((height, width, 3), np.float32)
    side = 4
    while side < 2 * max(size):
        grid = rng.normal(size=(side * height // max(size) + 2, side * width // max(size) + 2, 3))
        layer = [
            np.asarray(Image.fromarray(grid[..., c].astype(np.float32)).resize(size, 2))
            for c in range(3)
        ]
        picture += np.stack(layer, -1) / side**0.4
        side *= 2
    picture += (
        rng.choice([-0.3, 0.3])
        * (np.add.outer(np.arange(height), np.arange(width)) % 190 < 60)[..., None]
    )
    low, high = np.quantile(picture[::8, ::8], [0.01, 0.99])
    return ((picture - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def jpeg(number: int, size: tuple[int, int] = (500, 375)) -> bytes:
    """The file of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels(number, size)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make(out: pathlib.Path, count: int, size: tuple[int, int] = (500, 375)) -> None:
    """Writes `out/class_0 ... class_9/NUMBER.jpg`, those that are not there yet."""
    for label in range(CLASSES):
        (out / f"class_{label}").mkdir(parents=True, exist_ok=True)

    def write(number: int) -> None:
        path = out / f"class_{number % CLASSES}" / f"{number:06}.jpg"
        if not path.exists():
            path.write_bytes(jpeg(number, size))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(tqdm.tqdm(pool.map(write, range(count)), total=count, desc="making photographs"))


def main(argv: list[str]) -> None:
    """Makes them and says how large they are."""
    del argv
    out = pathlib.Path(flags.FLAGS.out)
    size = (flags.FLAGS.width, flags.FLAGS.width * 3 // 4)
    make(out, flags.FLAGS.count, size)
    total = sum(path.stat().st_size for path in out.rglob("*.jpg"))
    print(f"{flags.FLAGS.count:,} files of {size[0]} x {size[1]}, {total / 1e6:,.0f} MB in {out}")


if __name__ == "__main__":
    flags.DEFINE_string("out", None, "folder to make", required=True)
    flags.DEFINE_integer("count", 10_000, "photographs", lower_bound=CLASSES)
    flags.DEFINE_integer("width", 500, "pixels; the height is three quarters of it", lower_bound=4)
    app.run(main)
