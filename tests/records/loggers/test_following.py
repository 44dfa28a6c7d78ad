"""Loggers get the rows of `metrics.jsonl`, are known again, and never stand in a run's way."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from vp_jax.errors import UserError
from vp_jax.records.loggers import following
from vp_jax.records.loggers.base import Conclusion
from vp_jax.records.loggers.following import check_loggers, followed
from vp_jax.records.loggers.tensorboard import write_end
from vp_jax.records.metrics import Metrics, read_metrics


class Recorder:
    """Keeps what it is told; fails at what it is told to fail at."""

    made = []

    def __init__(self, about):
        self.about, self.said, self.fails_at = about, [], None
        self.id = about.id or f"id of {about.name}"
        Recorder.made.append(self)

    def _note(self, what, *more):
        self.said.append((what, *more))
        if self.fails_at == what:
            raise ConnectionError("nobody answers")

    def write(self, number, step, values):
        self._note("write", number, step, dict(values))

    def conclude(self, end):
        self._note("conclude", end)

    def close(self, finished):
        self._note("close", finished)


@pytest.fixture(autouse=True)
def recorders(monkeypatch):
    monkeypatch.setitem(following.LOGGER_KINDS, "recorder", Recorder)
    Recorder.made = []
    return Recorder.made


def settings(folder):
    return {"seed": 3, "of": folder.name}


def test_rows_are_those_of_the_file(tmp_path, recorders):
    with followed(["recorder"], tmp_path, [tmp_path], settings) as (followers,):
        metrics = Metrics(tmp_path, -1, followers)
        metrics.write(1, {"train/loss": 2.0})
        metrics.write(2, {"train/loss": 1.0, "val/accuracy": 0.5})
        metrics.close()
    (recorder,) = recorders
    rows = [{"step": step, **values} for _, _, step, values in recorder.said[:-1]]
    assert rows == read_metrics(tmp_path)
    assert [number for _, number, _, _ in recorder.said[:-1]] == [0, 1]
    assert recorder.said[-1] == ("close", True)
    assert recorder.about.name == tmp_path.name and recorder.about.settings["seed"] == 3


def test_a_later_start_is_the_same_run(tmp_path, recorders):
    for _ in range(2):
        with followed(["recorder"], tmp_path, [tmp_path], settings):
            pass
    first, second = recorders
    assert first.about.id == "" and second.about.id == second.id == first.id
    assert json.loads((tmp_path / "loggers.json").read_text()) == {"recorder": first.id}


def test_rows_that_come_again_have_the_same_numbers(tmp_path, recorders):
    """Of rows 0, 1, 2 the last is of a step after the checkpoint."""
    for since, steps in ((-1, (1, 2, 3)), (2, (3, 4))):
        with followed(["recorder"], tmp_path, [tmp_path], settings) as (followers,):
            metrics = Metrics(tmp_path, since, followers)
            for step in steps:
                metrics.write(step, {"x": step / 2})
            metrics.close()
    first, second = (recorder.said[:-1] for recorder in recorders)
    assert [row[1:3] for row in first] == [(0, 1), (1, 2), (2, 3)]
    assert [row[1:3] for row in second] == [(2, 3), (3, 4)]


def test_members_have_runs_of_their_own(tmp_path, recorders):
    folders = [tmp_path / "0", tmp_path / "1"]
    for folder in folders:
        folder.mkdir()
    with followed(["recorder"], tmp_path, folders, settings) as each:
        each[1].write(0, 5, {"x": 1.0})
    assert [r.about.name for r in recorders] == [f"{tmp_path.name}/0", f"{tmp_path.name}/1"]
    assert {r.about.group for r in recorders} == {tmp_path.name}
    assert [len(r.said) for r in recorders] == [1, 2]
    assert [r.about.settings["of"] for r in recorders] == ["0", "1"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("no")])
def test_a_run_that_is_stopped_is_not_finished(tmp_path, recorders, error):
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), followed(["recorder"], tmp_path, [tmp_path], settings):
        raise error
    assert recorders[0].said == [("close", False)]


@pytest.mark.parametrize("when", ["write", "conclude", "close"])
def test_one_that_fails_stops_nothing_and_is_told_once(tmp_path, recorders, when, capsys):
    with followed(["recorder"], tmp_path, [tmp_path], settings) as (followers,):
        recorders[0].fails_at = when
        metrics = Metrics(tmp_path, -1, followers)
        for step in (1, 2):
            metrics.write(step, {"x": float(step)})
        metrics.close()
        following.conclude(tmp_path, followers, Conclusion(2, 2, {}, {}, {}))
    said = capsys.readouterr().err
    assert said.count("recorder has failed at") == 1 and "nobody answers" in said
    assert len(read_metrics(tmp_path)) == 2
    assert recorders[0].said[-1][0] == when


def test_one_that_cannot_begin_closes_the_others(tmp_path, recorders, monkeypatch):
    def refuse(about):
        raise UserError("no key")

    monkeypatch.setitem(following.LOGGER_KINDS, "closed", refuse)
    with (
        pytest.raises(UserError, match="no key"),
        followed(["recorder", "closed"], tmp_path, [tmp_path], settings),
    ):
        pass
    assert recorders[0].said == [("close", False)]
    assert not (tmp_path / "loggers.json").exists()


def test_ids_that_cannot_be_read_are_one_sentence(tmp_path):
    (tmp_path / "loggers.json").write_text("[1")
    with (
        pytest.raises(UserError, match=r"loggers.json cannot be read.*delete it to begin new"),
        followed(["recorder"], tmp_path, [tmp_path], settings),
    ):
        pass


def test_unknown_and_absent_ones_are_refused(monkeypatch):
    with pytest.raises(UserError, match="unknown name in config.logger 'wand'; did you mean 'wan"):
        check_loggers(["wand"], "config.logger")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    wanted = r"config.logger has 'mlflow', and that package is not.*pip install 'vp_jax\[mlflow\]'"
    with pytest.raises(UserError, match=wanted):
        check_loggers(["mlflow"], "config.logger")


def events(folder):
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def test_the_end_in_tensorboard(tmp_path):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    picture = tmp_path / "prompt.png"
    Image.fromarray(np.full((3, 5, 3), 7, np.uint8)).save(picture)
    chosen = {"seed": 1, "prompt": "pad(4)", "start.head": True, "tune": ["prompt", "head"]}
    write_end(tmp_path, Conclusion(9, 0, chosen, {"final/test": 0.5}, {"prompt": picture}))
    found = {v.tag: (e.step, v) for e in events(tmp_path / "tensorboard") for v in e.summary.value}
    step, image = found["prompt"]
    assert step == 9 and image.image.encoded_image_string == picture.read_bytes()
    assert (image.image.height, image.image.width, image.image.colorspace) == (3, 5, 3)
    assert found["final/test"][0] == 9 and found["final/test"][1].simple_value == 0.5
    plugin = {
        tag.removeprefix("_hparams_/"): HParamsPluginData.FromString(v.metadata.plugin_data.content)
        for tag, (_, v) in found.items()
        if tag.startswith("_hparams_/")
    }
    assert all(
        v.metadata.plugin_data.plugin_name == "hparams"
        for tag, (_, v) in found.items()
        if tag.startswith("_hparams_/")
    )
    values = plugin["session_start_info"].session_start_info.hparams
    assert values["seed"].number_value == 1 and values["prompt"].string_value == "pad(4)"
    assert values["start.head"].bool_value and values["tune"].string_value == '["prompt", "head"]'
    experiment = plugin["experiment"].experiment
    assert {info.name for info in experiment.hparam_infos} == set(chosen)
    assert [info.name.tag for info in experiment.metric_infos] == ["final/test"]


def test_two_files_of_one_second_are_two_files(tmp_path):
    for step in (1, 2):
        write_end(tmp_path, Conclusion(step, 0, {}, {"final/val": 0.1}, {}))
    steps = [e.step for e in events(tmp_path / "tensorboard") if e.step]
    assert steps == [1, 2]
