"""A folder full of broken files: each is named with its reason, none stops a run unexplained."""

from __future__ import annotations

import gzip
import pickle
import re
import tracemalloc
import zipfile

import broken_files
import cloudpickle
import fake_files
import pytest
from absl import logging
from broken_files import BROKEN, encoded, photograph

from vp_jax.data import tasks
from vp_jax.data.files import archives
from vp_jax.data.images.decode import CorruptImage, decode_image
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.load import load_task
from vp_jax.data.sources import source
from vp_jax.errors import UserError

GOOD = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes, with `GOOD` images each and all broken files in one; and their reasons."""
    root = tmp_path_factory.mktemp("broken") / "x"
    reasons = broken_files.make(root / "a")
    for label in "ab":
        (root / label).mkdir(exist_ok=True)
        for i in range(GOOD):
            name = f"good{i}.{'jpg' if i % 2 else 'PNG'}"
            kind = "JPEG" if i % 2 else "PNG"
            (root / label / name).write_bytes(encoded(photograph(i), kind))
    return root, reasons


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("upright", [False, True])
def test_decoding(name, upright):
    content, reason = BROKEN[name]
    with pytest.raises(CorruptImage, match=reason) as e:
        decode_image(content, upright=upright)
    message = str(e.value)
    assert isinstance(e.value, ValueError) and isinstance(e.value, UserError)
    assert "\n" not in message and "0x" not in message and len(message) < 200
    assert str(pickle.loads(pickle.dumps(e.value))) == message  # From another process.


def test_there_are_many_kinds(folder):
    assert len(folder[1]) >= 35


def test_reading_and_decoding(folder):
    root, reasons = folder
    read = source.read(tasks.get("folder"), root)
    assert len(read.train) + len(read.test) == 2 * GOOD + len(reasons)
    found = {}
    for examples in (read.train, read.test):
        get = cloudpickle.loads(cloudpickle.dumps(examples.get))
        for index in range(len(examples)):
            try:
                example = get(index)
                assert decode_image(example.image, upright=True).shape == (48, 64, 3)
                assert example.label == examples.labels[index] == "ab".index(example.key[0])
            except CorruptImage as e:
                found[example.key] = str(e)
            except UserError as e:
                found[re.match(r"(.*) in .* cannot be read", str(e)).group(1)] = str(e)
    assert set(found) == {f"a/{name}" for name in reasons}
    for name, reason in reasons.items():
        assert re.search(reason, found[f"a/{name}"]), (name, found[f"a/{name}"])


def load(root, **kwargs):
    return load_task("folder", data_dir=root, resize=ResizeRule(32), progress=False, **kwargs)


def test_all_are_named_by_the_loader(folder):
    root, reasons = folder
    with pytest.raises(UserError, match=f"{len(reasons)} image") as e:
        load(root)
    lines = str(e.value).splitlines()
    for name, reason in reasons.items():
        named = [line for line in lines if f"a/{name}" in line]
        assert len(named) == 1 and re.search(reason, named[0]), (name, named)
    assert "--config.task.skip_corrupt=True" in lines[-1]


def test_all_are_skipped_and_counted(folder, monkeypatch):
    root, reasons = folder
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: warnings.append(text % args))
    data = load(root, skip_corrupt=True)
    assert data.skipped == len(reasons)
    assert len(data.train) + len(data.val) + len(data.test) == 2 * GOOD
    assert any("a/garbage.jpg" in warning for warning in warnings)


# What was made to fill the memory or the disk.


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_member_that_would_fill_the_memory(tmp_path, method):
    path = fake_files.write_archive(tmp_path / "x.zip", fake_files.classes("cat dog"))
    with zipfile.ZipFile(path, "a", method) as archive, archive.open("cat/9.png", "w") as member:
        for _ in range(12):
            member.write(bytes(1 << 23))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"cat/9\.png .* are decompressed to 100,663,296, which"):
        load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_a_compressed_tar_file_that_would_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_BOMB_ARCHIVE_BYTES", 1 << 22)
    files = fake_files.classes("cat dog")
    path = fake_files.write_archive(tmp_path / "x.tar.gz", files | {"cat/9.png": bytes(1 << 21)})
    assert load(path, skip_corrupt=True).skipped == 1
    with gzip.open(path, "ab") as file:
        file.write(bytes(1 << 23))
    with pytest.raises(UserError, match=r"x\.tar\.gz is decompressed to more than 100 times its"):
        load(path, skip_corrupt=True)
