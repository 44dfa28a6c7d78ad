"""Decoded images on disk: found again, replaced when the data change, whole or not there."""

import errno
import fcntl
import json
import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from vp_jax import data
from vp_jax.data import pipelines
from vp_jax.data.images import cache, decoding, images
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.errors import UserError
from vp_jax.host import user_cache

RULE = ResizeRule(16)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(20):
        place = tmp_path / "photos" / f"class_{i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (30, 20 + i, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{i:02}.png")
    return tmp_path / "photos"


def load(folder, cache_dir, **more):
    settings = {"pipeline": "cached", "progress": False, "resize": RULE, "seed": 1, **more}
    return data.load_task("folder", data_dir=folder, cache_dir=cache_dir, **settings)


def assert_equal(one, two):
    for a, b in zip(one.splits, two.splits, strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


def forbid_decoding(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(decoding, "decode_all", fail)
    monkeypatch.setattr("vp_jax.data.load.decode_all", fail)


def test_the_second_start_decodes_nothing(folder, tmp_path, monkeypatch):
    first = load(folder, tmp_path / "cache")
    in_memory = load(folder, None, pipeline="resident")
    assert_equal(first, in_memory)
    forbid_decoding(monkeypatch)
    assert_equal(load(folder, tmp_path / "cache"), first)
    other = load(folder, tmp_path / "cache", seed=2, val_fraction=0.3, shots=3)
    assert len(other.train) == 6 and len(other.test) == len(first.test)


def test_another_size_is_another_entry(folder, tmp_path):
    load(folder, tmp_path / "cache")
    larger = load(folder, tmp_path / "cache", resize=ResizeRule(24))
    assert larger.train.images.shape[1:] == (24, 24, 3)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("change", ["other", "removed"])
def test_changed_data_replace_the_entry(folder, tmp_path, change):
    load(folder, tmp_path / "cache")
    path = folder / "class_0" / "00.png"
    if change == "removed":
        path.unlink()
    else:
        Image.fromarray(np.full((40, 40, 3), 7, np.uint8)).save(path)
        os.utime(path, ns=(1, 1))
    again = load(folder, tmp_path / "cache")
    assert_equal(again, load(folder, None, pipeline="resident"))
    if change == "other":
        assert len(list((tmp_path / "cache").iterdir())) == 1
        assert any((x == 7).all() for split in again.splits for x in split.images)


@pytest.mark.parametrize("damage", ["about", "images", "index", "cut", "zeros", "nothing"])
def test_a_damaged_entry_is_made_again(folder, tmp_path, damage):
    expected = load(folder, tmp_path / "cache")
    expected = [(np.asarray(s.images), s.labels) for s in expected.splits]
    (place,) = (tmp_path / "cache").iterdir()
    if damage == "about":
        (place / "about.json").write_text("{")
    elif damage == "images":
        os.truncate(place / "images.npy", 1000)
    elif damage == "index":
        (place / "index.npz").write_bytes(b"no")
    elif damage in ("cut", "zeros"):
        content = (place / "index.npz").read_bytes()
        cut = content[: len(content) // 2] if damage == "cut" else bytes(len(content))
        (place / "index.npz").write_bytes(cut)
    else:
        (place / "about.json").unlink()
    again = load(folder, tmp_path / "cache")
    for split, (pictures, labels) in zip(again.splits, expected, strict=True):
        np.testing.assert_array_equal(split.images, pictures)
        np.testing.assert_array_equal(split.labels, labels)


def test_an_interrupted_start_leaves_nothing(folder, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_write_index", stop)
        with pytest.raises(KeyboardInterrupt):
            load(folder, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    load(folder, tmp_path / "cache")


def test_what_a_killed_start_left_is_removed(folder, tmp_path):
    for name in ("killed", "at_work"):
        place = tmp_path / "cache" / f".incomplete-{name}"
        place.mkdir(parents=True)
        (place / "images.npy").write_bytes(b"half")
        (place / ".lock").touch()
    with open(tmp_path / "cache" / ".incomplete-at_work" / ".lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        load(folder, tmp_path / "cache")
    left = sorted(p.name.split("-")[0] for p in (tmp_path / "cache").iterdir())
    assert left == [".incomplete", "folder"]
    assert (tmp_path / "cache" / ".incomplete-at_work" / "images.npy").exists()


def test_a_disk_without_locks(folder, tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    left = tmp_path / "cache" / ".incomplete-of-whom"
    left.mkdir(parents=True)
    (left / ".lock").touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    assert_equal(load(folder, tmp_path / "cache"), load(folder, None, pipeline="resident"))
    assert left.exists()  # since somebody may be at work there


def test_an_entry_is_on_disk_before_it_has_its_name(folder, tmp_path, monkeypatch):
    on_disk, named = set(), []

    def fsync(descriptor):
        on_disk.add(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))

    rename = pathlib.Path.rename

    def note(path, target):
        named.append(set(on_disk))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(pathlib.Path, "rename", note)
    load(folder, tmp_path / "cache")
    assert named and {"about.json", "index.npz", "images.npy"} <= named[0]


def test_of_two_starts_at_once_both_go_on(folder, tmp_path, monkeypatch):
    """The other process finishes just before this one moves its own copy into place."""
    other = load(folder, tmp_path / "other")
    (theirs,) = (tmp_path / "other").iterdir()
    write = cache._write_index

    def late(staging, index):
        write(staging, index)
        shutil.copytree(theirs, tmp_path / "cache" / theirs.name)

    monkeypatch.setattr(cache, "_write_index", late)
    assert_equal(load(folder, tmp_path / "cache"), other)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [theirs.name]


def test_a_full_disk_is_one_sentence(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="disk is full.*GB are needed.*cache_dir.*stream"):
        load(folder, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_for_real(folder, small_disk):
    with (
        small_disk("12k") as disk,
        pytest.raises(UserError, match="disk is full|No space left"),
    ):
        load(folder, disk / "cache")


def test_a_cache_folder_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be cached in .*--config.task.cache_dir"):
        load(folder, tmp_path / "file")


def test_what_needs_no_cache_goes_on_without_it(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(user_cache, "_warned", set())
    monkeypatch.setattr("vp_jax.data.load.WORTH_CACHING", 1)
    (tmp_path / "file").write_text("")
    wanted = load(folder, tmp_path / "good")
    for settings, pipeline in (
        ({"pipeline": "resident"}, "resident"),
        ({"pipeline": "auto"}, "resident"),
        ({"pipeline": "auto", "resident_limit": 1}, "stream"),
        ({"pipeline": "stream", "skip_corrupt": True}, "stream"),
    ):
        found = load(folder, tmp_path / "file", **settings)
        assert found.pipeline == pipeline
        for one, two in zip(found.splits, wanted.splits, strict=True):
            np.testing.assert_array_equal(one.images[np.arange(len(one))], two.images[:])
    assert capsys.readouterr().err.count("warning: nothing can be kept in ") == 1
    (tmp_path / "good").chmod(0o500)  # what is there already is read
    assert load(folder, tmp_path / "good").pipeline == "cached"
    (tmp_path / "good").chmod(0o700)


def test_corrupt_images_are_remembered(folder, tmp_path, monkeypatch):
    (folder / "class_1" / "03.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"class_1/03.png"):
        load(folder, tmp_path / "cache")
    forbid_decoding(monkeypatch)
    with pytest.raises(UserError, match=r"class_1/03.png"):
        load(folder, tmp_path / "cache")
    task = load(folder, tmp_path / "cache", skip_corrupt=True)
    assert task.skipped == 1 and sum(map(len, task.splits)) == 19
    in_stream = load(folder, tmp_path / "cache", skip_corrupt=True, pipeline="resident")
    assert_equal(task, in_stream)


def test_a_stream_skips_the_same_images(folder, tmp_path):
    (folder / "class_1" / "03.png").write_bytes(b"no image")
    task = load(folder, tmp_path / "cache", skip_corrupt=True)
    streamed = load(folder, tmp_path / "cache", skip_corrupt=True, pipeline="stream")
    assert streamed.skipped == 1
    assert_equal(task, streamed)


def test_mapped_images_do_not_stay_in_memory(tmp_path, monkeypatch):
    array = np.arange(4 * 300 * 300 * 3, dtype=np.uint64).astype(np.uint8)
    array = array.reshape(4, 300, 300, 3)
    np.save(tmp_path / "images.npy", array)
    monkeypatch.setattr(images, "RELEASE_BYTES", 300 * 300 * 3)
    released = []
    monkeypatch.setattr(images, "release", lambda array: released.append(1))
    mapped = images.MappedImages(tmp_path / "images.npy")
    for rows in ([2, 0], [3], np.array([1, 1])):
        np.testing.assert_array_equal(mapped[rows], array[rows])
    assert len(released) == 2
    again = pickle.loads(pickle.dumps(mapped))
    np.testing.assert_array_equal(again[:], array)
    assert len(pickle.dumps(mapped)) < 1000


def test_what_was_written_is_kept_when_pages_are_released(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (1000, 100))
    array[:] = 5
    images.release(array)
    assert (array == 5).all()


MB = 10**6


@pytest.mark.parametrize(
    "setting, needed, limit, free, cached, expected",
    [
        ("auto", 10 * MB, None, 0, False, "resident"),
        ("auto", 10 * MB, 10 * MB, 0, False, "resident"),
        ("auto", 10 * MB + 1, 10 * MB, 21 * MB, False, "cached"),
        ("auto", 11 * MB, 10 * MB, 21 * MB, False, "stream"),
        ("auto", 11 * MB, 10 * MB, 21 * MB, True, "cached"),
        ("stream", 1, None, 100 * MB, True, "stream"),
        ("cached", 1, None, 0, False, "cached"),
        ("resident", 11 * MB, 10 * MB, 0, False, "resident"),
    ],
)
def test_choice(setting, needed, limit, free, cached, expected, monkeypatch):
    monkeypatch.setattr(pipelines, "_free", lambda folder: free)
    choice = pipelines.choose(setting, needed, limit, pathlib.Path("somewhere"), cached)
    assert choice.pipeline == expected
    line = pipelines.sentence(choice, 1234, (32, 32, 3), needed)
    assert line.startswith(f"data: {expected}, 1,234 images") and "\n" not in line
    if setting != "auto":
        assert f"--config.task.pipeline={setting}" in line


def test_auto_uses_the_limit(folder, tmp_path, capsys):
    settings = {"pipeline": "auto", "progress": True}
    assert load(folder, tmp_path / "c", resident_limit=10**9, **settings).pipeline == "resident"
    assert load(folder, tmp_path / "c", resident_limit=100, **settings).pipeline == "cached"
    said = capsys.readouterr().err.splitlines()
    assert "data: resident" in said[0] and "data: cached" in said[1]


def test_an_unknown_pipeline(folder, tmp_path):
    with pytest.raises(UserError, match="unknown pipeline 'ressident'; did you mean 'resident'"):
        load(folder, tmp_path, pipeline="ressident")


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VP_JAX_CACHE", str(tmp_path / "a"))
    assert cache.default_folder() == tmp_path / "a" / "images"
    monkeypatch.delenv("VP_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache.default_folder() == tmp_path / "b" / "vp_jax" / "images"


def test_an_entry_says_what_it_is(folder, tmp_path):
    load(folder, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    about = json.loads((place / "about.json").read_text())
    assert place.name.startswith("folder-") and about["images"] == [20, 16, 16, 3]
