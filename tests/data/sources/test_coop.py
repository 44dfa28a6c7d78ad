"""CoOp's split files: read as they are published, refused where they do not hold together."""

from __future__ import annotations

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import fake_files
import numpy as np
import pytest

from vp_jax.data import tasks
from vp_jax.data.sources import class_names, source
from vp_jax.errors import UserError

PETS = tasks.with_splits(tasks.get("oxford_pets"), "coop")
FILE = "split_zhou_OxfordPets.json"
SPLITS = {
    "train": [["a_1.jpg", 0, "abyssinian"], ["b_1.jpg", 1, "american_bulldog"], ["a_2.jpg", 0]],
    "val": [["b_2.jpg", 1, "american_bulldog"]],
    "test": [["sub/c_1.jpg", 2, "beagle"], ["a_3.jpg", 0, "abyssinian"]],
}
SPLITS["train"][2].append("abyssinian")


def write(root, splits=SPLITS, *, folder="oxford_pets", images="images", file=FILE):
    """CoOp's layout below `root`, with an image for every entry."""
    base = root / folder
    names = [entry[0] for entries in SPLITS.values() for entry in entries]
    pictures = {n: fake_files.png(fake_files.picture(i)) for i, n in enumerate(names)}
    base.mkdir(parents=True)
    fake_files.write_folder(base / images, pictures | {"unused.jpg": b"nothing"})
    text = splits if isinstance(splits, str) else json.dumps(splits)
    (base / file).write_text(text)
    return pictures


def changed(split, index, **parts):
    """The splits with one entry changed in its path, label or name."""
    splits = json.loads(json.dumps(SPLITS))
    entry = splits[split][index]
    for key, value in parts.items():
        entry[("path", "label", "name").index(key)] = value
    return splits


def test_reads(tmp_path):
    pictures = write(tmp_path)
    pets = source.read(tasks.get("oxford_pets"), tmp_path, splits="coop")
    assert pets.class_names == ("abyssinian", "american_bulldog", "beagle")
    assert pets.num_classes == 3 and pets.path == tmp_path / "oxford_pets" / FILE
    assert list(pets.splits) == ["train", "val", "test"] and not pets.upright
    for split, examples in pets.splits.items():
        assert [(e.key, e.label) for e in examples] == [tuple(e[:2]) for e in SPLITS[split]]
        assert [e.image for e in examples] == [pictures[e[0]] for e in SPLITS[split]]
        assert examples.labels.dtype == np.int64
        np.testing.assert_array_equal(examples.labels, [e.label for e in examples])


def test_class_names_are_those_of_the_file(tmp_path):
    write(tmp_path)
    names = class_names.resolve(PETS, source.read(PETS, tmp_path))
    assert names == ("abyssinian", "american_bulldog", "beagle")


def test_official_is_another_source(tmp_path):
    write(tmp_path)
    with pytest.raises(UserError, match="'oxford_pets' is not prepared"):
        source.read(tasks.get("oxford_pets"), tmp_path, download=False)
    with pytest.raises(UserError, match="unknown split convention"):
        source.read(tasks.get("oxford_pets"), tmp_path, splits="cooop")


def test_the_folder_of_the_task_will_do(tmp_path):
    write(tmp_path)
    assert len(source.read(PETS, tmp_path / "oxford_pets").train) == 3


@pytest.mark.parametrize("name", [n for n in tasks.names() if tasks.get(n).coop])
def test_layouts(tmp_path, name):
    task = tasks.with_splits(tasks.get(name), "coop")
    write(tmp_path, folder=task.coop.folder, images=task.coop.images, file=task.coop.file)
    assert len(source.read(task, tmp_path).test) == 2


def test_threads_and_processes(tmp_path):
    cloudpickle = pytest.importorskip("cloudpickle")
    write(tmp_path)
    train = source.read(PETS, tmp_path).train
    copied = pickle.loads(cloudpickle.dumps(train))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: train[i % 3] == copied[i % 3], range(100))) == [True] * 100


def test_fingerprint(tmp_path):
    write(tmp_path)
    first = source.read(PETS, tmp_path).fingerprint
    assert first and source.read(PETS, tmp_path).fingerprint == first
    image = tmp_path / "oxford_pets/images/sub/c_1.jpg"
    os.utime(image, ns=(0, 0))
    touched = source.read(PETS, tmp_path).fingerprint
    image.write_bytes(image.read_bytes() + b"0")
    os.utime(image, ns=(0, 0))
    longer = source.read(PETS, tmp_path).fingerprint
    splits = changed("train", 0, path="a_3.jpg") | {"test": SPLITS["test"][:1]}
    (tmp_path / "oxford_pets" / FILE).write_text(json.dumps(splits))
    assert len({first, touched, longer, source.read(PETS, tmp_path).fingerprint}) == 4
    (tmp_path / "oxford_pets/images/unused.jpg").write_bytes(b"another")
    assert source.read(PETS, tmp_path).fingerprint == source.read(PETS, tmp_path).fingerprint


