"""A task in memory: sizes, class names, corrupt images, bad labels."""

from __future__ import annotations

import fake_tfds
import numpy as np
import pytest
from absl import logging

from vp_jax.data import load as arrays
from vp_jax.data import tasks
from vp_jax.data.images.preprocess import ResizeRule, preprocess_one
from vp_jax.data.load import load_task
from vp_jax.data.tasks import Task
from vp_jax.errors import UserError

FAKE = Task("fake", "fake")
RULE = ResizeRule(32)


def load(data_dir, task=FAKE, **kwargs):
    return load_task(task, **{"resize": RULE, "data_dir": data_dir, "progress": False} | kwargs)


def make(data_dir, train, test, **kwargs):
    return fake_tfds.make(
        data_dir, "fake", {"train": train, "test": test}, **{"num_classes": 2} | kwargs
    )


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """A `cifar100` with a hundred classes and a few images, prepared under the true name."""
    path = tmp_path_factory.mktemp("cifar")
    splits = {
        "train": fake_tfds.random_split(400, 100),
        "test": fake_tfds.random_split(100, 100, seed=1),
    }
    names = [f"class_{i}" for i in range(100)]
    fake_tfds.make(path, "cifar100", splits, class_names=names, version="3.0.2")
    return path


def test_a_registered_task_from_a_local_copy(cifar):
    data = load(cifar, "cifar100", val_fraction=0.25)
    assert data.task == tasks.get("cifar100") and data.class_names[99] == "worm"
    assert data.skipped == 0
    images, _ = fake_tfds.random_split(400, 100)
    np.testing.assert_array_equal(np.bincount(data.val.labels), np.ones(100))
    np.testing.assert_array_equal(np.bincount(data.train.labels), np.full(100, 3))
    both = np.concatenate([data.train.images, data.val.images])
    assert {i.tobytes() for i in both} == {i.tobytes() for i in images}
    np.testing.assert_array_equal(data.test.images, fake_tfds.random_split(100, 100, seed=1)[0])
    assert [s.name for s in (data.train, data.val, data.test)] == ["train", "val", "test"]


def test_no_validation(cifar):
    data = load(cifar, "cifar100", val_fraction=0)
    assert len(data.train) == 400 and data.val.images.shape == (0, 32, 32, 3)


def test_unknown_task(cifar):
    with pytest.raises(UserError, match="cifar100"):
        load(cifar, "cifar1000")


@pytest.mark.parametrize("kwargs", [{"val_fraction": 1.0}, {"seed": -1}])
def test_bad_arguments_are_refused_before_reading(kwargs):
    with pytest.raises(UserError, match="must be at least 0"):
        load("/nowhere", **kwargs)


# Class names.


def test_class_names_from_the_user(cifar, tmp_path):
    names = [f"name {i}" for i in range(100)]
    assert load(cifar, "cifar100", class_names=names).class_names == tuple(names)
    file = tmp_path / "names.txt"
    file.write_text("\n".join(names) + "\n\n")
    assert load(cifar, "cifar100", class_names=file).class_names == tuple(names)
    assert load(cifar, "cifar100", class_names=str(file)).class_names == tuple(names)


def test_wrong_class_names(cifar, tmp_path):
    with pytest.raises(UserError, match=r"has 100 classes, but there are 2 class names given by"):
        load(cifar, "cifar100", class_names=("a", "b"))
    file = tmp_path / "names.txt"
    file.write_text("a\nb\nc\n")
    with pytest.raises(UserError, match=rf"100 classes, but there are 3 class names in {file}"):
        load(cifar, "cifar100", class_names=file)
    file.write_text("\n".join(["a"] * 50 + [""] + ["b"] * 49))
    with pytest.raises(UserError, match="name of class 50 is empty"):
        load(cifar, "cifar100", class_names=file)
    with pytest.raises(UserError, match=r"cannot be read.*config\.task\.class_names"):
        load(cifar, "cifar100", class_names=str(tmp_path / "none.txt"))


def test_no_class_names(tmp_path):
    make(tmp_path, fake_tfds.random_split(8, 2), fake_tfds.random_split(4, 2))
    with pytest.raises(UserError, match=r"class names missing.*Set --config\.task\.class_names="):
        load(tmp_path)
    assert load(tmp_path, class_names=("a", "b")).class_names == ("a", "b")
    task = Task("fake", "fake", class_names=("c", "d"))
    assert load(tmp_path, task).class_names == ("c", "d")
    with pytest.raises(UserError, match="2 classes, but there are 1 class names of the task"):
        load(tmp_path, Task("fake", "fake", class_names=("c",)))


# Sizes.


def sized(*sizes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*s, 3), dtype=np.uint8) for s in sizes], [0, 1] * (
        len(sizes) // 2
    )


