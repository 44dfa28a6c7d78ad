"""Folders and archives of images become tasks; unfit layouts are refused with help."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest
from fake_files import classes, picture, write_archive, write_folder
from PIL import Image

from vp_jax.data import folder_source, source, tasks
from vp_jax.data.arrays import load_task
from vp_jax.data.preprocess import ResizeRule
from vp_jax.errors import UserError

FOLDER = tasks.get("folder")
SPLITS = classes("cat dog", under="train/") | classes("cat dog", 3, under="test/", first=1000)
VAL = classes("cat dog", 2, under="val/", first=2000)
JUNK = {
    "README.md": b"text",
    "cat/.DS_Store": b"x",
    "dog/Thumbs.db": b"x",
    ".git/objects/a.png": b"x",
    "__MACOSX/cat/._0.png": b"x",
}


def load(path, **kwargs):
    rule = ResizeRule(32)
    return load_task("folder", data_dir=path, resize=rule, progress=False, **kwargs)


def keys(examples):
    return [example.key for example in examples]


def test_classes_without_splits(tmp_path):
    files = classes("dog cat ant", 10)
    read = source.read(FOLDER, write_folder(tmp_path / "x", files | JUNK))
    assert read.class_names == ("ant", "cat", "dog") and read.num_classes == 3
    assert (len(read.train), len(read.test)) == (24, 6)
    assert sorted(keys(read.train) + keys(read.test)) == sorted(files)
    for examples in (read.train, read.test):
        assert keys(examples) == sorted(keys(examples))
        for image, label, key in examples:
            assert image == files[key] and key.startswith(read.class_names[label] + "/")
    np.testing.assert_array_equal(np.bincount([e.label for e in read.test]), [2, 2, 2])


def test_the_held_out_test_split_depends_on_the_paths_only(tmp_path):
    path = write_folder(tmp_path / "x", classes("cat dog", 20))
    first, second = load(path, seed=0), load(path, seed=1)
    np.testing.assert_array_equal(first.test.images, second.test.images)
    assert not np.array_equal(first.val.images, second.val.images)
    every = [s.images for s in (first.train, first.val, first.test)]
    assert [len(images) for images in every] == [29, 3, 8]
    assert len({image.tobytes() for image in np.concatenate(every)}) == 40
    archive = write_archive(tmp_path / "x.zip", classes("dog cat", 20))
    assert keys(source.read(FOLDER, archive).test) == keys(source.read(FOLDER, path).test)


@pytest.mark.parametrize(("fraction", "count"), [(0.1, 2), (0.5, 10), (0.94, 18)])
def test_test_fraction(tmp_path, fraction, count):
    data = load(write_folder(tmp_path / "x", classes("cat dog", 10)), test_fraction=fraction)
    assert len(data.test) == count and len(data.train) + len(data.val) == 20 - count


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_bad_test_fraction(tmp_path, fraction):
    with pytest.raises(UserError, match=r"test_fraction is .*; it must be in \(0, 1\)"):
        load(tmp_path, test_fraction=fraction)


def test_too_few_to_hold_out(tmp_path):
    with pytest.raises(UserError, match=r"0\.2 of its 2 images is no image.*config\.task\.test_fr"):
        load(write_folder(tmp_path / "x", classes("cat dog", 1)))


def test_splits(tmp_path):
    read = source.read(FOLDER, write_folder(tmp_path / "x", SPLITS))
    assert keys(read.train) == sorted(k for k in SPLITS if k.startswith("train/"))
    assert keys(read.test) == sorted(k for k in SPLITS if k.startswith("test/"))
    assert [e.label for e in read.test] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_validation_joins_the_pool(tmp_path, val):
    more = {key.replace("val/", f"{val}/"): content for key, content in VAL.items()}
    read = source.read(FOLDER, write_folder(tmp_path / "x", SPLITS | more))
    assert len(read.train) == 14 and sum(key.startswith(f"{val}/") for key in keys(read.train)) == 4
    assert [e.label for e in read.train] == [0] * 7 + [1] * 7
    assert len(read.test) == 6


def test_train_and_validation_without_a_test(tmp_path):
    files = classes("cat dog", 8, under="train/") | VAL
    read = source.read(FOLDER, write_folder(tmp_path / "x", files))
    assert (len(read.train), len(read.test)) == (16, 4)
    one = {"train/cat/0.png": b"", "train/dog/0.png": b"", "val/dog/0.png": b""}
    read = source.read(FOLDER, write_folder(tmp_path / "y", one), test_fraction=0.4)
    assert keys(read.test)[0].endswith("dog/0.png")  # A class need not be in val.


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.xz"])
@pytest.mark.parametrize("top", ["", "./", "set/", "../"])
def test_archives(tmp_path, name, top):
    files = {f"{top}{key}": content for key, content in (SPLITS | VAL | JUNK).items()}
    if top:
        files[f"{top}README"] = b"text"
    del files[f"{top}dog/Thumbs.db"], files[f"{top}cat/.DS_Store"]
    data = load(write_archive(tmp_path / name, files), val_fraction=0)
    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.test.images[4], picture(1101))
    assert (len(data.train), len(data.test)) == (14, 6)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_single_top_folder_is_looked_through(tmp_path):
    files = classes("cat dog", under="set/") | {"LICENCE": b"text"}
    read = source.read(FOLDER, write_folder(tmp_path / "x", files))
    assert read.class_names == ("cat", "dog") and read.test[0].key.startswith("set/cat/")


def test_classes_are_in_the_order_of_their_numbers(tmp_path):
    read = source.read(FOLDER, write_folder(tmp_path / "x", classes("10 9 x 1_a 010 02-b y2 y10")))
    assert read.class_names == ("1_a", "02-b", "9", "010", "10", "x", "y10", "y2")


def test_a_class_may_have_the_name_of_a_split(tmp_path):
    read = source.read(FOLDER, write_folder(tmp_path / "x", classes("car train plane")))
    assert read.class_names == ("car", "plane", "train")
    read = source.read(FOLDER, write_folder(tmp_path / "y", classes("test control")))
    assert read.class_names == ("control", "test")


def test_suffixes(tmp_path):
    Image.init()
    assert not {s for s in folder_source.SUFFIXES if s not in Image.registered_extensions()} - {
        ".avif"  # Not in every build of Pillow.
    }
    names = [f"{c}/{i}{s}" for c in "ab" for i, s in enumerate((".JPEG", ".Png", ".tif", ".txt"))]
    read = source.read(FOLDER, write_folder(tmp_path / "x", dict.fromkeys(names, b"")))
    assert len(read.train) + len(read.test) == 6


def test_class_names_from_the_user(tmp_path):
    path = write_folder(tmp_path / "x", classes("n1 n2"))
    assert load(path, class_names=("cat", "dog")).class_names == ("cat", "dog")
    with pytest.raises(UserError, match="has 2 classes, but there are 1 class names given by"):
        load(path, class_names=("cat",))


def test_corrupt_images_are_named_by_their_path(tmp_path):
    files = SPLITS | {
        "train/cat/3.png": b"no image",
        "test/dog/0.png": SPLITS["test/dog/0.png"][:60],
    }
    for path in (write_folder(tmp_path / "x", files), write_archive(tmp_path / "x.zip", files)):
        with pytest.raises(
            UserError, match=r"(?s)2 image.*\(train/cat/3\.png\).*\(test/dog/0\.png"
        ):
            load(path)
        assert load(path, skip_corrupt=True).skipped == 2


def test_names_that_are_not_utf8(tmp_path):
    path = write_folder(tmp_path / "x", classes("cat dog"))
    try:
        pathlib.Path(os.fsdecode(os.fsencode(path / "cat") + b"/\xff.png")).write_bytes(b"no image")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    with pytest.raises(UserError) as e:
        load(path)
    assert "cat/\N{REPLACEMENT CHARACTER}.png" in str(e.value)


ONE = {"0.png": b""}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"x has no folders, so there are no classes; the layout must be CLASS/IMAGE or"),
        ({"README": b""}, "has no folders"),
        (ONE, r"the image 0\.png in .*x lies in no class's folder"),
        (classes("cat dog") | ONE, r"the image 0\.png in .*x lies in no class's folder"),
        (classes("cat"), "x has only one class, 'cat'; a task needs two or more"),
        (classes("cat", under="train/"), "x has only one class, 'cat'"),
        (
            classes("cat dog") | {"emu/": b"", "fox/a.txt": b""},
            r"no image in emu, fox in .*x; every",
        ),
        (classes("cat dog", under="a/") | classes("b"), r"the image a/cat/0\.png .* lies too deep"),
        (
            classes("cat dog", under="Training/") | classes("cat dog", under="Testing/"),
            r"Testing/cat/0\.png in .*x lies too deep",
        ),
        (classes("train test"), r"the image train/0\.png in .*x lies in no class's folder"),
        (classes("cat dog", under="test/"), "x has test but no train"),
        (classes("cat dog", under="test/") | VAL, "x has test, val but no train"),
        (SPLITS | classes("cat", under="extra/"), r"an image extra/cat/0\.png"),
        (SPLITS | ONE, r"there is an image 0\.png: the layout must be"),
        (SPLITS | {"test/emu/": b""}, r"no image in emu in .*x/test"),
        (SPLITS | {"train/0.png": b""} | classes("emu"), r"test/cat/0\.png in .* lies too deep"),
        (
            SPLITS | classes("emu", under="train/") | classes("fox gnu", under="test/"),
            r"train and test in .*x .*: only test has fox, gnu; only train has emu\. Rename",
        ),
        (SPLITS | classes("emu", under="val/"), "train and val .*: only val has emu"),
        (classes("cat dog", under="train/") | {"test/": b""}, "x/test has no folders"),
    ],
)
def test_unfit_layouts(tmp_path, files, message):
    root = write_folder(tmp_path / "x", files)
    with pytest.raises(UserError, match=message):
        source.read(FOLDER, root)


def test_missing(tmp_path):
    with pytest.raises(UserError, match="no folder and no archive"):
        load(tmp_path / "none")
    for nothing in (None, ""):
        with pytest.raises(
            UserError, match=r"'folder' is about your own data: .*data_dir=PATH, a f"
        ):
            load(nothing)


def real(file):
    path = pathlib.Path(os.environ.get("VP_JAX_DATA", "data")) / file
    if not path.exists():
        pytest.skip(f"no {file}: name the folder that holds it in VP_JAX_DATA")
    return path


def test_real_photographs():
    data = load(real("imagenette_val500.tar"))
    assert (len(data.train), len(data.val), len(data.test)) == (360, 40, 100)
    assert data.class_names[0] == "cassette_player" and data.train.images.shape[1:] == (32, 32, 3)


@pytest.mark.slow
def test_a_real_compressed_archive():
    read = source.read(FOLDER, real("cifar10_jpeg.tar.xz"))
    assert (len(read.train), len(read.test)) == (50_000, 10_000)
    assert read.class_names[0] == "airplane" and read.test[0].key == "test/airplane/0000.jpg"
