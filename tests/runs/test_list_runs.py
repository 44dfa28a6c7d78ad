"""The list of runs says what became of each, changes nothing, and its commands go on with them."""

import csv
import io
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

import pytest
import small_clip
from killing import dies_after

from vp_jax import cli, many, runs, starts
from vp_jax.assembly.go_on import go_on
from vp_jax.errors import UserError
from vp_jax.overrides import put
from vp_jax.records.listing.state import find_runs
from vp_jax.records.workdir import hold
from vp_jax.report import run_list

pytestmark = pytest.mark.slow

ODD = "häuser [1] (neu) & 'co'"
SMALL_CLIP = pathlib.Path(__file__).with_name("small_clip.py")


def quick(**changes):
    config = cli.load_config("quickstart").copy_and_resolve_references()
    config.unlock()
    short = {"backbone.name": small_clip.NAME, "epochs": 3, "batch_size": 32, "task.shots": 16}
    config.update_from_flattened_dict({**short, "checkpoint_every_steps": 2, **changes})
    return config.lock()


def content(top):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in top.rglob("*")
    }


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    """A run that is finished, one that was stopped, a sweep and a start that were stopped."""
    top = tmp_path_factory.mktemp("list") / "runs"
    runs.train(quick(epochs=2), top / "done")
    with pytest.MonkeyPatch.context() as patch, dies_after(6, patch):
        runs.train(quick(), top / ODD)
    members = many.grid(
        {"prompt": ["normalize | pad(2, scale=0.5)", "normalize | pad(4)"], "seed": [0, 1]}
    )
    with pytest.MonkeyPatch.context() as patch, dies_after(4, patch):
        many.train_many(quick(epochs=2), members, top / "sweep 2")
    return top


def listed(top, **changes):
    return {run_list.name_of(run.folder, top): run for run in find_runs(top)} | changes


def test_states(top):
    before, found = content(top), listed(top)
    assert content(top) == before
    assert list(found) == ["done", ODD, "sweep 2"]
    result = json.loads((top / "done" / "result.json").read_text())
    done, stopped, sweep = found.values()
    assert (done.state, done.kind, done.task) == ("finished", "run", "digits")
    assert done.step == done.steps == result["steps"]
    assert (done.val, done.test) == (result["val_accuracy"], result["test_accuracy"])
    assert done.seconds == result["wall_seconds"]
    assert (stopped.state, stopped.step, stopped.steps) == ("stopped", 6, 15)
    assert 0 < stopped.val < 1 and stopped.test is None and stopped.seconds > 0
    assert (sweep.state, sweep.kind, sweep.step, sweep.steps) == ("stopped", "sweep", 4, 10)


def typed(command):
    """The flags of a command as its shell hands them on."""
    python, m, module, *flags = shlex.split(command)
    assert (python, m) == ("python", "-m")
    return module, dict(flag.removeprefix("--").split("=", 1) for flag in flags)


def carried_out(command):
    """What a command does, in this process."""
    module, flags = typed(command)
    config, workdir = cli.load_config(flags.pop("config")), flags.pop("workdir")
    if module == "vp_jax.train_many":
        return many.train_many(config, many.grid(many.parse_vary(flags.pop("vary"))), workdir)
    put(config, [])
    assert module == "vp_jax.train"
    for name in list(flags):
        with config.unlocked():
            config[name.removeprefix("config.")] = flags.pop(name)
    assert not flags
    return runs.train(config, workdir)


@pytest.mark.parametrize("name", [ODD, "sweep 2"])
def test_the_command_goes_on(top, tmp_path, name, capsys):
    folder = tmp_path / name
    shutil.copytree(top / name, folder)
    (run,) = find_runs(folder)
    result = carried_out(go_on(run.folder, run.settings))
    assert f"going on from step {run.step} of {run.steps}" in capsys.readouterr().err
    again = find_runs(folder)
    assert [one.state for one in again] == ["finished"] * len(again)
    assert len(again) == 1 + len(result.get("members", ()))
    assert {one.kind for one in again[1:]} <= {"member"}
    assert again[0].test == max(
        [m["test_metric"] for m in result.get("members", [])[result.get("best_member", 0) :][:1]]
        or [result.get("test_metric")]
    )


