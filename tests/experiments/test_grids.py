"""The runner of grids: settings that exist, cells that fail alone, tables that say what was run."""

import csv
import json
import pathlib
import re
import signal
import sys
import time
import types

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from experiments import grids  # noqa: E402
from experiments.grids import dots, mappings, measured, report, runner, trial  # noqa: E402
from vp_jax import cli  # noqa: E402
from vp_jax.assembly.checks import check  # noqa: E402
from vp_jax.errors import UserError  # noqa: E402
from vp_jax.records import workdir as workdir_lib  # noqa: E402
from vp_jax.records.names import METRICS, RESULT  # noqa: E402


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize("name", grids.names())
def test_every_trial_has_valid_settings(name, monkeypatch):
    monkeypatch.setenv("VP_JAX_DATA", "/data")
    trials = grids.load(name).trials((0, 1, 2))
    assert len({t.key for t in trials}) == len(trials)
    assert grids.load(name).BASE in {t.row for t in trials}
    for own in trials:
        assert len(own.choices) in (1, 5) and own.runs == len(own.choices) + 2
        for member in (*own.tried, *own.repeated(own.choices[-1])):
            check(own.config(member))


def test_all_grids_are_found():
    assert {"imperceptible", "mappings", "methods", "sweep"} <= {*grids.names()}
    assert not {"pairs", "report", "runner", "trial"} & {*grids.names()}


def value_of(settings, name):
    for part in name.split("."):
        settings = settings[part]
    return settings


def test_what_the_mappings_change_is_changed(monkeypatch):
    monkeypatch.setenv("VP_JAX_DATA", "/data")
    by_row = {t.row: t for t in mappings.trials((0,)) if t.column == "USPS, 1 epoch"}
    whole = by_row["frequency"].config()
    for name, settings in mappings.CHANGES.items():
        changed = by_row[f"frequency, {name}"].config()
        for key, value in settings.items():
            assert value_of(changed, key) == value != value_of(whole, key), (name, key)


def test_the_sweep_is_of_the_quickstart():
    (own,) = (t for t in grids.load("sweep").trials((3,)) if t.row == "learning rate 10")
    quick = cli.load_config("configs/quickstart.py")
    quick.update_from_flattened_dict({"seed": 3, "epochs": 10})
    assert own.config(*own.tried).to_json() == quick.to_json()


def test_a_run_begins_with_the_head_of_its_seed(tmp_path):
    own = trial.Trial(
        "a task", "a row", {"head.name": "linear"}, [{}], (4, 7), 100, head_of="the LP"
    )
    first, second = *own.tried, *own.repeated({})
    for member, place in ((first, "choices/0"), (second, "seeds/0")):
        config = own.config(member, tmp_path / "a_row")
        assert config.head.from_run == str(tmp_path / "the_LP" / place)
    assert not trial.can_share(own, [first, second])


def small(choices=({}, {"optimizer.learning_rate": 1.0}), **settings):
    return trial.Trial("a task", "a row", settings, choices, (0, 1), images=100)


def write_results(folder, results):
    for number, result in enumerate(results):
        if result is not None:
            val, test = result
            content = {"val_accuracy": val, "test_accuracy": test, "trainable_parameters": 7}
            content["zero_shot_test_accuracy"] = 0.1
            path = folder / str(number) / RESULT
            workdir_lib.write_json(path, {**content, "images_per_second": 10.0 * (number + 1)})
            rows = ({"step": 10 * (i + 1), "val/accuracy": val * i} for i in range(2))
            lines = [json.dumps(row) for row in ({"step": 5, "train/loss": 1.0}, *rows)]
            (path.parent / METRICS).write_text("\n".join(lines) + "\n")


