"""What runs say of their classes, and what they refuse, whoever has named them."""

import pathlib

import numpy as np
import own_backbone
import pytest
from PIL import Image

from vp_jax import config, many, runs
from vp_jax.errors import UserError

PICTURES = False
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def zero_shot(**changes):
    """The small CLIP on digits, without a training."""
    settings = config.default()
    short = {"tune": (), "epochs": 0, "backbone.name": "clip_small", "prompt": "normalize | pad(4)"}
    settings.update_from_flattened_dict({**short, "task.name": "digits", **changes})
    return settings


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of small images from the names of its classes."""

    def make(*names):
        rng = np.random.default_rng(0)
        for name in names:
            for number in range(6):
                path = tmp_path / "images" / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
        return tmp_path / "images"

    return make


def of_folder(path, **changes):
    return zero_shot(**{"task.name": "folder", "task.data_dir": str(path), **changes})


@pytest.mark.parametrize(
    "twins", [("T-shirt", "t_shirt"), ("Cat", "cat"), ("very " * 45 + "a", "very " * 45 + "b")]
)
def test_folders_that_are_one_class(folder, tmp_path, twins):
    path = folder(*twins, "dog")
    for head in ({}, {"head.name": "linear", "tune": ("head",)}):
        settings = of_folder(path, **head, **({"epochs": 1} if head else {}))
        with pytest.raises(UserError, match="are one class to clip_small.*rename one") as error:
            runs.train(settings, tmp_path / "run")
        assert ("--config.head.init=random" in str(error.value)) == bool(head)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("own", [{}, {"head.name": "linear", "tune": ("head",), "epochs": 1}])
def test_a_model_without_texts_tells_them_apart(folder, tmp_path, capsys, own):
    settings = of_folder(folder("Cat", "cat", "dog"), **{"head.name": "first_k", **own})
    runs.train(settings, tmp_path / "run", backbone=own_backbone.make())
    assert "classes: 3 in " in (said := capsys.readouterr().err) and "images: Cat, cat, dog" in said
    assert "is read as" not in said and "one class" not in said


@pytest.mark.parametrize("head", ["text", "first_k"])
def test_a_name_twice_in_classes_txt(folder, tmp_path, head):
    path = folder("a", "b", "c")
    (path / "classes.txt").write_text("a: cat\nb: dog\nc: cat\n")
    backbone = None if head == "text" else own_backbone.make()
    with pytest.raises(UserError, match=r"labels 0 and 2 have one name .*'cat'") as error:
        runs.train(of_folder(path, **{"head.name": head}), tmp_path / "run", backbone=backbone)
    assert str(path) in str(error.value)


def test_a_csv_of_them(folder, tmp_path):
    path = folder("a", "b", "c")
    rows = [f"{f.relative_to(path)},{f.parent.name}" for f in sorted(path.rglob("*.png"))]
    text = "\n".join(["path,label", *rows])
    (path / "labels.csv").write_text(text.replace(",a", ",hot_dog").replace(",c", ",Hot-Dog"))
    with pytest.raises(UserError, match=r"'Hot-Dog'.*'hot_dog'.* are one class to clip_small"):
        runs.train(of_folder(path / "labels.csv"), tmp_path / "run")


@pytest.mark.parametrize("as_file", [True, False], ids=["file", "setting"])
def test_names_given_by_the_setting(tmp_path, as_file):
    def given(names):
        (tmp_path / "names.txt").write_text("\n".join(names))
        return (str(tmp_path / "names.txt"),) if as_file else tuple(names)

    twice = given([*WORDS[:9], "zero"])
    with pytest.raises(UserError, match=r"labels 0 and 9 have one name"):
        runs.train(zero_shot(**{"task.class_names": twice}), tmp_path / "run")
    alike = given([*WORDS[:9], "Zero"])
    with pytest.raises(UserError, match=r"label 0 \('zero'\) and label 9 \('Zero'\) are one class"):
        runs.train(zero_shot(**{"task.class_names": alike}), tmp_path / "run")


@pytest.mark.slow
def test_training_and_evaluating_say_the_classes_once(tmp_path, capsys):
    settings = zero_shot(**{"head.templates": ("the number {}", "{}")})
    runs.train(settings, tmp_path / "run")
    line = (
        "classes: 10 of the task 'digits': zero, one, two, three, four, ..., nine; the first is "
        "read as 'the number zero' and 1 more of the kind\n"
    )
    assert capsys.readouterr().err.count(line) == 1
    runs.evaluate(tmp_path / "run")
    said = capsys.readouterr().err
    assert said.count(line) == said.count("classes: ") == 1


@pytest.mark.slow
def test_many_at_once_say_the_classes_once(tmp_path, capsys):
    settings = own_backbone.quick(epochs=1)
    members = many.grid({"seed": [0, 1]})
    many.train_many(settings, members, tmp_path / "sweep", backbone=own_backbone.make())
    assert capsys.readouterr().err.count("classes: ") == 1
    assert pathlib.Path(tmp_path / "sweep" / "1" / "result.json").exists()
