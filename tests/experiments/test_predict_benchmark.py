"""The benchmark of `predict` runs, on a few images, and prints what it says it does."""

import re

import numpy as np
import pytest
from PIL import Image


@pytest.mark.slow(seconds=20)
def test_predict_beside_its_forward_pass(python, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(6):
        place = tmp_path / "photographs" / str(number % 2)
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.jpg")
    run = f"--workdir={tmp_path / 'run'}"
    python("-m", "vp_jax.train", "--config=quickstart", "--config.tune=()", run, check=True)
    few = (f"--images={tmp_path / 'photographs'}", "--count=10", "--rounds=2")
    done = python("experiments/benchmarks/predict.py", run, *few, check=True)
    assert "10 photographs (6 distinct, of 1 thousand pixels)" in done.stdout
    for name in ("predict", "forward pass alone"):
        ((speed, work),) = re.findall(rf"^{name} +([\d,.]+) +([\d,.]+)$", done.stdout, re.MULTILINE)
        assert float(speed.replace(",", "")) > 0 and float(work.replace(",", "")) > 0
    low, high = re.findall(r"(\d\.\d\d) GB", done.stdout)
    assert 0.1 < float(low) < 3 and 0.1 < float(high) < 3