def test_what_is_chosen_is_the_best_on_val_whatever_test_says(tmp_path):
    write_results(tmp_path / "choices", [(0.5, 0.9), (0.7, 0.1)])
    write_results(tmp_path / "seeds", [(0.4, 0.2)])
    row = trial.read(small(), tmp_path)
    assert row.choice == {"optimizer.learning_rate": 1.0}
    assert (row.seeds, row.val, row.test, row.parameters) == ([0, 1], [0.7, 0.4], [0.1, 0.2], 7)
    assert row.images_per_second == 15.0 and not row.failed
    assert row.tried == [({}, 0.5), ({"optimizer.learning_rate": 1.0}, 0.7)]
    assert trial.finished(small(), tmp_path) == small().runs == 3
    whole = {"members": [], "images_per_second": 90.0}  # of both choices, in one program
    workdir_lib.write_json(tmp_path / "choices" / RESULT, whole)
    assert trial.read(small(), tmp_path).images_per_second == 50.0


def test_runs_without_a_result_are_named(tmp_path):
    write_results(tmp_path / "choices", [None, (0.9, 0.8)])
    row = trial.read(small(), tmp_path)
    assert row.choice == {"optimizer.learning_rate": 1.0} and row.seeds == [0]
    assert row.failed == [
        "{'seed': 0}: no result",
        "{'optimizer.learning_rate': 1.0, 'seed': 1}: no result",
    ]
    assert trial.finished(small(), tmp_path) == 1
    assert trial.read(small(), tmp_path / "nothing") is None


def test_the_choice_with_the_first_seed_is_repeated_with_the_others(tmp_path, monkeypatch):
    made = []

    def train_many(config, members, folder):
        made.append((folder.name, members))
        write_results(
            folder, [(0.5 + 0.1 * m.get("optimizer.learning_rate", 0), 1) for m in members]
        )

    monkeypatch.setattr(trial.many, "train_many", train_many)
    own = trial.Trial("t", "r", {}, small().choices, (3, 4, 5), images=1)
    trial.run(own, tmp_path)
    best = {"optimizer.learning_rate": 1.0}
    assert made == [
        ("choices", [{"seed": 3}, {**best, "seed": 3}]),
        ("seeds", [{**best, "seed": 4}, {**best, "seed": 5}]),
    ]


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
    own = small(**settings)
    assert trial.can_share(own, own.tried) is expected
    assert not trial.can_share(own, own.tried[:1])


def test_tables_say_the_spread_the_best_and_what_is_missing(tmp_path):
    better = trial.Trial("a task", "better", {"tune": ("prompt", "head")}, [{}], (0, 1), images=100)
    missing = trial.Trial("a task", "<lost>", {}, [{}], (0, 1), images=100)
    for name, tests in (("base", (0.5, 0.6)), ("better", (0.7, 0.8))):
        write_results(tmp_path / name / "choices", [(0.5, tests[0])])
        write_results(tmp_path / name / "seeds", [(0.5, tests[1])])
    base = small(choices=[{}])
    rows = {
        ("a task", "a row"): trial.read(base, tmp_path / "base"),
        ("a task", "better"): trial.read(better, tmp_path / "better"),
    }
    report.write(tmp_path, [base, better, missing], rows, "a row", "the command")
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[2] == "| a row | 55.0 ± 7.1 | 0 % | 100 % | prompt | 7 | 10 |"
    both = "44 % | 100 % | prompt + head | 7 | 10"  # of 0.45, 0.25 left
    assert lines[3] == f"| better | **75.0 ± 7.1** | {both} |"
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


def row(curves, val=0.8, **more):
    choice = {"optimizer.learning_rate": 1.0}
    values = {"zero_shot": None, "images_per_second": None, **more}
    seeds = list(range(len(curves)))
    return trial.Row(
        choice, seeds, [val] * len(seeds), [0.1] * len(seeds), parameters=3, tried=[(choice, val)],
        failed=[], curves=curves, **values,
    )  # fmt: skip


