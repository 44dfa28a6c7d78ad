"""The page of a run: whole HTML that needs nothing else, whatever the classes are called."""

import dataclasses
import html.parser
import pathlib
import re

import numpy as np
import pytest

from vp_jax.assembly.reproduction import Change, Reproduction
from vp_jax.records.predictions_file import Answers, OnTest
from vp_jax.report.looks.choice import choose
from vp_jax.report.looks.shown import Maps, Pixels, Shown
from vp_jax.report.page.confusions import confusions
from vp_jax.report.page.embed import heat, picture
from vp_jax.report.page.figures import confusion
from vp_jax.report.page.mapping import read_mapping
from vp_jax.report.page.material import Material
from vp_jax.report.page.page import page
from vp_jax.report.page.render import write_safely
from vp_jax.report.page.story import sentences, verdict

VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}
HOSTILE = ('<script>alert("x")</script>', "</table><b>", "a & b", "$x_{1}$", "日本 ☃", "\"'")
RNG = np.random.default_rng(0)


class Checker(html.parser.HTMLParser):
    """Collects texts, tags and addresses, and refuses elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.addresses = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        named = dict(attributes)
        self.addresses += [x for n, x in named.items() if n in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)


def answers(labels, classes, right):
    said = np.where(RNG.random(len(labels)) < right, labels, RNG.integers(0, classes, len(labels)))
    sure = RNG.uniform(0.2, 1, len(labels)).astype(np.float32)
    return Answers(said.astype(np.int32), sure, np.where(said == labels, sure, 1 - sure))


def result(names, count, **changes):
    return {
        "task": "a <task>", "backbone": "clip_tiny", "backbone_fingerprint": "clip:sha256:1",
        "prompt": "normalize | pad(4, init='zeros')", "head": "text", "tune": ["prompt"],
        "seed": 3, "classes": len(names), "class_names": list(names), "train_examples": 10,
        "val_examples": 20, "test_examples": count, "steps": 5, "best_step": 4,
        "selected_on": "val", "trainable_parameters": 1344, "zero_shot_test_accuracy": 0.25,
        "val_accuracy": 0.5, "test_accuracy": 0.75, "metric": "accuracy",
        "zero_shot_test_metric": 0.25, "val_metric": 0.5, "test_metric": 0.75,
        "images_per_second": 9.0, "wall_seconds": 3.0, **changes,
    }  # fmt: skip


def shown(rows, side=8):
    before = RNG.random((len(rows), side, side, 3), np.float32)
    looked = rows[:2]
    maps = Maps(*RNG.random((2, len(looked), side, side), np.float32))
    pixels = Pixels(before[0], 0.4, 1.5, 0.3, 0.5, 0.25)
    return Shown(rows, before, before * 1.2, looked, maps, maps, pixels)


def material(folder, names, count=60, *, before=True, images=True, **changes):
    labels = np.arange(count) % len(names)
    tuned = answers(labels, len(names), 0.8)
    kept = OnTest(labels, tuned, answers(labels, len(names), 0.3) if before else None)
    choice = choose(kept) if images else None
    return Material(
        workdir=folder,
        result=result(names, count, **changes),
        rows=[{"step": s, "train/loss": 1 / (s + 1), "train/accuracy": 0.5} for s in range(5)],
        reproduction=Reproduction((Change("task.class_names", list(names), []),), "python -m <x>"),
        digests={"backbone": "sha256:1"},
        tested=kept,
        choice=choice,
        shown=shown(choice.every()) if images else None,
        picture=RNG.integers(0, 256, (8, 8, 3), np.uint8),
        start=0.1,
    )


def test_names_of_classes_are_texts(tmp_path):
    found = Checker(page(material(tmp_path, HOSTILE)))
    assert "script" not in found.tags and "link" not in found.tags
    for name in HOSTILE:
        assert any(name in text for text in found.texts), name


def test_it_needs_nothing_else(tmp_path):
    text = page(material(tmp_path, ("cat", "dog")))
    found = Checker(text)
    assert found.addresses and all(x.startswith(("data:image/", "#")) for x in found.addresses)
    assert "url(http" not in text and "@import" not in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {x[1:] for x in found.addresses if x.startswith("#")} <= set(ids)


def test_its_figures_have_the_colours_of_the_page(tmp_path):
    text = page(material(tmp_path, ("cat", "dog")))
    assert "#0102" not in text and "#000000" not in text
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    for name in used:
        assert f"{name}:" in light and f"{name}:" in dark


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("images", [True, False])
def test_what_is_not_known_is_left_out(tmp_path, before, images):
    zero = {} if before else {"zero_shot_test_accuracy": None, "zero_shot_test_metric": None}
    text = page(material(tmp_path, ("cat", "dog"), before=before, images=images, **zero))
    words = " ".join(Checker(text).texts)
    assert ("The greatest gains" in words) == (before and images)
    assert ("Right and surest" in words) == (not before and images)
    assert ("McNemar" in words) == before
    assert "None" not in words.replace("None.", "").replace("None:", "")
    assert not re.search(r"\bnan\b", words)


def test_nothing_trained(tmp_path):
    found = material(tmp_path, ("cat", "dog"), images=False, tune=[], prompt=None)
    kept = found.tested._replace(before=found.tested.tuned)
    bare = dataclasses.replace(found, tested=kept, rows=[], picture=None)
    words = " ".join(Checker(page(bare)).texts)
    assert "Nothing was trained" in words and "The prompt" not in words


@pytest.mark.slow(seconds=4)
def test_a_thousand_classes_are_readable(tmp_path):
    names = [f"class {i}" for i in range(1000)]
    text = page(material(tmp_path, names, 5000, images=False))
    assert len(text) < 2_000_000
    found = Checker(text)
    assert all(name in found.texts for name in names)
    assert "All 1,000 classes" in found.texts


def test_the_most_frequent_mistakes_come_first():
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    said = np.array([0, 1, 1, 1, 0, 2, 2, 1])
    counts = confusion.matrix(labels, said, 3)
    assert counts.tolist() == [[1, 2, 0], [1, 1, 0], [0, 1, 2]]
    found = [tuple(m[:3]) for m in confusion.mistakes(counts, 9)]
    assert found == [(0, 1, 2), (1, 0, 1), (2, 1, 1)]


@pytest.mark.slow
def test_of_many_classes_those_that_are_confused_are_drawn():
    counts = np.diag(np.full(300, 9))
    counts[250, 7] = counts[7, 13] = 3
    chosen = confusion.most_confused(counts)
    assert len(chosen) == confusion.SHOWN and {7, 13, 250} <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()
    labels = np.repeat(np.arange(300), 2)
    kept = OnTest(labels, answers(labels, 300, 0.9), None)
    found = confusions(kept, [str(i) for i in range(300)])
    assert found.overview and found.together == 2


def test_pictures_keep_their_pixels():
    import base64
    import io

    from PIL import Image

    image = RNG.integers(0, 256, (9, 7, 3), np.uint8)
    kind, _, content = picture(image).partition(",")
    found = Image.open(io.BytesIO(base64.b64decode(content)))
    assert kind == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(found), image)
    large = picture(RNG.random((500, 300, 3)))
    assert large.startswith("data:image/jpeg")
    content = base64.b64decode(large.partition(",")[2])
    assert Image.open(io.BytesIO(content)).size == (134, 224)


def test_heat_is_brightest_where_values_are_largest():
    values = np.zeros((5, 5))
    values[2, 3] = 7.0
    drawn = heat(values).astype(int).sum(axis=-1)
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (2, 3)
    assert (heat(np.zeros((2, 2))) == heat(np.zeros((2, 2)))[0, 0]).all()


def test_a_mapping_is_read_by_class(tmp_path):
    (tmp_path / "mapping.csv").write_text(
        'source class,target class,weight\nhen,bird,0.5\n"a, b",bird,0.25\ncar,auto,1.0\n'
    )
    bird, auto = read_mapping(tmp_path)
    assert bird.name == "bird" and [s.name for s in bird.sources] == ["hen", "a, b"]
    assert [s.strength for s in bird.sources] == [1.0, 0.5] and auto.sources[0].weight == 1.0
    assert read_mapping(tmp_path / "nowhere") == []


def test_a_mapping_is_on_the_page(tmp_path):
    (tmp_path / "mapping.csv").write_text("source class,target class,weight\n<hen>,cat,1.0\n")
    assert "<hen>" in Checker(page(material(tmp_path, ("cat", "dog"), images=False))).texts


def test_a_run_is_told_in_two_sentences():
    told = sentences(result(("cat", "dog"), 9))
    assert len(told) == 2 and "1,344 numbers" in told[0] and "tested once" in told[1]
    chosen = sentences(result(("cat", "dog"), 9, selected_on="test"))
    assert "says too much" in chosen[1]
    both = sentences(result(("cat", "dog"), 9, tune=["prompt", "head"]))
    assert "were trained" in both[0]


def test_the_interval_is_of_the_counts():
    tuned, before = verdict(result(("cat", "dog"), 100))
    assert (round(tuned.low, 3), round(tuned.high, 3)) == (0.657, 0.825)
    assert before.kind == "before" and tuned.kind == "tuned"


def test_what_goes_wrong_in_drawing_is_told(tmp_path, capfd):
    def draw():
        raise ValueError("no ink")

    write_safely(tmp_path, draw)
    told = capfd.readouterr()
    assert "no ink" in told.out + told.err and "python -m vp_jax.report" in told.out + told.err
    assert not (tmp_path / "report.html").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        write_safely(tmp_path / "file", lambda: "text")


def test_templates_travel_with_the_package():
    import vp_jax.report.page

    folder = pathlib.Path(vp_jax.report.page.__file__).parent / "templates"
    assert {"style.css", "report.html.j2", "compare.html.j2"} <= {p.name for p in folder.iterdir()}