@pytest.mark.slow(seconds=6)
def test_a_scan_goes_on_with_the_prompt_that_it_was_given(tmp_path):
    config = quick(**{"start.scan": True, "start.scan_images": 40, "epochs": 2})
    with pytest.MonkeyPatch.context() as patch, dies_after(4, patch):
        runs.train(config, tmp_path / "run")
    (run,) = find_runs(tmp_path)
    assert typed(go_on(run.folder, run.settings))[1]["config.prompt"] == "normalize | pad(4)"
    assert carried_out(go_on(run.folder, run.settings))["steps"] == 10


@pytest.mark.slow(seconds=10)
def test_in_a_shell(top, tmp_path):
    """The text that is printed, typed into a shell in another folder."""
    shutil.copytree(top / ODD, tmp_path / ODD)
    environment = {**os.environ, "PYTHONPATH": str(SMALL_CLIP.parents[2])}
    call = [sys.executable, "-m", "vp_jax.list_runs", ".", "--format=jsonl"]
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(call, **options)
    assert done.returncode == 0 and not done.stderr
    command = json.loads(done.stdout)["go_on"]
    python = f"{shlex.quote(sys.executable)} {shlex.quote(str(SMALL_CLIP))} "
    typed_in = subprocess.run(["bash", "-c", command.replace("python -m ", python)], **options)
    assert typed_in.returncode == 0, typed_in.stderr[-3000:]
    assert json.loads(subprocess.run(call, **options).stdout)["state"] == "finished"


def test_running_while_its_folder_is_held(top):
    with hold(top / ODD):
        before, run = content(top), listed(top)[ODD]
        assert content(top) == before
        assert (run.state, run.step) == ("running", 6)
    assert listed(top)[ODD].state == "stopped"


def test_a_running_sweep_is_as_far_as_its_members(top, tmp_path):
    sweep = shutil.copytree(top / "sweep 2", tmp_path / "sweep")
    shutil.rmtree(sweep / "checkpoints")
    (sweep / "0" / "metrics.jsonl").write_text('{"step": 3, "x": 1.0}\n{"step": 7}\n{"st')
    with hold(sweep):
        (run,) = find_runs(sweep)
    assert (run.state, run.step, run.reason) == ("running", 7, "")


@pytest.fixture
def damaged(top, tmp_path):
    """A copy to break."""
    return shutil.copytree(top / ODD, tmp_path / "run")


@pytest.mark.parametrize(
    ("path", "text", "state", "reason"),
    [
        ("config.json", "{", "damaged", "config.json is no JSON, as after a power cut"),
        ("config.json", None, "damaged", "config.json is missing, so it is unclear whose it is"),
        ("result.json", "[", "stopped", "result.json is no JSON, as after a power cut"),
        ("result.json", "{}", "stopped", "result.json is not a run's"),
        ("checkpoints/6/meta/metadata", "x", "stopped", "checkpoint 6 is damaged: meta/metadata"),
        ("checkpoints", None, "empty", "nothing has been saved yet"),
    ],
)
def test_damage_is_told(damaged, path, text, state, reason):
    broken = damaged / path
    if text is not None:
        broken.write_text(text)
    elif broken.is_dir():
        shutil.rmtree(broken)
    else:
        broken.unlink()
    (run,) = find_runs(damaged)
    assert run.state == state and reason in run.reason
    lines = io.StringIO()
    run_list.write([run_list.Listed("run", run)], "table", lines)
    assert f"run: {reason}" in lines.getvalue()


def test_no_checkpoint_is_whole(damaged):
    for meta in damaged.glob("checkpoints/*/meta/metadata"):
        meta.unlink()
    (run,) = find_runs(damaged)
    assert run.state == "damaged" and run.reason.count("is damaged") == 2


def test_what_is_no_run_is_passed_over(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"architectures": ["CLIP"]}')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("no JSON")
    (tmp_path / "board" / "tensorboard").mkdir(parents=True)
    (tmp_path / "board" / "checkpoints").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert find_runs(tmp_path) == []