def test_after_which_share_of_the_updates_it_is_as_good():
    base = row([{100: 0.5, 200: 0.8}])
    assert report.reached(base, base) == 1
    assert report.reached(row([{0: 0.8, 200: 0.9}]), base) == 0
    assert report.reached(row([{0: 0.2, 20: 0.9}, {0: 0.2, 20: 0.7}]), base) == 0.1
    assert report.reached(row([{0: 0.2, 20: 0.9}, {0: 0.2, 20: 0.69}]), base) == float("inf")
    assert report.reached(row([{}]), base) is None and report.reached(base, None) is None


def test_a_csv_says_all_that_the_table_needs(tmp_path):
    own = trial.Trial("t, t", "r", {}, small().choices, (0, 1), images=1)
    write_results(tmp_path / "choices", [(0.5, 0.9), (0.7, 0.1)])
    write_results(tmp_path / "seeds", [(0.4, 0.2)])
    rows = {("t, t", "r"): trial.read(own, tmp_path), ("t", "q"): row([{}], zero_shot=0.5)}
    other = trial.Trial("t", "q", {}, [{"optimizer.learning_rate": 1.0}], (0,), images=1)
    path = tmp_path / "table.csv"
    path.write_text(measured.to_csv([own, other], rows))
    found = measured.read_csv(path)
    for own_row in rows.values():
        own_row.tried.sort(key=lambda pair: pair[0] != own_row.choice)
    assert found == rows and found["t, t", "r"].curves == [{10: 0.0, 20: 0.7}, {10: 0.0, 20: 0.4}]
    assert measured.whole([own, other], found) == rows
    changed = trial.Trial("t, t", "r", {}, [{}, {"optimizer.learning_rate": 2.0}], (0, 1), 1)
    more_seeds = trial.Trial("t", "q", {}, other.choices, (0, 1), 1)
    assert measured.whole([changed, more_seeds], found) == {}
    path.write_text("nonsense")
    with pytest.raises(UserError, match="is no table.csv"):
        measured.read_csv(tmp_path)
    path.write_text("column,row\na,b\n")
    with pytest.raises(UserError, match="is no table.csv"):
        measured.read_csv(path)


def test_a_picture_has_a_bar_for_each_mean_and_a_point_for_each_seed(tmp_path, monkeypatch):
    columns = {"first, task": ("base", "both"), "second, task": ("both",), "third": ()}
    tunes = {"base": {}, "both": {"tune": ("prompt", "head")}}
    trials = [trial.Trial(c, r, tunes[r], [{}], (0, 1), images=1) for c in columns for r in tunes]
    there = [t for t in trials if t.row in columns[t.column]]
    rows = {(t.column, t.row): row([{}, {}]) for t in there}
    for number, found in enumerate(rows.values()):
        found.test[:] = [0.1 * number, 0.1 * number + 0.2]
    kept = []
    monkeypatch.setattr(dots, "save_png", lambda path, figure: kept.append((path, figure)))
    assert dots.draw(tmp_path, trials, rows, "base") == tmp_path / dots.PICTURE
    ((_, figure),) = kept
    first, second = figure.axes
    assert [x.get_text() for x in first.get_yticklabels()] == ["base", "both"]
    drawn = [
        [(np.ravel(line.get_xdata()), np.ravel(line.get_ydata())) for line in axes.lines]
        for axes in (first, second)
    ]
    points = [([0.0, 20.0], [0, 0]), ([10.0], [0]), ([10.0, 30.0], [1, 1]), ([20.0], [1])]
    for (x, y), (own_x, own_y) in zip(points, drawn[0], strict=False):
        assert own_x == pytest.approx(x) and own_y.tolist() == y
    assert drawn[0][4][0] == pytest.approx([10, 10])  # the line at the base's mean
    assert len(drawn[1]) == 2 and drawn[1][1][0] == pytest.approx([30])
    colours = [line.get_color() for line in first.lines]
    assert colours[0] != colours[2] == second.lines[0].get_color()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["prompt", "prompt + head", "base"]


