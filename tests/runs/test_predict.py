"""Predictions on files: which, in which order, of which memory, and what is broken among them."""

import csv
import io
import itertools
import json
import shutil
import zipfile

import numpy as np
import own_backbone
import pytest
from own_backbone import quick
from PIL import Image

import vp_jax
from vp_jax import data, runs
from vp_jax.answers import answer_all
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.data.sources.listed import listed
from vp_jax.errors import UserError
from vp_jax.host.in_order import map_in_order
from vp_jax.report import predictions
from vp_jax.report.significance import wilson

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("predict") / "run"
    own = own_backbone.make()
    runs.train(quick(**{"task.shots": 8, "epochs": 1}), workdir, own)
    return vp_jax.load(workdir, backbone=own, batch_size=4)


@pytest.fixture(scope="module")
def digits():
    split = data.load_task("digits", resize=ResizeRule(8)).test
    return np.asarray(split.images[:12]), split.labels[:12]


@pytest.fixture
def photographs(tmp_path, digits):
    """A folder of a folder a class, with a text among the images and one that is no image."""
    folder = tmp_path / "my [odd] photos"
    for number, (image, label) in enumerate(zip(*digits, strict=True)):
        own = folder / NAMES[label].upper()
        own.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(own / f"{number:02}.png")
    (folder / "notes.txt").write_text("nothing")
    (folder / "a_broken.jpg").write_text("no image")
    return folder


def collect(model, paths, **more):
    answers = []
    count = answer_all(model, paths, answers.append, **more)
    return answers, count


def test_a_folder_is_answered_in_order_and_what_is_broken_is_named(model, photographs):
    answers, count = collect(model, [str(photographs)], by_folder=True)
    files = sorted(photographs.rglob("*.*g"))
    assert [a.image for a in answers] == [str(file) for file in sorted(files, key=str)]
    good = [a for a in answers if not a.error]
    (bad,) = [a for a in answers if a.error]
    assert "a_broken.jpg" in bad.error and "this is a text" in bad.error
    expected = model.probabilities([a.image for a in good])
    assert [a.labels[0] for a in good] == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose([a.probabilities[0] for a in good], expected.max(axis=1), rtol=1e-5)
    right = sum(NAMES[a.labels[0]].upper() == a.image.split("/")[-2] for a in good)
    assert (count.images, count.broken, count.known, count.right) == (13, 1, 12, right)
    summary = count.summary(by_folder=True)
    assert "13 images, 1 could not be read" in summary and f"{right} of 12 right" in summary


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_is_its_folder(model, photographs, tmp_path, kind):
    archive = shutil.make_archive(str(tmp_path / "all"), kind, photographs)
    inside, _ = collect(model, [archive], by_folder=True)
    outside, _ = collect(model, [str(photographs)], by_folder=True)
    assert [(a.labels, a.expected) for a in inside] == [(a.labels, a.expected) for a in outside]
    np.testing.assert_array_equal(
        [a.probabilities for a in inside if not a.error],
        [a.probabilities for a in outside if not a.error],
    )