@pytest.mark.parametrize(
    ("train_sizes", "test_sizes", "shape"),
    [
        ([(8, 8)] * 4, [(8, 8)] * 2, (8, 8, 3)),
        ([(64, 16)] * 4, [(64, 16)] * 2, (64, 16, 3)),  # As many pixels as 32 x 32.
        ([(64, 17)] * 4, [(64, 17)] * 2, (32, 32, 3)),
        ([(8, 8)] * 4, [(8, 9)] * 2, (32, 32, 3)),  # The last split differs from the first.
        ([(8, 8), (40, 50), (8, 8), (9, 8)], [(8, 8)] * 2, (32, 32, 3)),
    ],
)
def test_sizes(tmp_path, train_sizes, test_sizes, shape):
    train, test = sized(*train_sizes), sized(*test_sizes)
    make(tmp_path, train, test)
    data = load(tmp_path, class_names=("a", "b"), val_fraction=0)
    for split, (images, labels) in ((data.train, train), (data.test, test)):
        assert split.images.shape == (len(images), *shape) and split.images.dtype == np.uint8
        np.testing.assert_array_equal(split.labels, labels)
        for got, image in zip(split.images, images, strict=True):
            wanted = image if image.shape == shape else preprocess_one(image, RULE)
            np.testing.assert_array_equal(got, wanted)


# What is wrong with the examples.


def corrupt(images, *indices):
    return [fake_tfds.png(im)[:60] if i in indices else im for i, im in enumerate(images)]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged")
    images, labels = fake_tfds.random_split(40, 2)
    test_images, test_labels = fake_tfds.random_split(20, 2)
    test_images[3] = b"not an image at all"
    make(path, (corrupt(images, 0, *range(10, 21)), labels), (test_images, test_labels))
    return path


def test_corrupt_images_are_named(damaged, monkeypatch):
    with pytest.raises(UserError) as e:
        load(damaged, class_names=("a", "b"))
    every = [f"train example {i} (train/{i:05}.png): " for i in (0, *range(10, 21))]
    assert all(line in str(e.value) for line in (*every, "test example 3 (test/00003.png): "))
    monkeypatch.setattr(arrays, "MAX_NAMED", 10)
    with pytest.raises(UserError) as e:
        load(damaged, class_names=("a", "b"))
    message = str(e.value)
    assert "13 image(s) of 'fake'" in message
    assert "train example 0 (train/00000.png): " in message
    assert "train example 18 (train/00018.png)" in message
    assert "train example 19" not in message and "and 3 more" in message
    assert "--config.task.skip_corrupt=True" in message
    assert "0x" not in message


def test_corrupt_images_of_both_splits_are_named(tmp_path):
    images, labels = fake_tfds.random_split(10, 2)
    make(tmp_path, (corrupt(images, 7), labels), ([b"no", *images[1:]], labels), named=False)
    with pytest.raises(UserError, match=r"(?s)2 image.*train example 7: .*test example 0: "):
        load(tmp_path, class_names=("a", "b"))


def test_corrupt_images_are_skipped(damaged, monkeypatch):
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: warnings.append(text % args))
    data = load(damaged, class_names=("a", "b"), skip_corrupt=True, val_fraction=0)
    assert (len(data.train), len(data.test), data.skipped) == (28, 19, 13)
    images, labels = fake_tfds.random_split(40, 2)
    kept = [i for i in range(40) if i not in (0, *range(10, 21))]
    np.testing.assert_array_equal(data.train.images, np.stack(images)[kept])
    np.testing.assert_array_equal(data.train.labels, np.array(labels)[kept])
    assert len(warnings) == 1 and "13 image(s)" in warnings[0]


def test_nothing_left(tmp_path):
    make(tmp_path, ([b"no", b"nor this"], [0, 1]), fake_tfds.random_split(4, 2))
    with pytest.raises(UserError, match="no image of the split 'train' of 'fake' can be decoded"):
        load(tmp_path, class_names=("a", "b"), skip_corrupt=True)


def test_labels_out_of_range(tmp_path):
    images, _ = fake_tfds.random_split(4, 2)
    make(tmp_path, (images, [0, 1, 2, 7]), (images, [0, 1, 0, 1]), plain_label=True)
    with pytest.raises(UserError, match=r"2 label.*'train'.*outside 0 \.\. 1.*first is 2"):
        load(tmp_path, class_names=("a", "b"))


def test_negative_labels(tmp_path):
    images, _ = fake_tfds.random_split(4, 2)
    make(tmp_path, (images, [0, 1, 0, 1]), (images, [0, -1, 0, 1]), plain_label=True)
    with pytest.raises(UserError, match=r"1 label.*'test'.*first is -1"):
        load(tmp_path, class_names=("a", "b"))
