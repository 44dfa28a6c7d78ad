import logging
import os
import pathlib

import jax
import numpy as np
import optax
import pytest
import tiny_model

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.manager import Checkpoints, size, to_arrays
from vp_jax.step import step as step_lib

IDENTITY = {"backbone": "net:sha256:1", "task": "digits, 10 classes", "tune": ["prompt"]}


def at(step, seed=0):
    state = tiny_model.state(seed=seed)
    return state._replace(step=state.step + step)


def save(checkpoints, step, best_step, seed=0):
    meta = {"identity": IDENTITY, "progress": {"best_step": best_step}}
    checkpoints.save(step, at(step, seed), meta, best_step)
    checkpoints.wait()


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_latest_two_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 2)):
        save(checkpoints, step, best, seed=step)
    assert checkpoints.steps() == [2, 4, 5]
    equal(checkpoints.restore(2, at(0)), at(2, seed=2))
    checkpoints.close()
    again = Checkpoints(tmp_path / "checkpoints")
    save(again, 6, 6, seed=6)
    assert again.steps() == [2, 5, 6]  # 2 is what 5 would go back to as its best
    state, meta = again.restore_latest(at(0), IDENTITY)
    equal(state, at(6, seed=6))
    assert meta["progress"] == {"best_step": 6}


def test_empty_arrays(tmp_path):
    """A border that covers the whole image has sides without pixels."""
    prompt = {"top": np.ones((2, 4, 3), np.float32), "left": np.ones((0, 2, 3), np.float32)}
    state = step_lib.init_state({"prompt": prompt}, optax.sgd(0.1, 0.9), jax.random.key(0))
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(int(state.step), state, {"identity": IDENTITY, "progress": {}}, 0)
    checkpoints.wait()
    equal(checkpoints.restore_latest(state, IDENTITY)[0], jax.device_get(state))
    arrays = checkpoints.arrays(0)
    expected = {name: x for name, x in to_arrays(state).items() if name != "counts"}
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "checkpoints").restore_latest(at(0), IDENTITY) is None


def test_padding_30_at_224_with_momentum_is_under_1_mb(tmp_path):
    prompt = prompts.pad(30).init(jax.random.key(0), (224, 224, 3))
    state = step_lib.init_state({"prompt": prompt}, optax.sgd(1.0, 0.9), jax.random.key(0))
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(int(state.step), state, {"identity": IDENTITY, "progress": {}}, 0)
    checkpoints.wait()
    on_disk = sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())
    assert 2 * 4 * 69_840 < size(state) < 1_000_000
    assert on_disk < 1_000_000


def largest_file(folder: pathlib.Path) -> pathlib.Path:
    return max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


def damages():
    def truncate(folder):
        file = largest_file(folder / "state")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    def flip(folder):
        for file in (folder / "state").rglob("d/*"):
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 0xFF
            file.write_bytes(bytes(data))

    def remove(folder):
        for file in list((folder / "state").rglob("*.ocdbt")):
            file.unlink()

    def empty_meta(folder):
        for file in (folder / "meta").glob("metadata"):
            file.write_text("")

    return [truncate, flip, remove, empty_meta]


@pytest.mark.parametrize("damage", damages(), ids=lambda f: f.__name__)
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, damage, caplog):
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder)
    save(checkpoints, 1, 1, seed=1)
    save(checkpoints, 2, 2, seed=2)
    checkpoints.close()
    damage(folder / "2")
    checkpoints = Checkpoints(folder)
    with caplog.at_level(logging.WARNING, logger="absl"):
        state, _ = checkpoints.restore_latest(at(0), IDENTITY)
    equal(state, at(1, seed=1))
    assert "checkpoint 2" in caplog.text and "damaged" in caplog.text
    assert checkpoints.steps() == [1]
    assert (tmp_path / "damaged_2").is_dir()  # set aside, not deleted
    save(checkpoints, 2, 2, seed=3)  # training reaches that step again
    equal(checkpoints.restore(2, at(0)), at(2, seed=3))


def test_all_damaged(tmp_path):
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder)
    save(checkpoints, 1, 1)
    checkpoints.close()
    largest_file(folder / "1" / "state").write_bytes(b"")
    with pytest.raises(UserError, match="every checkpoint"):
        Checkpoints(folder).restore_latest(at(0), IDENTITY)


def test_another_backbone_is_refused_with_both_named(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    save(checkpoints, 1, 1)
    other = {**IDENTITY, "backbone": "net:sha256:2"}
    with pytest.raises(UserError, match=r"net:sha256:1 there and net:sha256:2 here"):
        checkpoints.restore_latest(at(0), other)
    assert checkpoints.steps() == [1]


@pytest.mark.parametrize("left", [0, 4096, 16384])
def test_a_full_disk_keeps_the_last_good_checkpoint(small_disk, left, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("absl"), "propagate", True)
    with small_disk("160k") as disk:
        checkpoints = Checkpoints(disk / "checkpoints")
        save(checkpoints, 1, 1, seed=1)
        free = os.statvfs(disk)
        (disk / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_bsize - left))
        with pytest.raises(UserError, match=r"disk is full.*Free some space"):
            save(checkpoints, 2, 2, seed=2)
        assert not [r for r in caplog.records if r.exc_info], "a traceback beside the sentence"
        (disk / "ballast").unlink()
        state, _ = Checkpoints(disk / "checkpoints").restore_latest(at(0), IDENTITY)
        equal(state, at(1, seed=1))
