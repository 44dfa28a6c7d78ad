"""Files are there whole or not at all, and on disk before they have their name."""

import errno
import os
import pathlib

import pytest

from vp_jax.host import files


@pytest.fixture
def steps(monkeypatch):
    """What is done to the disk, in order."""
    done = []
    replace = pathlib.Path.replace

    def fsync(descriptor):
        done.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))

    def renamed(path, target):
        done.append(("name", pathlib.Path(target).name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(pathlib.Path, "replace", renamed)
    return done


def test_the_order(tmp_path, steps):
    files.write(tmp_path / "run" / "x.json", lambda file: file.write(b"{}"))
    (partial, named, folder) = steps
    assert partial == ("sync", f".x.json.{os.getpid()}{files.PARTIAL}")
    assert named == ("name", "x.json") and folder == ("sync", "run")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["x.json"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "x"
    files.write(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"ne")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        files.write(path, fail)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_whole_folder(tmp_path, steps):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").touch()
    files.sync_tree(tmp_path / "a")
    assert {name for _, name in steps} == {"a", "b", "x", tmp_path.name}


def test_a_disk_that_cannot_sync(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fsync)
    files.write(tmp_path / "x", lambda file: file.write(b"1"))
    assert (tmp_path / "x").read_bytes() == b"1"
