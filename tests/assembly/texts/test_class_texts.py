"""Classes that a model cannot tell apart are refused or named; what it reads is said."""

import dataclasses

import numpy as np
import pytest

from vp_jax import backbones, data
from vp_jax.assembly.texts.class_texts import Reader, cut_texts, introduce, one_text, shorten
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.errors import UserError

PHOTO = ("This is a photo of a {}",)
LONG = "very " * 80


@pytest.fixture(scope="module")
def clip():
    return backbones.load("clip_tiny")


@pytest.fixture(scope="module")
def digits():
    return data.load_task("digits", resize=ResizeRule(32, 32), progress=False)


@pytest.fixture
def task(digits):
    def make(names, by_user=True):
        changes = {"class_names": tuple(names), "names_from": "in FILE", "named_by_user": by_user}
        return dataclasses.replace(digits, **changes)

    return make


SAME = {
    "hyphen and underscore": ("T-shirt", "boot", "t_shirt"),
    "case": ("Cat", "dog", "cat"),
    "blanks": ("hot  dog", "dog", "hot dog"),
    "an entity": ("a&amp;b", "dog", "a&b"),
    "width": ("ｃａｔ", "dog", "cat"),
    "the end is cut": (f"{LONG} cat", "dog", f"{LONG} dog"),
    "a name twice": ("cat", "dog", "cat"),
}


@pytest.mark.parametrize("names", SAME.values(), ids=SAME)
@pytest.mark.parametrize("templates", [PHOTO, ("{}", "the {}", "a {}, a pet")], ids=["one", "all"])
def test_one_text_for_two_classes_is_refused_or_warned_of(clip, task, capsys, names, templates):
    reader = Reader(clip.name, clip.tokenizer, templates)
    assert one_text(names, reader) == [[0, 2]]
    with pytest.raises(UserError, match=r"label 0 .* and label 2 .* are one class to clip_tiny.*"):
        introduce(task(names), reader)
    capsys.readouterr()
    introduce(task(names, by_user=False), reader)
    said = capsys.readouterr().err
    assert "label 0 (" in said and "label 2 (" in said and "are one class to clip_tiny" in said


def test_they_are_one_class_only_if_no_template_tells_them_apart(clip):
    """A long template cuts the names off; a short one does not."""
    long = LONG + "{}"
    assert one_text(("cat", "dog"), Reader("clip", clip.tokenizer, (long,))) == [[0, 1]]
    assert one_text(("cat", "dog"), Reader("clip", clip.tokenizer, (long, "{}"))) == []


def test_names_that_differ_are_fine(clip, task, capsys):
    names = ("cat", "cats", "c a t", "cat 1", "cat 2")
    introduce(task(names), Reader(clip.name, clip.tokenizer, PHOTO))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "classes: 5 in FILE: cat, cats, c a t, cat 1, cat 2; the first is read as 'this is a photo "
        "of a cat'"
    )


def test_many_classes_and_templates_are_a_line(clip, task, capsys):
    names = [f"Breed_{i} of-dogs" for i in range(37)]
    introduce(task(names), Reader(clip.name, clip.tokenizer, ("{}", "a {}", "the {}")))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("classes: 37 in FILE: Breed_0 of-dogs, Breed_1 of-dogs")
    assert "..., Breed_36 of-dogs; the first is read as 'breed 0 of dogs' and 2 more" in line


def test_without_texts_names_alone_are_said(task, capsys):
    introduce(task(["cat", "Cat", "dog"]), None)
    assert capsys.readouterr().err == "classes: 3 in FILE: cat, Cat, dog\n"
    introduce(task(["crane", "dog", "crane"], by_user=False), None)
    said = capsys.readouterr().err
    assert "label 0 ('crane') and label 2 ('crane') have one name" in said


def test_long_names_that_are_cut_are_named(clip, task, capsys):
    names = ("cat", f"dog {LONG} brown", "bird")
    reader = Reader(clip.name, clip.tokenizer, ("{}", "This is a photo of a {}"))
    assert [label for label, _ in cut_texts(names, reader)] == [1]
    introduce(task(names), reader)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "the text of label 1, 'dog very" in lines[1]
    assert "is longer than clip_tiny reads" in lines[1] and "brown" in lines[1]


def test_source_classes_are_warned_of_at_most(clip, task, capsys):
    reader = Reader(clip.name, clip.tokenizer, PHOTO)
    introduce(task(["cat", "dog"]), reader, ("crane", "maillot", "crane"))
    assert "label 0 ('crane') and label 2 ('crane') are one class" in capsys.readouterr().err


def test_a_tokenizer_of_ones_own_needs_only_to_be_called(task, capsys):
    def tokenize(texts):
        return np.array([[len(text), 0] for text in texts], np.int32)

    with pytest.raises(UserError, match="one class to mine, which reads both as 'This is a photo"):
        introduce(task(["cat", "dog"]), Reader("mine", tokenize, PHOTO))


def test_shortened_names_keep_their_ends():
    assert shorten("a  b\n") == "a b"
    assert len(shorten("x" * 100)) == 60 and shorten("a" * 99 + "b").endswith("b")
