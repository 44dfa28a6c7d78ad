"""Folders and archives of images become tasks; unfit layouts are refused with help."""

from __future__ import annotations

import concurrent.futures
import io
import os
import pathlib
import re

import cloudpickle
import numpy as np
import pytest
from absl import logging
from fake_files import classes, picture, write_archive, write_folder
from fake_tfds import png
from PIL import Image

from vp_jax.data import tasks
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.load import load_task
from vp_jax.data.sources import folder as folder_source
from vp_jax.data.sources import source
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
        for index, example in enumerate(examples):
            assert example.image == files[example.key] and example.group == 0
            assert example.key.startswith(read.class_names[example.label] + "/")
            assert example.label == examples.labels[index]
        assert examples.labels.dtype == np.int64 and examples.shape is None
    np.testing.assert_array_equal(np.bincount(read.test.labels), [2, 2, 2])
    assert read.val is None and read.upright and read.fingerprint


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


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_the_folders_own_validation_split(tmp_path, val):
    more = {key.replace("val/", f"{val}/"): content for key, content in VAL.items()}
    root = write_folder(tmp_path / "x", SPLITS | more)
    read = source.read(FOLDER, root)
    assert keys(read.val) == sorted(more) and read.val.labels.tolist() == [0, 0, 1, 1]
    assert keys(read.train) == sorted(k for k in SPLITS if k.startswith("train/"))
    assert len(read.test) == 6
    data = load(root, val_fraction=0.5)  # Has no effect.
    assert [len(s) for s in (data.train, data.val, data.test)] == [10, 4, 6]
    np.testing.assert_array_equal(data.val.images[2], picture(2100))
    assert data.val.name == "val"


def test_train_and_validation_without_a_test(tmp_path):
    files = classes("cat dog", 8, under="train/") | VAL
    read = source.read(FOLDER, write_folder(tmp_path / "x", files))
    assert (len(read.train), len(read.val), len(read.test)) == (13, 4, 3)
    assert all(key.startswith("train/") for key in keys(read.train) + keys(read.test))


def test_a_class_need_not_be_in_val(tmp_path):
    files = SPLITS | {"val/dog/0.png": b"", "val/cat/": b""}
    read = source.read(FOLDER, write_folder(tmp_path / "x", files))
    assert keys(read.val) == ["val/dog/0.png"] and read.val.labels.tolist() == [1]


@pytest.mark.parametrize("names", ["Train TEST Val", "training testing validation"])
def test_other_names_of_splits(tmp_path, names):
    train, test, val = names.split()
    files = classes("b a", 4, under=f"{train}/") | classes("a b", 2, under=f"{test}/")
    files |= classes("a b", 1, under=f"{val}/")
    read = source.read(FOLDER, write_folder(tmp_path / "x", files))
    assert {name: len(split) for name, split in read.splits.items()} == {
        "train": 8, "val": 2, "test": 4
    }  # fmt: skip


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz"])
@pytest.mark.parametrize("top", ["", "./", "set/", "../"])
def test_archives(tmp_path, name, top):
    files = {f"{top}{key}": content for key, content in (SPLITS | VAL | JUNK).items()}
    if top:
        files[f"{top}README"] = b"text"
    del files[f"{top}dog/Thumbs.db"], files[f"{top}cat/.DS_Store"]
    data = load(write_archive(tmp_path / name, files), val_fraction=0)
    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.test.images[4], picture(1101))
    assert (len(data.train), len(data.val), len(data.test)) == (10, 4, 6)
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


# Messy folders.


def test_what_lies_around_is_passed_over(tmp_path):
    files = classes("cat dog") | JUNK | {
        "cat/notes.txt": b"", "cat/desktop.ini": b"", "dog/0.xmp": b"", "@eaDir/0.png": b"",
        "labels.json": b"", "cat/.ipynb_checkpoints/0.png": b"", "cat/sub/": b"",
    }  # fmt: skip
    read = source.read(FOLDER, write_folder(tmp_path / "x", files))
    assert sorted(keys(read.train) + keys(read.test)) == sorted(classes("cat dog"))


