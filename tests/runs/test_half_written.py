"""Files of a run that a power cut has left empty, cut off or full of zeros; readers write none."""

import contextlib
import json
import shutil
import subprocess

import own_backbone
import pytest
from own_backbone import quick

from vp_jax import many, runs
from vp_jax.ensemble import ensemble_predictions
from vp_jax.errors import UserError
from vp_jax.records import workdir
from vp_jax.records.finished import going_on, load_part
from vp_jax.records.metrics import Metrics, read_metrics

PICTURES = False
TIMES = ("images_per_second", "wall_seconds")

CUTS = {
    "empty": lambda b: b"",
    "half": lambda b: b[: len(b) // 2],
    "zeros": lambda b: bytes(len(b)),
    "garbled": lambda b: b"\xff\xfe" + b[2:],
    "other": lambda b: b"null",
}


def without_times(result):
    return {k: v for k, v in result.items() if k not in TIMES}


def tree(folder):
    return {
        str(p): (p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() else None)
        for p in [folder, *folder.rglob("*")]
    }


@pytest.fixture(scope="module")
def backbone():
    return own_backbone.make()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, backbone):
    folder = tmp_path_factory.mktemp("whole") / "run [1]"
    return folder, runs.train(quick(**{"head.name": "frequency"}), folder, backbone)


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "run")


@pytest.mark.parametrize("cut", CUTS)
def test_a_result_is_made_again(whole, copy, backbone, cut, capsys):
    path = copy / "result.json"
    path.write_bytes(CUTS[cut](path.read_bytes()))
    assert runs.evaluate(copy, backbone=backbone)["test_accuracy"] == whole[1]["test_accuracy"]
    again = runs.train(quick(**{"head.name": "frequency"}), copy, backbone)
    assert without_times(again) == without_times(whole[1])
    assert json.loads(path.read_text()) == again
    assert "result.json is not whole" in capsys.readouterr().err


@pytest.mark.parametrize("cut", CUTS)
def test_settings_that_were_cut_off_are_one_sentence(copy, backbone, cut):
    path = copy / "config.json"
    path.write_bytes(CUTS[cut](path.read_bytes()))
    before = tree(copy)
    for command in (
        lambda: runs.evaluate(copy, backbone=backbone),
        lambda: load_part(copy, "prompt"),
        lambda: ensemble_predictions([copy], backbone),
    ):
        with pytest.raises(UserError, match=r"config\.json"):
            command()
    (copy / "result.json").unlink()
    with pytest.raises(UserError, match=r"config\.json"):
        runs.train(quick(**{"head.name": "frequency"}), copy, backbone)
    before.pop(str(copy / "result.json"))
    after = tree(copy)
    assert {k: v for k, v in before.items() if k != str(copy)} == {
        k: v for k, v in after.items() if k != str(copy)
    }


@pytest.mark.parametrize(
    "end", [b'{"step": 9', b"\0" * 50, b'{"step": 9}\0\0\n', b"7\n", b"\xff\n"]
)
def test_rows_of_metrics_up_to_the_cut(copy, end):
    path = copy / "metrics.jsonl"
    rows, whole = read_metrics(copy), path.read_bytes()
    assert rows
    path.write_bytes(whole + end)
    assert read_metrics(copy) == rows
    Metrics(copy, rows[-1]["step"]).close()
    assert path.read_bytes() == whole


def test_readers_change_nothing(copy, backbone):
    (copy / "checkpoints" / "99.orbax-checkpoint-tmp").mkdir()  # left by a kill
    before = tree(copy)
    runs.evaluate(copy, backbone=backbone)
    ensemble_predictions([copy], backbone)
    load_part(copy, "prompt")
    assert tree(copy) == before


def test_a_workdir_that_is_mounted_to_be_read(whole, copy, backbone):
    mount = ["mount", "--bind", "-o", "ro", str(copy), str(copy)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(copy)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (copy / "x").touch()
        assert runs.evaluate(copy, backbone=backbone)["test_accuracy"] == whole[1]["test_accuracy"]
    finally:
        subprocess.run(["umount", "-l", str(copy)], check=True)


def test_from_where_the_same_command_goes_on(whole, tmp_path):
    steps = whole[1]["steps"]
    assert going_on(whole[0]) == (
        f"the same command goes on from the last checkpoint, of step {steps}"
    )
    assert "nothing has been saved yet" in going_on(tmp_path)


@pytest.mark.slow
def test_a_sweep_in_any_folder_whose_result_was_cut_off(tmp_path, backbone):
    folder, members = tmp_path / "lr=[1,2]", many.grid({"seed": [0, 1]})
    settings = quick(epochs=1)
    first = many.train_many(settings, members, folder, backbone)
    before = [tree(folder / str(i) / "checkpoints") for i in range(2)]
    for path in (folder / "result.json", folder / "1" / "result.json"):
        path.write_bytes(b"")
    again = many.train_many(settings, members, folder, backbone)
    assert [tree(folder / str(i) / "checkpoints") for i in range(2)] == before
    for a, b in zip(first["members"], again["members"], strict=True):
        assert without_times(a) == without_times(b)
    evaluated = runs.evaluate(folder / "1", backbone=backbone)
    assert evaluated["test_accuracy"] == first["members"][1]["test_accuracy"]


def test_what_a_kill_has_left_is_removed(copy, backbone):
    partial = copy / ".config.json.1.partial"
    partial.write_text("{")
    (copy / "result.json").unlink()
    with contextlib.suppress(UserError):
        runs.train(quick(**{"head.name": "frequency"}), copy, backbone)
    assert not partial.exists()


@pytest.mark.parametrize("cut", CUTS)
def test_a_scan_that_is_not_whole_is_made_again_and_an_error_is_no_damage(cut, tmp_path, capsys):
    path = tmp_path / workdir.SCAN
    assert workdir.read_scan(tmp_path) is None and not capsys.readouterr().err
    whole = {"prompt": "pad(2)", "chosen": "grey | pad(2)", "tried": []}
    workdir.write_json(path, whole)
    assert workdir.read_scan(tmp_path) == whole
    path.write_bytes(CUTS[cut](path.read_bytes()))
    assert workdir.read_scan(tmp_path) is None
    assert "is not whole, as after a power cut" in capsys.readouterr().err
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read: .*; mend that, or delete it to scan"):
        workdir.read_scan(tmp_path)
