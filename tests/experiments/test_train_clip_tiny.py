"""The training of the embedded model, on a few made-up images."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from vp_jax import backbones


def write_archive(path, splits, classes):
    rng = np.random.default_rng(len(classes))
    with tarfile.open(path, "w:xz") as archive:
        for split in splits:
            for name in classes:
                for number in range(3):
                    file = io.BytesIO()
                    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(file, "JPEG")
                    info = tarfile.TarInfo(f"./{split}/{name}/{number}.jpg")
                    info.size = file.tell()
                    file.seek(0)
                    archive.addfile(info, file)


@pytest.mark.slow(seconds=5)
def test_the_tokenizer_is_the_same_at_every_run(tmp_path, python):
    """Many pairs of equal count, in two processes, since hashes are seeded anew in each."""
    code = """
import itertools, sys
sys.path.insert(0, "experiments")
from tiny_tokenizer import train_tokenizer
words = ["".join(w) for w in itertools.permutations("abcdefg", 4)]
train_tokenizer(words, 700, sys.argv[1])
"""
    files = [tmp_path / f"{number}.json" for number in range(3)]
    for file in files:
        python("-c", code, file, check=True)
    first, *others = (file.read_text() for file in files)
    assert all(text == first for text in others)


@pytest.mark.slow
def test_it_trains_resumes_and_writes_weights_that_load(tmp_path, python):
    write_archive(tmp_path / "cifar10_jpeg.tar.xz", ("train", "test"), [f"c{i}" for i in range(10)])
    write_archive(tmp_path / "tiny_imagenet32.tar.xz", ("train", "val"), ["Oak-Tree", "guinea_pig"])
    run = tmp_path / "run"
    command = (
        "experiments/train_clip_tiny.py",
        f"--data={tmp_path}",
        f"--workdir={run}",
        "--batch=8",
    )
    done = python(*command, "--steps=3", check=True)
    assert "36 images, 12 classes" in done.stdout
    done = python(*command, "--steps=5", check=True)
    assert "going on from step 3" in done.stdout
    result = json.loads((run / "result.json").read_text())
    assert (
        result["steps"] == 5 and 0 <= result["cifar10"] <= 1 and 0 <= result["tiny_imagenet"] <= 1
    )
    model = backbones.load("clip_tiny", run / "clip_tiny_weights")
    tokens = model.tokenizer(["This is a photo of a guinea pig"])
    assert model.encode_text(model.params, tokens).shape == (1, model.embed_dim)
    assert sum(f.stat().st_size for f in (run / "clip_tiny_weights").iterdir()) < 8e6
