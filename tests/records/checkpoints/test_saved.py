"""Checkpoints are found again whatever their folder is called, and kept unless damage is proved."""

import errno
import json
import logging
import os
import pathlib
import shutil

import jax
import numpy as np
import pytest
import tiny_model

from vp_jax.errors import UserError
from vp_jax.records.checkpoints import files as checkpoint_files
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.checkpoints.saved import SavedCheckpoints

IDENTITY = {"backbone": "net:sha256:1"}

NAMES = {
    "brackets": "lr=[10]",
    "backslash": "a\\b",
    "braces": "{a,b}",
    "stars": "a*b?c",
    "address": "gs:",
    "spaces": " sp ace ",
    "accents": "é ü 日本",
    "quotes": "q\"u'o`t$HOME",
    "tilde": "~root",
    "dash": "-rf",
    "line": "new\nline",
    "percent": "a%20b#c:d",
    "long": "x" * 250,
    "bytes": os.fsdecode(b"not \xff UTF-8"),
    "deep": "/".join(["d" * 200] * 6),
}


def at(step):
    state = tiny_model.state(seed=step)
    return state._replace(step=state.step + step)


def save(folder, *steps):
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            meta = {"identity": IDENTITY, "progress": {"best_step": step}}
            checkpoints.save(step, at(step), meta, step)
            checkpoints.wait()


def tree(folder):
    """Everything in a folder, with contents and times."""
    return {
        str(p): (p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() else None)
        for p in [folder, *folder.rglob("*")]
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    save(folder, 1, 2)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run" / "checkpoints")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_folder(tmp_path, name):
    folder = tmp_path / NAMES[name] / "checkpoints"
    save(folder, 1, 2)
    save(folder, 3)  # a second start
    assert SavedCheckpoints(folder).steps() == [2, 3]
    state, _ = SavedCheckpoints(folder).restore_latest(at(0), IDENTITY)
    jax.tree.map(np.testing.assert_array_equal, state, at(3))
    assert not [p for p in tmp_path.rglob("*") if p.name == "checkpoints" and p != folder]


def test_a_link_and_a_relative_folder(tmp_path, monkeypatch):
    (tmp_path / "real [1]").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real [1]")
    monkeypatch.chdir(tmp_path / "real [1]")
    save(tmp_path / "link" / "checkpoints", 1)
    (found,) = SavedCheckpoints(pathlib.Path("../link/checkpoints")).steps()
    assert found == 1


def test_the_first_checkpoint_is_read_back(tmp_path, monkeypatch):
    def unreadable(checkpoint):
        raise ValueError("NOT_FOUND: nothing there")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "read_arrays", unreadable)
        with pytest.raises(UserError, match=r"just saved as .*/1 cannot be read back .*NOT_FOUND"):
            save(tmp_path / "checkpoints", 1)
    reads = []
    read = checkpoint_files.read_arrays
    monkeypatch.setattr(
        checkpoint_files, "read_arrays", lambda path: reads.append(path.name) or read(path)
    )
    save(tmp_path / "checkpoints", 2, 3, 4)
    assert reads == ["2"]


def of_errno(number):
    return lambda: OSError(number, os.strerror(number), "x")


NO_DAMAGE = {
    "permission": of_errno(errno.EACCES),
    "disk": of_errno(errno.EIO),
    "stale": of_errno(errno.ESTALE),
    "files": of_errno(errno.EMFILE),
    "system files": of_errno(errno.ENFILE),
    "memory": MemoryError,
    "timeout": lambda: TimeoutError("timed out"),
    "status": lambda: ValueError("PERMISSION_DENIED: Error opening local file"),
    "number": lambda: ValueError("Error reading: [OS error 5: EIO Input/output error]"),
    "text": lambda: RuntimeError("Error opening file: Too many open files"),
    "exhausted": lambda: RuntimeError("RESOURCE_EXHAUSTED: out of memory"),
    "unknown": lambda: RuntimeError("something that nobody has thought of"),
    "type": lambda: TypeError("unexpected keyword"),
}


@pytest.mark.parametrize("cls", [Checkpoints, SavedCheckpoints])
@pytest.mark.parametrize("name", NO_DAMAGE)
def test_an_error_is_no_damage(copy, monkeypatch, name, cls):
    def fail(checkpoint):
        try:
            raise NO_DAMAGE[name]()
        except Exception as error:
            raise ValueError("orbax could not restore") from error

    checkpoints = cls(copy)
    before = tree(copy.parent)
    monkeypatch.setattr(checkpoint_files, "read_arrays", fail)
    with pytest.raises(
        UserError, match=r"checkpoints/2 cannot be read now \(.*nothing was changed"
    ):
        checkpoints.restore_latest(at(0), IDENTITY)
    assert tree(copy.parent) == before