@pytest.mark.parametrize("table", ["labels.csv", "train/metadata.csv", "Labels.TSV"])
def test_a_table_that_may_hold_the_labels_is_named(tmp_path, monkeypatch, table):
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: warnings.append(text % args))
    path = tmp_path / "x" / table
    advice = f"if the labels are in {path}, name that file with --config.task.data_dir={path}"
    root = write_folder(tmp_path / "x", SPLITS | {table: b"path,label"})
    assert source.read(FOLDER, root).class_names == ("cat", "dog")
    assert warnings == [f"The classes of {root} are its folders; {advice}"]
    (root / "train/0.png").write_bytes(b"")
    with pytest.raises(UserError, match=rf"lies in no class's folder.*; {re.escape(advice)}$"):
        source.read(FOLDER, root)


def test_names_of_all_sorts(tmp_path):
    names = ["Größe", "a b", "猫", "x.y", "it's", "100%", "photo.jpg"]
    files = {f"{name}/ein Bild ñ {i}.PNG": png(picture(i)) for name in names for i in range(3)}
    root = write_folder(tmp_path / "x", files)
    read = source.read(FOLDER, root)
    assert read.class_names == tuple(sorted(names, key=lambda n: (n != "100%", n)))
    assert sorted(keys(read.train) + keys(read.test)) == sorted(files)
    assert load(root).class_names == read.class_names


