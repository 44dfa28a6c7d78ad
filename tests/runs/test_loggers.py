"""Whole runs that Weights & Biases and MLflow follow, in their offline modes."""

import json

import pytest
import small_clip
from killing import dies_after

from vp_jax import cli, many, runs
from vp_jax.records.metrics import read_metrics


def quick(*loggers, **changes):
    config = cli.load_config("quickstart").copy_and_resolve_references()
    config.unlock()
    short = {"backbone.name": small_clip.NAME, "epochs": 2, "batch_size": 32, "task.shots": 16}
    config.update_from_flattened_dict(
        {**short, "checkpoint_every_steps": 2, "log_every_steps": 1, "logger": loggers, **changes}
    )
    return config.lock()


def numbers(rows):
    return {(r["step"], name): x for r in rows for name, x in r.items() if name != "step"}


@pytest.fixture
def mlflow(monkeypatch, tmp_path):
    pytest.importorskip("mlflow.tracking", reason="of the extra 'mlflow'")
    pytest.importorskip("sqlalchemy", reason="of MLflow's SQLite store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.chdir(tmp_path)  # where artifacts go
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.mark.slow(seconds=10)
def test_mlflow_has_every_row_of_a_run_that_was_killed(tmp_path, monkeypatch, mlflow):
    folder = tmp_path / "häuser [1]"
    with dies_after(4, monkeypatch):
        runs.train(quick("mlflow"), folder)
    known = json.loads((folder / "loggers.json").read_text())["mlflow"]
    assert mlflow.get_run(known).info.status == "KILLED"
    result = runs.train(quick("mlflow"), folder)
    run = mlflow.get_run(known)
    assert len(mlflow.search_runs([run.info.experiment_id])) == 1
    assert run.info.status == "FINISHED" and run.info.run_name == "häuser [1]"
    assert mlflow.get_experiment(run.info.experiment_id).name == "vp_jax"
    for (step, name), value in numbers(read_metrics(folder)).items():
        found = {m.value for m in mlflow.get_metric_history(known, name) if m.step == step}
        assert found == {value}, (step, name)
    assert run.data.metrics["final/test"] == result["test_metric"]
    assert run.data.params["epochs"] == "2" and run.data.params["prompt"] == "normalize | pad(4)"
    assert "logger" not in run.data.params and "checkpoint_every_steps" not in run.data.params
    assert {f.path for f in mlflow.list_artifacts(known)} == {"prompt.png", "examples.png"}


@pytest.mark.slow(seconds=8)
def test_mlflow_has_a_run_for_each_member(tmp_path, mlflow):
    many.train_many(quick("mlflow"), many.grid({"seed": [0, 1]}), tmp_path / "sweep")
    experiment = mlflow.get_experiment_by_name("vp_jax").experiment_id
    found = {run.info.run_name: run for run in mlflow.search_runs([experiment])}
    assert set(found) == {"sweep/0", "sweep/1"}
    assert {run.data.params["seed"] for run in found.values()} == {"0", "1"}


@pytest.mark.slow(seconds=8)
def test_a_run_that_mlflow_does_not_have_any_more(tmp_path, monkeypatch, mlflow):
    with dies_after(4, monkeypatch):
        runs.train(quick("mlflow"), tmp_path / "run")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    wanted = r"MLflow cannot follow.*an earlier start has begun.*set MLFLOW_TRACKING_URI"
    with pytest.raises(ValueError, match=wanted):
        runs.train(quick("mlflow"), tmp_path / "run")
    assert runs.train(quick(), tmp_path / "run")["steps"] == 10  # and without it as before


@pytest.fixture
def wandb(monkeypatch):
    pytest.importorskip("wandb", reason="of the extra 'wandb'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)


BLOCK, HEAD = 32768, 7
FULL, FIRST, LAST = 1, 2, 4


def records(log):
    """The records of a LevelDB log, as Weights & Biases keeps what is to be sent."""
    place, whole = HEAD, b""  # its own name and version
    while place + HEAD <= len(log):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK
            continue
        length, kind = int.from_bytes(log[place + 4 : place + 6], "little"), log[place + 6]
        piece = log[place + HEAD : place + HEAD + length]
        place += HEAD + length
        whole = piece if kind in (FULL, FIRST) else whole + piece
        if kind in (FULL, LAST):
            yield whole


def sent(folder):
    """What was kept to be sent: rows, the summary of the run, and the files, of every start."""
    from wandb.proto.wandb_internal_pb2 import Record

    starts = []
    for path in sorted((folder / "wandb").glob("offline-run-*/run-*.wandb")):
        rows, about, files = [], None, []
        for data in records(path.read_bytes()):
            record = Record.FromString(data)
            if record.WhichOneof("record_type") == "history":
                items = {i.key or ".".join(i.nested_key): i for i in record.history.item}
                rows.append({name: json.loads(i.value_json) for name, i in items.items()})
            elif record.WhichOneof("record_type") == "run":
                about = record.run
            elif record.WhichOneof("record_type") == "files":
                files += [file.path for file in record.files.files]
        starts.append((about, rows, files))
    return starts


@pytest.mark.slow(seconds=20)
def test_weights_and_biases_keep_every_row_of_a_run_that_was_killed(tmp_path, monkeypatch, wandb):
    folder = tmp_path / "häuser [1]"
    with dies_after(4, monkeypatch):
        runs.train(quick("wandb"), folder)
    result = runs.train(quick("wandb"), folder)
    starts = sent(folder)
    assert len(starts) == 2 and {about.run_id for about, _, _ in starts} == {starts[0][0].run_id}
    assert {about.project for about, _, _ in starts} == {"vp_jax"}
    assert starts[0][0].display_name == "häuser [1]"
    known = json.loads((folder / "loggers.json").read_text())["wandb"]
    assert known == f"vp_jax/{starts[0][0].run_id}"
    rows = [row for _, own, _ in starts for row in own]
    kept = numbers([{k: v for k, v in row.items() if k[0] != "_"} for row in rows])
    assert numbers(read_metrics(folder)).items() <= kept.items()
    last = rows[-1]
    assert (last["step"], last["final/test"]) == (10, result["test_metric"])
    assert last["prompt._type"] == last["examples._type"] == "image-file"
    assert [row["_step"] for row in rows] == list(range(len(read_metrics(folder)) + 1))
    config = {i.key: json.loads(i.value_json) for i in starts[0][0].config.update}
    assert (config["epochs"], config["prompt"]) == (2, "normalize | pad(4)")


def test_online_without_a_key_is_one_sentence(tmp_path, monkeypatch, wandb):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(ValueError, match=r"Weights & Biases cannot follow.*set WANDB_MODE=offline"):
        runs.train(quick("wandb"), tmp_path / "run")


@pytest.mark.slow
def test_tensorboard_shows_the_prompt_examples_and_settings(tmp_path):
    runs.train(quick(), tmp_path / "run")
    events = b"".join(f.read_bytes() for f in (tmp_path / "run" / "tensorboard").iterdir())
    for name in ("prompt.png", "examples.png"):
        assert (tmp_path / "run" / name).read_bytes() in events
    for text in (b"session_start_info", b"normalize | pad(4)", b"final/test", b"final/val"):
        assert text in events
    assert not (tmp_path / "run" / "loggers.json").exists()