def test_links_lead_to_runs_once(top, tmp_path):
    (tmp_path / "one").symlink_to(top / "done")
    (tmp_path / "two").symlink_to(top / "done")
    assert [run.folder.name for run in find_runs(tmp_path)] == ["one"]


@pytest.mark.slow(seconds=6)
def test_a_failed_member(tmp_path):
    members = many.grid({"optimizer.learning_rate": [1.0, 1e38]})
    many.train_many(quick(), members, tmp_path / "sweep")
    sweep, *each = find_runs(tmp_path)
    result = json.loads((tmp_path / "sweep" / "result.json").read_text())
    failed = [m.get("failed_step") for m in result["members"]]
    assert any(failed) and sweep.state == "finished"
    for run, step in zip(each, failed, strict=True):
        assert run.state == ("finished" if step is None else "failed")
        assert step is None or run.reason == f"the loss is not finite at step {step}"


def test_what_was_made_in_python_is_said(tmp_path):
    assert "in Python: runs.train(experiment, 'a b')" in go_on(
        pathlib.Path("a b"), {"made_in": "Python"}
    )
    own = {"backbone": {"name": "custom"}}
    assert go_on(pathlib.Path("a"), own).startswith("in Python: runs.train(..., 'a', backbone=")
    no_grid = {"members": ["seed=0", "seed=1 optimizer.learning_rate=3.0"]}
    assert go_on(pathlib.Path("a"), no_grid) == "the command or the call that began it"


@pytest.mark.slow(seconds=6)
def test_a_start_goes_on_with_its_tasks(tmp_path):
    config = quick(**{"schedule.name": "constant"})
    tasks = ["digits", {"task.name": "digits", "task.shots": 8}]
    with pytest.MonkeyPatch.context() as patch, dies_after(2, patch):
        starts.train_start(config, tasks, tmp_path / "start", starts.Rounds(2, 2, 0.5))
    (run,) = find_runs(tmp_path)
    assert (run.kind, run.state, run.step, run.steps) == ("start", "stopped", 2, 4)
    module, flags = typed(go_on(run.folder, run.settings))
    assert module == "vp_jax.train_start"
    rounds = starts.Rounds(int(flags["rounds"]), int(flags["steps"]), float(flags["share"]))
    again = cli.load_config(flags["config"])
    starts.train_start(again, starts.parse_tasks(flags["tasks"]), flags["workdir"], rounds)
    (run,) = find_runs(tmp_path)
    assert (run.state, run.step) == ("finished", 4)


def test_settings_of_a_run_are_a_config(top, tmp_path):
    path = top / "done" / "config.json"
    assert cli.load_config(str(path)).to_dict() == quick(epochs=2).to_dict()
    for text, message in (
        ("{", "cannot be read"),
        ("[]", "does not hold the settings of a run"),
        ('{"made_in": "Python", "tune": 0, "task": 0, "prompt": 0}', "was made in Python"),
        (path.read_text().replace('"seed"', '"sead"'), "did you mean 'seed'"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UserError, match=message):
            cli.load_config(str(tmp_path / "config.json"))


def test_hundreds_of_runs_are_quick(top, tmp_path):
    """Files are linked, so that only reading them counts."""
    for number in range(300):
        for name in ("config.json", "result.json"):
            target = tmp_path / f"run{number}" / name
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(top / "done" / name)
    begin = time.process_time()
    found = find_runs(tmp_path)
    assert [run.folder.name for run in found] == [f"run{number}" for number in range(300)]
    assert time.process_time() - begin < 2


def test_csv_and_json_lines_hold_the_same(top):
    found = [run_list.Listed(name, run, "go on, there") for name, run in listed(top).items()]
    texts = {}
    for kind in ("csv", "jsonl"):
        run_list.write(found, kind, out := io.StringIO())
        texts[kind] = out.getvalue()
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    objects = [json.loads(line) for line in texts["jsonl"].splitlines()]
    assert [{k: "" if v is None else str(v) for k, v in x.items()} for x in objects] == rows
    assert [row["run"] for row in rows] == ["done", ODD, "sweep 2"]
