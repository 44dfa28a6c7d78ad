from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vp_jax import report
from vp_jax.errors import UserError
from vp_jax.report.pictures.curves import series
from vp_jax.report.pictures.examples import shorten
from vp_jax.report.pictures.save import write


def read(path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def only(folder) -> list[str]:
    return sorted(os.listdir(folder))


def train_rows(count: int) -> list[dict]:
    return [
        {"step": s, "train/loss": 3 / (s + 1), "train/accuracy": s / count, "learning_rate": 1.0}
        for s in range(count)
    ]


def images(count: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((count, side, side, 3), np.float32)


def draw_examples(path, count: int, **changes) -> None:
    names = [f"class {i}" for i in range(count)]
    arguments = {
        "before": images(count),
        "after": images(count),
        "labels": names,
        "predicted_before": names[::-1],
        "predicted_after": names,
    }
    report.examples(path, **(arguments | changes))


@pytest.mark.parametrize("side", [8, 32, 224])
def test_a_prompt_is_enlarged_pixel_by_pixel(tmp_path, side):
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    report.prompt_picture(tmp_path / "prompt.png", picture, "pad")
    found = read(tmp_path / "prompt.png")
    assert found.shape == (780, 720, 3)
    scale = 672 // side
    assert (found[52:724, 24:696] == picture.repeat(scale, 0).repeat(scale, 1)).all()
    assert (found[:50] < 100).any(), "no title"
    assert (found[726:] < 100).any(), "no caption"
    assert only(tmp_path) == ["prompt.png"]


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 40, 3), (3, 1500, 3), (700, 20, 3)])
def test_prompts_of_odd_shapes(tmp_path, shape):
    report.prompt_picture(tmp_path / "p.png", np.zeros(shape, np.uint8), "a $ _ title\\")
    found = read(tmp_path / "p.png")
    assert max(found.shape) <= 780
    assert (found == 0).any()