def test_what_is_not_there_stops_nothing(model, photographs, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 and nothing")
    good = sorted(photographs.rglob("*.png"))
    paths = [str(good[0]), "missing.png", str(tmp_path / "empty"), str(tmp_path / "bad.zip")]
    answers, count = collect(model, [*paths, str(good[1])])
    assert [bool(a.error) for a in answers] == [False, True, True, True, False]
    assert "missing.png cannot be read" in answers[1].error
    assert "no image in" in answers[2].error and "bad.zip" in answers[3].error
    assert count.broken == 3 and count.summary(False).count("\n") == 3


def test_a_threshold_abstains(model, photographs):
    answers, count = collect(model, [str(photographs)], top=3, threshold=1.0, by_folder=True)
    assert all(a.abstains and len(a.labels) == 3 for a in answers if not a.error)
    assert count.silent == 12 and count.right == 0 and count.known == 12


def test_a_stream_without_an_end_is_answered_as_it_comes(model, digits):
    read = []

    def endless():
        for number in itertools.count():
            read.append(number)
            yield digits[0][number % 12]

    rows = list(itertools.islice(model.stream(endless()), 30))
    np.testing.assert_allclose(np.stack(rows)[:12], model.probabilities(digits[0]), rtol=1e-5)
    np.testing.assert_array_equal(rows[0], rows[12])
    assert len(read) <= 30 + 6 * model.batch_size


def test_errors_come_in_their_place_in_whole_broken_batches(model, digits):
    images = [b"", *digits[0][:1], *[b"x"] * 9, *digits[0][1:2]]
    rows = list(model.stream(images))
    assert [isinstance(row, UserError) for row in rows] == [True, False, *[True] * 9, False]
    np.testing.assert_allclose(rows[-1], model.probabilities(digits[0][1]), rtol=1e-5)
    assert list(model.stream([])) == []
    with pytest.raises(UserError, match="image 1 of those given cannot be decoded"):
        model.probabilities([digits[0][0], b"x"])


def test_work_is_done_in_order_and_its_errors_wait_for_their_turn():
    assert list(map_in_order(str, range(100), 7)) == [str(i) for i in range(100)]
    results = map_in_order(lambda i: 1 // (5 - i), range(9), 3)
    assert [next(results) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def written(kind, answers, top=2, scored=False):
    out = io.StringIO()
    write = predictions.writer(kind, ("cat", 'a dog, or "so"'), top, scored, out)
    for answer in answers:
        write(answer)
    return out.getvalue()


ANSWERS = (
    predictions.Answer("one,\n.png", (1, 0), (0.75, 0.25), expected=1),
    predictions.Answer("zwölf.png", (0, 1), (0.6, 0.4), abstains=True, expected=0),
    predictions.Answer("bad.png", error="it is a text"),
)


def test_csv_reads_back():
    rows = list(csv.DictReader(io.StringIO(written("csv", ANSWERS, scored=True), newline="")))
    assert [row["image"] for row in rows] == ["one,\n.png", "zwölf.png", "bad.png"]
    assert [row["class"] for row in rows] == ['a dog, or "so"', "", ""]
    assert rows[0]["probability"] == "0.750000" and rows[0]["class_2"] == "cat"
    assert [row["expected"] for row in rows] == ['a dog, or "so"', "cat", ""]
    assert [row["error"] for row in rows] == ["", "", "it is a text"]


def test_json_lines_read_back():
    one, two, bad = map(json.loads, written("jsonl", ANSWERS).splitlines())
    assert one["class"] == 'a dog, or "so"' and one["predictions"][1]["probability"] == 0.25
    assert two["class"] is None and [p["label"] for p in two["predictions"]] == [0, 1]
    assert bad == {"image": "bad.png", "error": "it is a text"}


def test_the_columns_of_a_table_are_straight():
    bad = ANSWERS[2]._replace(expected=1)
    lines = written("table", (ANSWERS[1], bad), scored=True).splitlines()
    assert lines[0].index("zwölf.png") == lines[1].index("bad.png")
    assert lines[0].startswith(" 60.0 %  (cat)") and "wrong" in lines[0]
    assert "unreadable" in lines[1] and "wrong" not in lines[1]


def test_the_interval_of_wilson_holds_at_both_ends():
    for right, count in ((0, 5), (5, 5), (1, 1)):
        low, high = wilson(right, count)
        assert -1e-12 < low < right / count + 1e-12 and right / count - 1e-12 < high < 1 + 1e-12
    low, high = wilson(50, 100)
    assert (low, high) == (pytest.approx(0.40383, abs=1e-5), pytest.approx(0.59617, abs=1e-5))


def test_lists_name_folders_of_any_place(tmp_path, monkeypatch):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "x.PNG").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr("dog/y.jpg", b"y")
        file.writestr("top.jpg", b"t")
    monkeypatch.chdir(tmp_path / "cat")
    found = [(one.folder, one.read()) for one in listed(["x.PNG", ".", "../z.zip"])]
    assert found == [("cat", b"x"), ("cat", b"x"), ("dog", b"y"), ("", b"t")]


@pytest.mark.slow(seconds=40)
def test_the_command(python, tmp_path, photographs):
    settings = quick(**{"task.shots": 8, "epochs": 1, "backbone.name": "clip_tiny"})
    settings.update_from_flattened_dict({"head.name": "text", "head.templates": ("{}",)})
    runs.train(settings, tmp_path / "run")
    command = ("-m", "vp_jax.predict", f"--workdir={tmp_path / 'run'}", "--batch_size=4")
    done = python(*command, "--top=2", "--by_folder", str(photographs))
    assert done.returncode == 1, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    expected = vp_jax.load(tmp_path / "run").predict(rows[0]["image"])
    assert len(rows) == 13 and rows[0]["class"] == expected.name
    assert float(rows[0]["probability"]) == pytest.approx(expected.probability, abs=1e-4)
    assert "12" in done.stderr and "a_broken.jpg cannot be decoded" in done.stderr
    for wrong, why in (
        ((), "no images given"),
        (("--top=0", "x"), "--top must be at least 1"),
        (("--format=xml", "x"), "format"),
    ):
        refused = python(*command, *wrong)
        assert refused.returncode == 2 and why in refused.stderr and not refused.stdout
