"""The runner of grids: settings that exist, cells that fail alone, tables that say what was run."""

import csv
import importlib
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from experiments.grids import report, runner, trial  # noqa: E402
from vp_jax.assembly.checks import check  # noqa: E402
from vp_jax.records import workdir as workdir_lib  # noqa: E402


@pytest.mark.parametrize("name", ["methods", "imperceptible"])
def test_every_trial_has_valid_settings(name, monkeypatch):
    monkeypatch.setenv("VP_JAX_DATA", "/data")
    trials = importlib.import_module(f"experiments.grids.{name}").trials((0, 1, 2))
    assert len({t.key for t in trials}) == len(trials)
    for own in trials:
        assert len(own.choices) in (1, 3) and len(own.members) == 3 * len(own.choices)
        for member in own.members:
            check(own.config(member))


def small(choices=({}, {"optimizer.learning_rate": 1.0}), **settings):
    return trial.Trial("a task", "a row", settings, choices, (0, 1), images=100)


def write_results(folder, results):
    for number, result in enumerate(results):
        if result is not None:
            val, test = result
            content = {"val_accuracy": val, "test_accuracy": test, "trainable_parameters": 7}
            path = folder / str(number) / workdir_lib.RESULT
            workdir_lib.write_json(path, {**content, "images_per_second": 10.0 * (number + 1)})


def test_what_is_chosen_is_the_best_on_val_whatever_test_says(tmp_path):
    write_results(tmp_path, [(0.5, 0.9), (0.5, 0.9), (0.7, 0.1), (0.6, 0.2)])
    row = trial.read(small(), tmp_path)
    assert row.choice == {"optimizer.learning_rate": 1.0}
    assert (row.val, row.test, row.parameters) == ([0.7, 0.6], [0.1, 0.2], 7)
    assert row.images_per_second == 35.0 and not row.failed
    assert row.tried == [({}, 0.5), ({"optimizer.learning_rate": 1.0}, pytest.approx(0.65))]


def test_a_choice_with_a_seed_that_failed_is_not_preferred(tmp_path):
    write_results(tmp_path, [(0.5, 0.9), (0.5, 0.9), (0.9, 0.9), None])
    row = trial.read(small(), tmp_path)
    assert row.choice == {} and len(row.failed) == 1 and "no result" in row.failed[0]
    assert trial.read(small(), tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"tune": ("prompt", "head"), "head.name": "linear"}, True),
        ({"tune": ("backbone", "head"), "head.name": "linear"}, False),
        ({"tune": ("head",), "head.name": "linear"}, False),
        ({"tune": ()}, False),
    ],
)
def test_which_runs_share_a_program(settings, expected):
    assert trial.can_share(small(**settings)) is expected


def test_tables_say_the_spread_the_best_and_what_is_missing(tmp_path):
    better = trial.Trial("a task", "better", {}, [{}], (0, 1), images=100)
    missing = trial.Trial("a task", "<lost>", {}, [{}], (0, 1), images=100)
    write_results(tmp_path / "base", [(0.5, 0.5), (0.5, 0.6)])
    write_results(tmp_path / "better", [(0.5, 0.7), (0.5, 0.8)])
    base = small(choices=[{}])
    rows = {
        ("a task", "a row"): trial.read(base, tmp_path / "base"),
        ("a task", "better"): trial.read(better, tmp_path / "better"),
    }
    report.write(tmp_path, [base, better, missing], rows, "a row", "the command")
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[2] == "| a row | 55.0 ± 7.1 | 0 % | 7 |"
    assert lines[3] == "| better | **75.0 ± 7.1** | 44 % | 7 |"  # 0.25 of 0.45 are left
    assert "- a task, <lost>: no result" in lines
    page = (tmp_path / "report.html").read_text()
    assert "<b>75.0 ± 7.1</b>" in page and "&lt;lost&gt;" in page and "<lost>" not in page
    with (tmp_path / "table.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(r["row"], r["seed"], r["test"]) for r in found if r["shown"] == "yes"] == [
        ("a row", "0", "0.5"),
        ("a row", "1", "0.6"),
        ("better", "0", "0.7"),
        ("better", "1", "0.8"),
    ]


def test_what_fails_is_told_and_stops_nothing(tmp_path):
    trials = [trial.Trial("t", name, {}, [{}], (0,), images=1) for name in ("bad", "good", "bad2")]

    def command(own):
        done = f"open(r'{tmp_path / own.row}', 'w'); print('Error: too\\nbad'); "
        return ["-c", done + f"raise SystemExit({int(own.row.startswith('bad'))})"]

    failures = runner.run_all(trials, tmp_path, workers=2, command=command)
    assert {p.name for p in tmp_path.iterdir()} == {"bad", "good", "bad2", "t"}
    assert sorted(f.key for f in failures) == ["t/bad", "t/bad2"]
    assert all(f.reason == "bad" and f.log.exists() for f in failures)


@pytest.mark.slow(seconds=30)
def test_the_command_plans_runs_and_does_nothing_twice(python, tmp_path):
    command = ("-m", "experiments.run", "methods", f"--workdir={tmp_path}", "--seeds=0")
    cells = "--only=digits/zero"
    data = {"VP_JAX_DATA": "/data"}
    planned = python(*command, cells, "--plan", env=data, check=True).stdout
    assert re.search(r"clip_tiny, digits +zero-shot +1 +1 ", planned), planned
    assert not list(tmp_path.iterdir())
    first = python(*command, cells, env=data, check=True)
    assert "zero-shot  12.8" in " ".join(first.stdout.replace("**", "").split()).replace(
        "zero-shot ", "zero-shot  "
    )
    log = tmp_path / "clip_tiny_digits" / "zero-shot" / runner.LOG
    said = log.read_text()
    python(*command, cells, env=data, check=True)
    assert "finished" in log.read_text().removeprefix(said)
    wrong = python(*command, "--only=nothing", env=data)
    assert wrong.returncode and "names none of" in wrong.stderr and "Traceback" not in wrong.stderr
