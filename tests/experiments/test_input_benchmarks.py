"""The benchmarks of input run, at a tiny size, and print what they say they do."""

import re

import pytest

PEAK = ("--peak_sides=64", "--peak_seconds=0")


@pytest.mark.slow
def test_pipelines(python):
    small = ("--model=clip_tiny", "--count=24", "--batch=8", "--steps=1", "--rounds=1", *PEAK)
    done = python("experiments/benchmarks/pipelines.py", *small, check=True)
    for table in ("32 x 32, PNG", "500 x 375, JPEG"):
        assert table in done.stdout
    for name in ("resident", "cached", "stream", "fixed batch"):
        assert len(re.findall(rf"^{name} ", done.stdout, re.MULTILINE)) == 2


@pytest.mark.slow
def test_an_epoch_of_resident_images(python):
    done = python(
        "experiments/benchmarks/resident_epoch.py", "--images=64", "--batch=8", *PEAK, check=True
    )
    assert re.search(r"^outside +\d+\.\d+ %$", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_the_first_step(python):
    done = python("experiments/benchmarks/first_step.py", "--count=20", check=True)
    first, second = re.findall(r"start +(\d+\.\d) s", done.stdout)
    assert float(first) > 0 and float(second) > 0


@pytest.mark.slow
def test_memory(python):
    small = ("--gigabytes=0.001", "--width=200", "--size=32", "--batch=1", "--steps=2")
    done = python("experiments/benchmarks/memory.py", *small, check=True)
    assert re.search(r"^cached .* \d\.\d\d GB$", done.stdout, re.MULTILINE)
    assert re.search(r"^stream .* \d\.\d\d GB$", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_the_picture_of_augmentations(python, tmp_path):
    done = python("experiments/show_augmentations.py", "--help")
    assert "augmentation.png" in done.stdout + done.stderr
