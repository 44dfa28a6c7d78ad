"""Whether splits hold the same examples, wherever and however they lie."""

import os
import shutil

import numpy as np
import pytest
from fake_files import classes, picture, write_archive, write_folder
from fake_tfds import png

from vp_jax.data import Task, load_task
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.data.tasks import contents
from vp_jax.errors import UserError

PIPELINES = ("resident", "cached", "stream")
FILES = classes("cat dog eel", 8, under="train/") | classes(
    "cat dog eel", 4, under="test/", first=50
)


def load(path, pipeline="resident", **settings):
    rule = ResizeRule(6)
    return load_task(
        "folder", data_dir=path, resize=rule, progress=False, pipeline=pipeline, **settings
    )


def changes(one, other):
    there, here = (contents.digests(task.contents) for task in (one, other))
    return contents.changes(there, here)


def details(one, other):
    return contents.details(one.contents, other.contents)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "images", FILES)


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("other", PIPELINES)
def test_the_same_in_every_pipeline(folder, tmp_path, pipeline, other):
    one = load(folder, pipeline, cache_dir=tmp_path / "cache")
    two = load(folder, other, cache_dir=tmp_path / "cache")
    assert not changes(one, two)
    assert set(one.contents) == {"train", "val", "test"}
    for name, of_split in one.contents.items():
        np.testing.assert_array_equal(of_split.labels, getattr(one, name).labels)


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize(
    "how", ["moved", "touched", "x.zip", "x.tar", "x.tar.gz", "x.csv", "below"]
)
def test_where_they_lie_makes_no_difference(folder, tmp_path, pipeline, how):
    one = load(folder, pipeline, cache_dir=tmp_path / "cache")
    place = folder
    if how == "moved":
        place = folder.rename(tmp_path / "elsewhere")
    elif how == "touched":
        for path in folder.rglob("*.png"):
            os.utime(path, (1, 1))
    elif how == "x.csv":
        lines = [f"{name},{name.split('/')[1]},{name.split('/')[0]}" for name in FILES]
        place = folder / how
        place.write_text("\n".join(["path,label,split", *lines]))
    elif how == "below":
        place = write_folder(tmp_path / "deep", {f"a/b/{name}": x for name, x in FILES.items()})
    else:
        place = write_archive(tmp_path / how, FILES)
    assert not changes(one, load(place, pipeline, cache_dir=tmp_path / "cache"))


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_what_has_changed_is_told(folder, tmp_path, pipeline):
    one = load(folder, pipeline, cache_dir=tmp_path / "cache")
    (folder / "train/cat/0.png").unlink()
    (folder / "train/cat/1.png").write_bytes(png(np.zeros((6, 6, 3), np.uint8)))
    (folder / "train/cat/2.png").rename(folder / "train/dog/20.png")
    shutil.copy(folder / "test/eel/0.png", folder / "test/eel/90.png")
    (folder / "test/eel/91.png").write_bytes(png(np.full((6, 6, 3), 7, np.uint8)))
    two = load(folder, pipeline, cache_dir=tmp_path / "cache")
    assert "test had 12 examples and has 14 examples" in changes(one, two)
    found = " ".join(details(one, two))
    assert "1 changed (train/cat/1.png)" in found
    if pipeline != "stream":
        assert "2 added (test/eel/90.png, test/eel/91.png)" in found
        assert "1 removed (train/cat/0.png)" in found
        assert "1 with another label (train/dog/20.png)" in found


def test_pixels_that_change_in_a_file_of_the_same_name_and_size_are_seen(folder):
    one = load(folder)
    first = folder / "test/cat/0.png"
    content = bytearray(first.read_bytes())
    first.write_bytes((folder / "test/cat/1.png").read_bytes())
    (folder / "test/cat/1.png").write_bytes(content)
    assert not changes(one, load(folder))  # The same images under each other's names.
    first.write_bytes(png(np.full((6, 6, 3), 9, np.uint8)))
    assert changes(one, load(folder)) == [
        "test had 12 examples and has other examples, or in another order"
    ]


def test_a_seed_holds_out_its_own_examples(folder):
    one = load(folder, seed=0)
    assert any(text.startswith("val") for text in changes(one, load(folder, seed=1)))
    assert not changes(one.reseed(1), load(folder, seed=1))


def test_arrays_are_told_apart_by_their_content(tmp_path):
    def write(name, images, labels, names):
        arrays = {"train_data": images, "train_target": labels}
        arrays |= {"test_data": images[:6], "test_target": labels[:6]}
        np.savez(tmp_path / name, **arrays, class_names=np.array(names))
        return load_npz(tmp_path / name)

    def load_npz(path, pipeline="resident", **settings):
        settings = {"resize": ResizeRule(6), "progress": False, "pipeline": pipeline, **settings}
        return load_task(Task("arrays", format="npz"), data_dir=path, **settings)

    images = np.random.default_rng(0).integers(0, 256, (30, 6, 6), dtype=np.uint8)
    labels = np.arange(30) % 3
    one = write("one.npz", images, labels, ["a", "b", "c"])
    assert not changes(one, load_npz(tmp_path / "one.npz", "stream"))
    swapped = write("two.npz", images, (labels + 1) % 3, ["c", "a", "b"])
    assert changes(one, swapped)
    again = load_npz(tmp_path / "two.npz", classes=one.classes)
    assert again.class_names == ("a", "b", "c") and not changes(one, again)
    np.testing.assert_array_equal(again.train.labels, one.train.labels)
    changed = images.copy()
    changed[0, 0, 0] ^= 1
    assert changes(one, write("three.npz", changed, labels, ["a", "b", "c"]))


def test_classes_in_a_runs_order_give_the_runs_held_out_images(tmp_path):
    names = ("ant", "bee", "cat")
    files = {f"{name}/{i}.png": x for name in names for i, x in enumerate(_images(name))}
    one = load(write_folder(tmp_path / "one", files))
    renamed = {name.replace("ant/", "zebra/"): x for name, x in files.items()}
    renamed["classes.txt"] = b"bee: bee\ncat: cat\nzebra: ant\n"
    place = write_folder(tmp_path / "two", renamed)
    assert load(place).class_names == ("bee", "cat", "ant")
    two = load(place, classes=one.classes, cache_dir=tmp_path / "cache")
    assert two.class_names == one.class_names and not changes(one, two)
    np.testing.assert_array_equal(two.train.images[:], one.train.images[:])
    (place / "classes.txt").unlink()
    with pytest.raises(UserError, match="only of the run: 'ant'; only of the data in .*: 'zebra'"):
        load(place, classes=one.classes)


def _images(name):
    return [png(picture(i + 100 * ord(name[0]))) for i in range(10)]
