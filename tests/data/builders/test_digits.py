"""The digits: true to scikit-learn, prepared offline, and never seen half prepared."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from vp_jax.data import tasks
from vp_jax.data.builders import prepare
from vp_jax.data.images.decode import decode_image
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.load import load_task
from vp_jax.data.sources import source
from vp_jax.data.sources import tfds as tfds_source
from vp_jax.errors import UserError

TEST_INDICES_SHA256 = "97f3b85bc026d9bd844d794030d5455c63dae2b33b1cad95281e1d55ef1fb726"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits")
    source.read(tasks.get("digits"), path)
    return path


@pytest.fixture(scope="module")
def digits(data_dir):
    return source.read(tasks.get("digits"), data_dir)


def start(code: str, data_dir) -> subprocess.Popen:
    code = f"data_dir = {str(data_dir)!r}\n{textwrap.dedent(code)}"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def test_folder_holds_the_dataset_and_nothing_else(data_dir, digits):
    assert [p.name for p in data_dir.iterdir()] == ["vp_digits"]
    assert digits.path == data_dir / "vp_digits" / "1.0.0"


def test_counts_and_names(digits):
    assert (len(digits.train), len(digits.test)) == (1297, 500)
    assert digits.num_classes == 10


def test_every_image_equals_scikit_learn(digits):
    from sklearn import datasets

    original = datasets.load_digits()
    seen = []
    for examples in (digits.train, digits.test):
        for encoded, label, key, _ in examples:
            image = decode_image(encoded)
            assert image.shape == (8, 8, 3)
            assert np.all(np.abs(image / (255 / 16) - original.images[int(key), ..., None]) < 0.04)
            assert label == original.target[int(key)]
            seen.append(int(key))
    assert sorted(seen) == list(range(1797))


def test_split_is_stratified_and_never_changes(digits):
    indices = [int(example.key) for example in digits.test]
    assert indices == sorted(indices)
    labels = np.bincount([example.label for example in digits.test])
    assert labels.min() >= 48 and labels.max() <= 51
    digest = hashlib.sha256(np.array(indices, "<i8").tobytes()).hexdigest()
    assert digest == TEST_INDICES_SHA256


def test_load_task(data_dir):
    data = load_task("digits", resize=ResizeRule(32), data_dir=data_dir)
    assert data.train.images.shape == (1167, 8, 8, 3) and data.train.images.dtype == np.uint8
    assert data.val.labels.shape == (130,) and data.val.labels.dtype == np.int32
    assert len(data.test) == 500
    assert data.class_names[0] == "zero"

    other = load_task("digits", resize=ResizeRule(32), data_dir=data_dir, seed=1)
    np.testing.assert_array_equal(data.test.images, other.test.images)
    np.testing.assert_array_equal(data.test.labels, other.test.labels)
    assert not np.array_equal(data.val.images, other.val.images)


@pytest.mark.slow(seconds=4)
def test_needs_neither_tensorflow_nor_torch(tmp_path):
    process = start(
        """
        import sys
        import vp_jax.data
        heavy = {"tensorflow", "torch", "tensorflow_datasets", "sklearn", "PIL"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        from vp_jax.data.images.preprocess import ResizeRule
        vp_jax.data.load_task("digits", resize=ResizeRule(32), data_dir=data_dir)
        assert not {"tensorflow", "torch"} & set(sys.modules)
        """,
        tmp_path,
    )
    stderr = process.communicate()[1]
    assert process.returncode == 0, stderr
    assert "Generating" not in stderr


@pytest.mark.slow(seconds=4)
def test_killed_in_the_middle(tmp_path):
    process = start(
        """
        import os, pathlib, signal
        from vp_jax.data import tasks
        from vp_jax.data.builders import digits
        from vp_jax.data.sources import source
        png, count = digits._png, 0
        def fatal_png(image):
            global count
            count += 1
            if count == 1500:  # The training split is written.
                os.kill(os.getpid(), signal.SIGKILL)
            return png(image)
        digits._png = fatal_png
        source.read(tasks.get("digits"), data_dir)
        """,
        tmp_path,
    )
    process.communicate()
    assert process.returncode == -9
    assert any(tmp_path.rglob("*array_record*"))  # It left something,
    # Which is not taken for the dataset.
    assert tfds_source.find_prepared("vp_digits", tmp_path) is None
    assert len(source.read(tasks.get("digits"), tmp_path).test) == 500


def test_another_process_is_first(tmp_path, monkeypatch):
    generate = prepare._generate

    def slow_generate(name, staging):
        built = generate(name, staging)
        monkeypatch.setattr(prepare, "_generate", generate)
        prepare.prepare(name, tmp_path)  # What another process does meanwhile.
        (tmp_path / "vp_digits" / "1.0.0" / "mark").touch()
        return built

    monkeypatch.setattr(prepare, "_generate", slow_generate)
    digits = source.read(tasks.get("digits"), tmp_path)
    assert len(digits.test) == 500 and (digits.path / "mark").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["vp_digits"]


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written.*config\.task\.data_dir"):
        source.read(tasks.get("digits"), tmp_path / "file")


def test_something_in_the_way(tmp_path):
    way = tmp_path / "vp_digits" / "1.0.0"
    way.mkdir(parents=True)
    (way / "vp_digits-train.array_record-00000-of-00001").touch()
    with pytest.raises(UserError, match="Remove what is in the way"):
        source.read(tasks.get("digits"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["vp_digits"]