def test_one_name_in_two_unicode_forms(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    files = classes(f"{apart} tea", under="train/") | classes(f"{composed} tea", under="test/")
    read = source.read(FOLDER, write_archive(tmp_path / "x.zip", files))
    assert read.class_names == (composed, "tea") and len(read.test) == 10


def test_a_folder_with_a_tilde(tmp_path, monkeypatch):
    write_folder(tmp_path / "x", classes("cat dog"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source.read(FOLDER, "~/x").path == tmp_path / "x"
    monkeypatch.chdir(tmp_path)
    assert source.read(FOLDER, "x").path == tmp_path / "x"


def test_a_photograph_instead_of_a_folder(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(png(picture(0)))
    with pytest.raises(UserError, match=r"x\.jpg cannot be read .*not one of \.zip, \.tar"):
        source.read(FOLDER, path)


def test_links_to_images_and_folders(tmp_path):
    stock = write_folder(tmp_path / "stock", classes("cat dog", 4))
    root = tmp_path / "x"
    (root / "cat").mkdir(parents=True)
    (root / "dog").symlink_to(stock / "dog")
    for i in range(4):
        (root / f"cat/{i}.png").symlink_to(stock / f"cat/{i}.png")
    data = load(root, val_fraction=0)
    assert data.class_names == ("cat", "dog") and len(data.train) + len(data.test) == 8


def test_a_folder_called_like_an_image_is_named(tmp_path):
    root = write_folder(
        tmp_path / "x", classes("cat dog") | {"cat/0.jpg/": b"", "a.png/0.png": b""}
    )
    read = source.read(FOLDER, root)
    assert read.class_names == ("a.png", "cat", "dog")
    with pytest.raises(UserError, match=r"cat/0\.jpg in .* cannot be read .it is a folder"):
        list(read.train), list(read.test)


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    files = {f"{name}/{i}.png": buffer.getvalue() for name in "ab" for i in range(3)}
    data = load(write_folder(tmp_path / "x", files))
    assert data.test.images.shape[1:] == (8, 4, 3)
    np.testing.assert_array_equal(data.test.images[0], np.rot90(pixels, -1))


@pytest.mark.parametrize("name", ["x", "x.zip", "x.tar.gz"])
def test_examples_may_be_pickled_and_read_by_threads(tmp_path, name):
    write = write_folder if name == "x" else write_archive
    files = classes("a b", 20)
    read = source.read(FOLDER, write(tmp_path / name, files))
    examples = cloudpickle.loads(cloudpickle.dumps(read.train))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for example in pool.map(examples.__getitem__, range(len(examples))):
            assert example.image == files[example.key]


def test_the_fingerprint_changes_with_the_files(tmp_path):
    root = write_folder(tmp_path / "x", SPLITS | VAL)
    prints = [source.read(FOLDER, root).fingerprint]

    def changed():
        prints.append(source.read(FOLDER, root).fingerprint)
        return prints[-1] not in prints[:-1]

    assert not changed()
    os.utime(root / "val/dog/1.png", ns=(1, 1))
    assert changed()
    (root / "train/cat/9.png").write_bytes(b"more")
    assert changed()
    (root / "train/cat/9.png").rename(root / "train/dog/9.png")
    assert changed()
    (root / "classes.txt").write_text("Cats\nDogs\n")
    assert changed()
    (root / "README").write_text("not of the dataset")
    assert not changed()


# Names of classes from a file.


@pytest.mark.parametrize(
    "text",
    [
        "Big cats\nSmall dogs\nEmus: birds\n\n",
        "\ufeffcat: Big cats\r\ndog:Small dogs\r\nemu: Emus: birds",
        "emu\tEmus: birds\ncat\tBig cats\ndog\t Small dogs ",
        "emu: Emus: birds\ncat\tBig cats\n  dog : Small dogs\n",
    ],
)
@pytest.mark.parametrize("under", ["", "set/"])
def test_a_file_of_class_names(tmp_path, text, under):
    files = classes("cat dog emu", under=under) | {f"{under}classes.txt": text.encode()}
    for root in (
        write_folder(tmp_path / "x", files),
        write_archive(tmp_path / "x.zip", files),
        write_archive(tmp_path / "x.tar.gz", files),
    ):
        read = source.read(FOLDER, root)
        assert read.class_names == ("Big cats", "Small dogs", "Emus: birds")
        assert load(root).class_names == read.class_names
        assert len(read.train) + len(read.test) == 15


def test_names_of_splits_and_beside_the_only_folder(tmp_path):
    names = {"classes.txt": b"A cat\nA dog\n"}
    assert (
        source.read(FOLDER, write_folder(tmp_path / "x", SPLITS | names)).class_names[1] == "A dog"
    )
    files = {f"set/{key}": content for key, content in SPLITS.items()} | names
    assert source.read(FOLDER, write_folder(tmp_path / "y", files)).class_names[0] == "A cat"
    assert load(tmp_path / "y", class_names=("c", "d")).class_names == ("c", "d")


def test_a_class_may_be_named_like_its_folder(tmp_path):
    files = classes("cat dog emu") | {"classes.txt": b"cat\nhound\nemu"}
    read = source.read(FOLDER, write_folder(tmp_path / "x", files))
    assert read.class_names == ("cat", "hound", "emu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb", r"classes\.txt has 2 lines, but there are 3 classes .cat, dog, emu.: write"),
        ("", "has 0 lines, but there are 3 classes"),
        ("a\n\nb\nc", "has nothing in line 2"),
        ("dog\ncat\nemu", "has 'dog' in line 1, which stands for the class 'cat' and is the name"),
        ("cat: a\nb\nemu: c", "mixes lines with and without a class: line 2 should begin"),
        ("cat: a\nemu: c", "has no line for 'dog'; every class needs one"),
        ("cat: a\nfox\tb\nemu: c", "names in line 2 the class 'fox', which is not there"),
        ("cat: a\ncat: b\nemu: c", "names the class 'cat' a second time in line 2"),
        ("cat: a\ndog:\nemu: c", "has no name for the class 'dog' in line 2"),
        ("cat big\ndog bad\nemu bird", "every line of .* begins with the class it stands for"),
        (b"\xff\xfea\0", r"classes\.txt is no UTF-8 text .at byte 0"),
    ],
)
def test_unfit_files_of_class_names(tmp_path, text, message):
    content = text if isinstance(text, bytes) else text.encode()
    root = write_folder(tmp_path / "x", classes("cat dog emu") | {"classes.txt": content})
    with pytest.raises(UserError, match=message):
        source.read(FOLDER, root)


ONE = {"0.png": b""}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"there is no image in .*x; an image is a file that ends in \.jpg .* CLASS/IMAGE or"),
        ({"a/x.txt": b"", "README": b""}, r"no image in .*x \(of its 2 files: 1 with no suffix"),
        ({"a/": b"", "b/": b""}, "no image in"),
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
            classes("a b", under="train/") | classes("a b", under="Training/"),
            "both Training and tr",
        ),
        (SPLITS | VAL | classes("cat dog", under="valid/"), "has both val and valid, which name"),
        (SPLITS | {"val/cat/": b""}, r"no image in cat in .*x/val"),
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
