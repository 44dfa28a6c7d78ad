"""Two runs on the same test images, whatever their order; and where they cannot be compared."""

import pathlib
from types import SimpleNamespace

import numpy as np
import pytest

from vp_jax import data
from vp_jax.data.tasks.contents import Contents
from vp_jax.errors import UserError
from vp_jax.records.predictions_file import Answers, OnTest
from vp_jax.report.comparison.duel import duel
from vp_jax.report.comparison.entry import Entry, names_of
from vp_jax.report.comparison.images import images_of
from vp_jax.report.significance import mcnemar

NAMES = ("cat", "dog", "hen")
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])
IDS = np.arange(100, 108, dtype=np.uint64)
SAID = {"one": [0, 1, 2, 0, 1, 2, 1, 2], "other": [0, 1, 0, 1, 1, 0, 0, 2]}


def entry(name, order=None, **changes):
    order = np.arange(len(LABELS)) if order is None else order
    said, sure = np.array(SAID[name])[order], np.linspace(0.3, 0.9, len(LABELS))[order]
    answers = Answers(said, sure.astype(np.float32), sure.astype(np.float32))
    kept = {
        "tested": OnTest(LABELS[order], answers, None),
        "contents": Contents(LABELS[order], IDS[order]),
        **changes,
    }
    result = {"class_names": NAMES, "test_examples": len(LABELS), "test_accuracy": 0.5}
    return Entry(name, pathlib.Path(name), result, [], **kept)


@pytest.mark.parametrize("seed", range(4))
def test_images_are_paired_by_what_they_are(seed):
    """The order of a run's test images does not matter."""
    shuffled = [np.random.default_rng([seed, i]).permutation(len(LABELS)) for i in range(2)]
    one, other = entry("one", shuffled[0]), entry("other", shuffled[1])
    found = duel(one, other)
    right, their_right = (np.array(SAID[name]) == LABELS for name in ("one", "other"))
    assert found.reason == "" and found.test == mcnemar(right, their_right)
    rows = shuffled[0][found.only_one.rows]
    assert rows.tolist() == [5, 3, 2]  # the other run is surest of the last
    assert found.only_one.said.tolist() == [0, 1, 0]
    assert sorted(found.only_one.classes) == [("cat", 1), ("hen", 2)]
    assert shuffled[0][found.only_other.rows].tolist() == [6]
    assert found.only_other.said.tolist() == [1]


def test_other_images_and_other_labels_are_not_compared():
    moved = Contents(LABELS, IDS + np.uint64(1))
    assert "other images" in duel(entry("one"), entry("other", contents=moved)).reason
    relabelled = Contents((LABELS + 1) % 3, IDS)
    assert "other labels" in duel(entry("one"), entry("other", contents=relabelled)).reason


def test_what_was_not_kept_is_said():
    assert "python -m vp_jax.report" in duel(entry("one", tested=None), entry("other")).reason
    assert "not kept what its test" in duel(entry("one"), entry("other", contents=None)).reason
    streamed = Contents(LABELS, None, np.array(["a"] * 8, object), np.ones(8, np.int64))
    found = duel(entry("one"), entry("other", contents=streamed))
    assert found.test is None and "nothing says" in found.reason


def test_images_are_those_of_the_rows_whatever_the_order_of_the_data():
    order = np.random.default_rng(0).permutation(len(LABELS))
    pixels = np.arange(len(LABELS), dtype=np.uint8)[:, None, None, None].repeat(3, axis=-1)
    split = data.Split("test", pixels[order], LABELS[order])
    task = SimpleNamespace(contents={"test": Contents(LABELS[order], IDS[order])}, test=split)
    rows = np.array([6, 1, 3])
    np.testing.assert_array_equal(images_of(task)(entry("one"), rows)[:, 0, 0, 0], rows)
    assert images_of(task)(entry("one", contents=None), rows) is None
    assert images_of(SimpleNamespace(contents={}, test=split))(entry("one"), rows) is None


def test_names_are_as_short_as_they_can_be(tmp_path):
    assert names_of([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert names_of([tmp_path / "x" / "0", tmp_path / "y" / "0"]) == ["x/0", "y/0"]
    with pytest.raises(UserError, match="given twice"):
        names_of([tmp_path / "a", tmp_path / "a"])