@pytest.mark.parametrize(
    "picture", [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(tmp_path, picture):
    with pytest.raises(UserError, match="uint8"):
        report.prompt_picture(tmp_path / "p.png", picture, "")
    assert only(tmp_path) == []


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_curves_of_any_length_without_evaluations(tmp_path, count):
    report.curves(tmp_path / "c.png", train_rows(count))
    found = read(tmp_path / "c.png")
    assert found.shape == (888, 960, 3)
    blue = (np.abs(found.astype(int) - [0, 114, 178]).sum(-1) < 30).sum()
    assert (blue > 20) == (count > 0)


def test_evaluations_and_zero_shot_are_drawn(tmp_path):
    rows = train_rows(10)
    report.curves(tmp_path / "plain.png", rows)
    rows += [{"step": s, "val/loss": 1.0, "val/accuracy": 0.5} for s in (4, 9)]
    rows += [{"step": 9, "test/loss": 1.1, "test/accuracy": 0.4}]
    report.curves(tmp_path / "all.png", rows, 0.3, title="run 1")
    found = read(tmp_path / "all.png").astype(int)
    for colour in ((213, 94, 0), (155, 79, 150), (119, 119, 119)):
        assert (np.abs(found - colour).sum(-1) < 30).sum() > 20
    assert (found.shape, only(tmp_path)) == ((888, 960, 3), ["all.png", "plain.png"])


@pytest.mark.filterwarnings("error", "ignore::DeprecationWarning")
def test_curves_leave_out_what_is_no_number(tmp_path):
    rows = [
        {"step": 0, "train/loss": float("nan"), "train/accuracy": None, "learning_rate": 0.0},
        {"step": 1, "train/loss": float("inf"), "learning_rate": "40", "other": {}},
        {"step": 2, "train/loss": 1e9, "train/accuracy": 1.0},
        {"train/loss": 1.0},
        {},
        {"step": 2, "train/loss": 1e-9},
    ]
    assert series(rows, "train/loss") == ([2.0, 2.0], [1e-9, 1e9])
    report.curves(tmp_path / "c.png", rows, 0.0)
    assert read(tmp_path / "c.png").std() > 1


@pytest.mark.parametrize("count, size", [(1, (470, 228)), (7, (940, 804)), (12, (940, 1188))])
def test_examples_have_the_size_of_their_grid(tmp_path, count, size):
    draw_examples(tmp_path / "e.png", count)
    assert np.allclose(read(tmp_path / "e.png").shape[:2], size, atol=2)
    assert only(tmp_path) == ["e.png"]


def test_right_is_green_and_wrong_is_red(tmp_path):
    def marks(predicted: str) -> tuple[int, int]:
        draw_examples(
            tmp_path / "e.png",
            1,
            before=np.full((1, 4, 4, 3), 0.5),
            after=np.full((1, 4, 4, 3), 0.5),
            labels=["cat"],
            predicted_before=["cat"],
            predicted_after=[predicted],
        )
        found = read(tmp_path / "e.png").astype(int)
        return tuple(
            int((np.abs(found - colour).sum(-1) < 40).sum())
            for colour in ((0, 121, 90), (192, 50, 26))
        )

    green, red = marks("cat")
    assert green > 20 and red == 0
    green, red = marks("dog")
    assert green > 10 and red > 10


@pytest.mark.filterwarnings("error", "ignore::DeprecationWarning")
def test_examples_of_any_range_size_and_name(tmp_path):
    names = ["a" * 200, "$x_{$ \\frac", "", "two\nlines"]
    after = np.array([-5.0, 9.0, np.nan, np.inf])[:, None, None, None] * np.ones((4, 6, 6, 3))
    draw_examples(
        tmp_path / "e.png",
        4,
        before=(images(4, 3) * 255).astype(np.uint8),
        after=after,
        labels=names,
        predicted_before=names,
        predicted_after=names[::-1],
    )
    assert read(tmp_path / "e.png").std() > 1
    assert shorten("a" * 200) == "a" * 17 + "…"


@pytest.mark.parametrize("sign", [1, -1], ids=["brighter than white", "darker than black"])
def test_a_prompt_that_clipping_would_hide_is_seen(tmp_path, sign):
    """A frame that adds to white pixels, or takes from black ones."""
    ground = np.full((2, 16, 16, 3), max(sign, 0), np.float32)
    framed = ground + 0.4 * sign
    framed[:, 4:12, 4:12] = ground[:, 4:12, 4:12]
    draw_examples(tmp_path / "e.png", 2, before=ground, after=framed)
    lower = read(tmp_path / "e.png")[260:, 40:215].astype(int)  # of the first column
    centre = lower[90 - 5 : 90 + 5, 85:95].mean()
    at_the_side = lower[90 - 5 : 90 + 5, 8:20].mean()
    assert abs(centre - at_the_side) > 40


def test_a_prompt_that_is_seen_keeps_its_contrast(tmp_path):
    """Grey images and a strong frame, which clipping leaves visible."""
    grey = np.full((1, 16, 16, 3), 0.5, np.float32)
    framed = grey.copy()
    framed[:, :4] += 3.0
    draw_examples(tmp_path / "clipped.png", 1, before=grey, after=framed)
    draw_examples(tmp_path / "same.png", 1, before=grey, after=np.clip(framed, 0, 1))
    assert (read(tmp_path / "clipped.png") == read(tmp_path / "same.png")).all()


def test_white_images_have_an_outline(tmp_path):
    white = np.ones((1, 8, 8, 3), np.float32)
    draw_examples(tmp_path / "e.png", 1, before=white, after=white)
    found = read(tmp_path / "e.png").astype(int)
    outline = np.abs(found - 0xD9).max(-1) < 24
    assert outline.sum(0).max() > 150 and outline.sum(1).max() > 150


def test_more_than_twelve_examples_are_cut(tmp_path):
    draw_examples(tmp_path / "12.png", 12, predicted_before=["class 0"] * 12)
    draw_examples(
        tmp_path / "20.png",
        20,
        before=np.concatenate([images(12), images(8)]),
        after=np.concatenate([images(12), images(8)]),
        predicted_before=["class 0"] * 20,
    )
    assert (read(tmp_path / "12.png") == read(tmp_path / "20.png")).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"labels": ["a"]}, "same number"),
        ({"after": images(3)}, "same number"),
        ({"before": np.zeros((2, 4, 4, 1))}, "shape"),
        ({"before": np.zeros((2, 4, 4, 3), np.int32)}, "floating"),
    ],
)
def test_examples_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        draw_examples(tmp_path / "e.png", 2, **changes)
    assert only(tmp_path) == []


def test_no_examples_are_refused(tmp_path):
    with pytest.raises(UserError, match="at least 1"):
        draw_examples(tmp_path / "e.png", 0)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "file"
    write(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write(path, fail)
    assert path.read_bytes() == b"old"
    assert only(path.parent) == ["file"]


@pytest.mark.slow
def test_matplotlib_is_imported_late_and_pyplot_never(tmp_path):
    code = (
        "import sys; from vp_jax import report; assert 'matplotlib' not in sys.modules;"
        f"report.curves({str(tmp_path / 'c.png')!r}, []);"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