def test_imperceptible_prompts_are_drawn_as_far_as_they_are_finished(tmp_path, monkeypatch):
    from experiments.grids import imperceptible

    class Model:
        rule = None

        def unprompted(self, image):
            return image / 255

        prompted = unprompted

    image = np.full((1, 8, 8, 3), 100, np.uint8)
    test = types.SimpleNamespace(test=types.SimpleNamespace(images=image))
    monkeypatch.setenv("VP_JAX_DATA", "/data")
    monkeypatch.setattr(imperceptible.restored, "load", lambda run: Model())
    monkeypatch.setattr(imperceptible.data, "load_task", lambda *_, **__: test)
    trials = imperceptible.trials((0, 1))
    rows = {}
    for own in [t for t in trials if "digits" in t.column][1:]:  # without epsilon 1
        write_results(tmp_path / own.key / "choices", [(0.5, 0.6)])
        rows[own.column, own.row] = trial.read(own, tmp_path / own.key)
    path = imperceptible.draw(tmp_path, trials, rows, imperceptible.BASE)
    assert Image.open(path).size[0] == 9 * 120


def test_what_fails_is_told_and_stops_nothing(tmp_path):
    trials = [trial.Trial("t", name, {}, [{}], (0,), images=1) for name in ("bad", "good", "bad2")]

    def command(own):
        done = f"open(r'{tmp_path / own.row}', 'w'); print('Error: too\\nbad'); "
        return ["-c", done + f"raise SystemExit({int(own.row.startswith('bad'))})"]

    failures = runner.run_all(trials, tmp_path, workers=2, command=command)
    assert {p.name for p in tmp_path.iterdir()} == {"bad", "good", "bad2", "t"}
    assert sorted(f.key for f in failures) == ["t/bad", "t/bad2"]
    assert all(f.reason == "bad" and f.log.exists() for f in failures)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "it was killed, perhaps for want of memory: try fewer"),
        ("os.abort()", "it ended by SIGABRT"),
        ("sys.exit(3)", "status 3"),
    ],
)
def test_how_a_cell_ended_is_said(tmp_path, end, reason):
    own = trial.Trial("t", "r", {}, [{}], (0,), images=1)
    (failure,) = runner.run_all([own], tmp_path, 1, lambda _: ["-c", f"import os, sys; {end}"])
    assert failure.reason.startswith(reason)


@pytest.mark.slow(seconds=30)
def test_the_command_plans_runs_goes_on_and_does_nothing_twice(python, start, tmp_path):
    command = ("-m", "experiments.run", "methods", f"--workdir={tmp_path}", "--seeds=0")
    cells = "--only=digits/zero"
    data = {"VP_JAX_DATA": "/data"}
    planned = python(*command, cells, "--plan", env=data, check=True).stdout
    assert re.search(r"clip_tiny, digits +zero-shot +1 +1 ", planned), planned
    assert not list(tmp_path.iterdir())
    log = tmp_path / "clip_tiny_digits" / "zero-shot" / runner.LOG
    begun = start(*command, cells, env=data)
    while not log.exists() and begun.poll() is None:
        time.sleep(0.05)
    begun.send_signal(signal.SIGTERM)
    _, said = begun.communicate(timeout=300)
    assert (begun.returncode, "Traceback" in said) == (130, False), said
    assert f"stopped; the same command goes on in {tmp_path}" in said
    first = python(*command, cells, env=data, check=True)
    assert "zero-shot  12.8" in " ".join(first.stdout.replace("**", "").split()).replace(
        "zero-shot ", "zero-shot  "
    )
    said = log.read_text()
    python(*command, cells, env=data, check=True)
    assert log.read_text() == said
    wrong = python(*command, "--only=nothing", env=data)
    assert wrong.returncode and "names none of" in wrong.stderr and "Traceback" not in wrong.stderr
