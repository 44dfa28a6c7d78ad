import json
import pathlib

import pytest

from vp_jax.records.event_file import EventFile
from vp_jax.records.metrics import Metrics, read_metrics


def events(folder):
    """All events of all files of a folder, in the order of the files' names."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for file in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_rows_and_events_hold_the_same_numbers(tmp_path):
    metrics = Metrics(tmp_path, 0)
    metrics.write(3, {"train/loss": 0.25, "val/accuracy": 0.5})
    metrics.write(4, {"train/loss": 0.125})
    metrics.close()
    assert read_metrics(tmp_path) == [
        {"step": 3, "train/loss": 0.25, "val/accuracy": 0.5},
        {"step": 4, "train/loss": 0.125},
    ]
    scalars = [
        (e.step, v.tag, v.simple_value)
        for e in events(tmp_path / "tensorboard")
        for v in e.summary.value
    ]
    assert scalars == [(3, "train/loss", 0.25), (3, "val/accuracy", 0.5), (4, "train/loss", 0.125)]


def test_event_files_begin_as_tensorboard_wants(tmp_path):
    EventFile(tmp_path, purge_step=7).close()
    first, second = events(tmp_path)
    assert first.file_version == "brain.Event:2"
    assert second.step == 7 and second.session_log.status == second.session_log.START


def test_resuming_drops_rows_of_later_steps_and_a_torn_line(tmp_path):
    file = tmp_path / "metrics.jsonl"
    rows = [json.dumps({"step": i, "x": i / 10}) for i in (1, 2, 3)]
    file.write_text("\n".join(rows) + '\n{"step": 4, "x"')
    Metrics(tmp_path, 2).close()
    assert file.read_text() == "\n".join(rows[:2]) + "\n"


def test_no_file_is_no_rows(tmp_path):
    assert read_metrics(tmp_path) == []


def test_a_full_disk_is_an_error_once(small_disk):
    with small_disk("32k") as disk:
        metrics = Metrics(disk, 0)
        with pytest.raises(OSError, match="No space left"):
            for step in range(10_000):
                metrics.write(step, {"train/loss": 1.0})
        with pytest.raises(OSError, match="No space left"):
            metrics.close()
        metrics.close()


def test_pytorch_is_not_loaded_where_it_is_installed(tmp_path, python):
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch was loaded')\n")
    code = """
import pathlib, sys
from vp_jax.records.event_file import EventFile
events = EventFile(pathlib.Path(sys.argv[1]))
events.add(1, {"loss": 2.0})
events.close()
assert "torch" not in sys.modules
"""
    python("-c", code, tmp_path / "run", env={"PYTHONPATH": str(tmp_path)}, check=True)
    assert [e.step for e in events(tmp_path / "run") if e.summary.value] == [1]