def test_missing_split_file(tmp_path):
    with pytest.raises(UserError) as e:
        source.read(PETS, tmp_path)
    assert str(tmp_path / "oxford_pets" / FILE) in str(e.value)
    assert "oxford_pets/images/" in str(e.value) and "CoOp" in str(e.value)
    assert "--config.task.data_dir=DIR" in str(e.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read: JSONDecodeError"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "must have the splits train, val and test"),
        ('{"train": [], "val": []}', "must have the splits train, val and test"),
        (json.dumps(SPLITS | {"val": []}), "the split 'val' in .* is no list of images"),
        (json.dumps(SPLITS | {"test": {}}), "the split 'test' in .* is no list of images"),
        (
            json.dumps(SPLITS | {"test": ["a.jpg"]}),
            "entry 0 of the split 'test' .*'a.jpg'; it must",
        ),
        (json.dumps(SPLITS | {"val": [["b_2.jpg", 1]]}), "it must be .path, label from 0 on"),
    ],
)
def test_no_split_file(tmp_path, text, message):
    write(tmp_path, text)
    with pytest.raises(UserError, match=message):
        source.read(PETS, tmp_path)


def test_split_file_in_another_encoding(tmp_path):
    write(tmp_path)
    (tmp_path / "oxford_pets" / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read: UnicodeDecodeError"):
        source.read(PETS, tmp_path)


@pytest.mark.parametrize("label", [-1, "0", 1.0, True, None])
def test_bad_labels(tmp_path, label):
    write(tmp_path, changed("val", 0, label=label))
    with pytest.raises(UserError, match="entry 0 of the split 'val' .* label from 0 on"):
        source.read(PETS, tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "../a.jpg",
        "sub/../../a.jpg",
        "/etc/passwd",
        "",
        ".",
        "a\\b.jpg",
        "C:/a.jpg",
        "a\0.jpg",
        "..",
    ],
)
def test_paths_that_lead_elsewhere(tmp_path, path):
    write(tmp_path, changed("train", 1, path=path))
    (tmp_path / "oxford_pets" / "a.jpg").write_bytes(b"secret")
    with pytest.raises(UserError, match="entry 1 of the split 'train' .* has the path"):
        source.read(PETS, tmp_path)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            changed("test", 1, name="beagle"),
            "the label 0 in .* two classes, 'abyssinian' and 'beag",
        ),
        (changed("test", 1, label=3), "the class 'abyssinian' in .* has two labels, 0 and 3"),
        (changed("test", 0, label=4), "3 classes, but none of the label 2"),
        (changed("test", 1, path="a_1.jpg"), "the image a_1.jpg is in train and in test"),
        (changed("val", 0, path="./a_2.jpg"), "the image a_2.jpg is in train and in val"),
        (changed("train", 2, path="a_1.jpg"), "the image a_1.jpg is twice in train"),
        (changed("val", 0, name=" "), "entry 0 of the split 'val'"),
    ],
)
def test_contradictions(tmp_path, splits, message):
    write(tmp_path, splits)
    with pytest.raises(UserError, match=message):
        source.read(PETS, tmp_path)


def test_missing_images(tmp_path):
    write(tmp_path)
    images = tmp_path / "oxford_pets/images"
    (images / "a_2.jpg").unlink()
    (images / "sub/c_1.jpg").unlink()
    (images / "sub").rmdir()
    with pytest.raises(
        UserError, match=r"2 of the 6 images .* are not in .*; the first is a_2.jpg"
    ):
        source.read(PETS, tmp_path)


def test_a_folder_is_no_image(tmp_path):
    write(tmp_path)
    (tmp_path / "oxford_pets/images/a_2.jpg").unlink()
    (tmp_path / "oxford_pets/images/a_2.jpg").mkdir()
    with pytest.raises(UserError, match="1 of the 6 images"):
        source.read(PETS, tmp_path)


def test_image_that_vanishes(tmp_path):
    write(tmp_path)
    pets = source.read(PETS, tmp_path)
    (tmp_path / "oxford_pets/images/a_1.jpg").unlink()
    with pytest.raises(UserError, match=r"the image a_1.jpg .* cannot be read: FileNotFoundError"):
        pets.train[0]