def test_a_disk_that_stutters(copy, monkeypatch):
    errors = [OSError(errno.EIO, "Input/output error")]
    read = checkpoint_files.read_arrays

    def stutter(checkpoint):
        if errors:
            raise errors.pop()
        return read(checkpoint)

    monkeypatch.setattr(checkpoint_files, "read_arrays", stutter)
    state, _ = SavedCheckpoints(copy).restore_latest(at(0), IDENTITY)
    assert int(state.step) == 2


def test_a_file_that_cannot_be_opened_is_no_damage(copy, monkeypatch):
    """Though what TensorStore says of it sounds so."""

    def fail(checkpoint):
        raise ValueError("DATA_LOSS: cannot decode")

    def closed(path, *arguments):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    checkpoints = SavedCheckpoints(copy)
    monkeypatch.setattr(checkpoint_files, "read_arrays", fail)
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "open", closed)
        with pytest.raises(UserError, match="Permission denied"):
            checkpoints.newest(checkpoints.arrays)
    with pytest.raises(UserError, match="every checkpoint in .* is damaged"):
        checkpoints.newest(checkpoints.arrays)


def test_a_reader_leaves_a_damaged_one_where_it_is(copy, caplog):
    (copy / "2" / "state" / "manifest.ocdbt").write_bytes(b"")
    before = tree(copy.parent)
    with caplog.at_level(logging.WARNING, logger="absl"):
        state, _ = SavedCheckpoints(copy).restore_latest(at(0), IDENTITY)
    assert int(state.step) == 1
    assert f"checkpoint 2 in {copy} is damaged" in caplog.text
    assert tree(copy.parent) == before


def test_training_sets_it_aside_and_says_where(copy, caplog):
    (copy / "2" / "state" / "manifest.ocdbt").write_bytes(b"")
    with Checkpoints(copy) as checkpoints, caplog.at_level(logging.WARNING, logger="absl"):
        state, _ = checkpoints.restore_latest(at(0), IDENTITY)
    assert int(state.step) == 1
    kept = copy.parent / "damaged_2"
    assert str(kept) in caplog.text and "ls -lR" in caplog.text
    assert (kept / "state").is_dir() and not (copy / "2").exists()
    (copy / "1" / "meta" / "metadata").write_text("{")
    with Checkpoints(copy) as checkpoints, pytest.raises(UserError, match="damaged_1"):
        checkpoints.restore_latest(at(0), IDENTITY)


CUTS = [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: bytes(len(b))]


@pytest.mark.parametrize("cut", CUTS, ids=["empty", "half", "zeros"])
def test_any_file_that_was_cut_off(copy, cut):
    """Each file of a checkpoint in turn, as after a power cut: the other one is read, or this one
    where it holds all the same what was saved."""
    for path in sorted(p for p in (copy / "2").rglob("*") if p.is_file()):
        whole = path.read_bytes()
        path.write_bytes(cut(whole))
        state, meta = SavedCheckpoints(copy).restore_latest(at(0), IDENTITY)
        jax.tree.map(np.testing.assert_array_equal, state, at(int(state.step)))
        assert meta["progress"]["best_step"] == int(state.step)
        path.write_bytes(whole)


def test_an_array_of_another_shape_is_another_run(copy):
    meta = copy / "2" / "meta" / "metadata"
    assert json.loads(meta.read_text())["identity"] == IDENTITY
    other = at(0)
    other = other._replace(failed_step=np.zeros(3, np.int32))
    before = tree(copy.parent)
    with pytest.raises(UserError, match=r"another run or version: failed_step is int32\[\] there"):
        SavedCheckpoints(copy).restore_latest(other, IDENTITY)
    assert tree(copy.parent) == before


@pytest.mark.slow
def test_too_many_open_files_for_real(copy, python):
    code = """
import pathlib, resource, sys
sys.path.insert(0, "tests/step")
import tiny_model
from vp_jax import cli
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.checkpoints import files as checkpoint_files

def main(argv):
    target = tiny_model.state()
    checkpoints = Checkpoints(pathlib.Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 4096))
    checkpoints.restore_latest(target, {"backbone": "net:sha256:1"})

cli.run(main)
"""
    before = tree(copy)
    done = python("-c", code, copy)
    assert done.returncode == 2, done.stderr
    assert "Too many open files" in done.stderr and "Traceback" not in done.stderr
    assert tree(copy) == before
