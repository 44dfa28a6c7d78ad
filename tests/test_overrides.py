"""Settings as people type them, through what `train` and `train_many` share."""

import pathlib
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from vp_jax import cli
from vp_jax.assembly import setup
from vp_jax.assembly.several.vary import parse_vary
from vp_jax.errors import UserError

QUICKSTART = pathlib.Path(__file__).parents[1] / "configs" / "quickstart.py"


@pytest.fixture
def parse(monkeypatch):
    """From arguments to settings, with flags of its own."""

    def run(*arguments):
        fresh = flags.FlagValues()
        monkeypatch.setattr(flags, "FLAGS", fresh)
        config_flags.DEFINE_config_file("config", None, "settings", flag_values=fresh)
        argv = ["train", f"--config={QUICKSTART}", *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        config, name = cli.parse_config(argv)
        assert name == "quickstart" and sys.argv is argv
        return config

    return run


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("cat,dog,horse", ("cat", "dog", "horse")),
        ("cat, hot dog ,horse,", ("cat", "hot dog", "horse")),
        ("('cat', 'hot dog')", ("cat", "hot dog")),
        ("['cat','dog']", ("cat", "dog")),
        ("'cat','dog, hot'", ("cat", "dog, hot")),
        ("(cat,dog)", ("cat", "dog")),
        ("0,1,2", ("0", "1", "2")),
        ("o'clock,it's", ("o'clock", "it's")),
        ("my names.txt", ("my names.txt",)),
        ("/a,b/names.txt", ("/a,b/names.txt",)),
        ("猫,犬", ("猫", "犬")),
        ("()", ()),
        ("", ()),
    ],
)
def test_class_names(parse, typed, expected):
    assert parse(f"--config.task.class_names={typed}").task.class_names == expected
    if typed:
        assert parse("--config.task.class_names", typed).task.class_names == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a photo of {}", ("a photo of {}",)),
        ("{}", ("{}",)),
        ("a photo of a {}, a type of pet.", ("a photo of a {}, a type of pet.",)),
        ("itap of my {}, isn't it?", ("itap of my {}, isn't it?",)),
        ("(a photo) of a {}", ("(a photo) of a {}",)),
        ("a = {}", ("a = {}",)),
        ("a {}, the {}", ("a {}", "the {}")),
        ("('a {}, a pet', 'the {}')", ("a {}, a pet", "the {}")),
        ("'a {}'", ("a {}",)),
    ],
)
def test_templates(parse, typed, expected):
    assert parse(f"--config.head.templates={typed}").head.templates == expected


def test_a_list_given_several_times_has_all(parse):
    config = parse("--config.head.templates=a {}, a pet", "--config.head.templates=the {}")
    assert config.head.templates == ("a {}, a pet", "the {}")


def test_templates_that_cannot_be_told_apart(parse):
    with pytest.raises(UserError, match="unclear where each of the templates"):
        parse("--config.head.templates=a {}, a pet, the {}")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("tabby,207", ("tabby", 207)),
        ("('tabby', 207)", ("tabby", 207)),
        ("207", (207,)),
        ("runs/1/mapping.csv", ("runs/1/mapping.csv",)),
    ],
)
def test_source_classes(parse, typed, expected):
    assert parse(f"--config.head.table={typed}").head.table == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("prompt", ("prompt",)),
        ("prompt,head", ("prompt", "head")),
        ("prompt, head", ("prompt", "head")),
        ("('prompt','head')", ("prompt", "head")),
        ("()", ()),
        ("3", ("3",)),
    ],
)
def test_tune(parse, typed, expected):
    assert parse(f"--config.tune={typed}").tune == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["--config.optimizer.settings.nesterov=True"], {"nesterov": True}),
        (["--config.optimizer.settings.nesterov=false"], {"nesterov": False}),
        (["--config.optimizer.settings.nesterov"], {"nesterov": True}),
        (["--noconfig.optimizer.settings.nesterov"], {"nesterov": False}),
        (["--config.optimizer.settings={'nesterov': True}"], {"nesterov": True}),
        (
            ["--config.optimizer.settings.b1=.8", "--config.optimizer.settings.eps=1e-3"],
            {"b1": 0.8, "eps": 1e-3},
        ),
        (["--config.optimizer.settings.momentum=-0.5"], {"momentum": -0.5}),
        (["--config.optimizer.settings.mu_dtype=bfloat16"], {"mu_dtype": "bfloat16"}),
        (["--config.optimizer.settings.momentum=None"], {"momentum": None}),
    ],
)
def test_arguments_of_the_optimizer(parse, typed, expected):
    config = parse(*typed, "--config.seed=3")
    found = config.optimizer.settings.to_dict()
    assert found == expected
    assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in expected.items()}
    assert config.seed == 3


def test_they_reach_the_optimizer(parse):
    setup.check(parse("--config.optimizer.settings.nesterov=True"))
    adam = ("--config.optimizer.name=adam", "--config.optimizer.settings.b1=0.8")
    setup.check(parse(*adam))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["nestrov=True"], r"unknown setting of the optimizer sgd 'nestrov'; did you mean 'nest"),
        (
            ["nesterov=maybe"],
            r"setting nesterov of the optimizer sgd is 'maybe'; it must be True or False",
        ),
        (["learning_rate=3"], r"optimizer.learning_rate"),
        (["accumulator_dtype=float99"], r"the optimizer sgd refuses"),
    ],
)
def test_wrong_arguments_are_one_sentence(parse, typed, words):
    config = parse(*(f"--config.optimizer.settings.{t}" for t in typed))
    with pytest.raises(UserError, match=words) as error:
        setup.check(config)
    assert "\n" not in str(error.value)


def test_a_number_where_text_is_given(parse):
    adam = ("--config.optimizer.name=adam", "--config.optimizer.settings.b1=high")
    with pytest.raises(
        UserError, match="setting b1 of the optimizer adam is 'high'; it must be a number"
    ):
        setup.check(parse(*adam))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.optimizer.settings=3"], "--config.optimizer.settings.NAME=VALUE"),
        (["--config.optimizer.settings.a.b=3"], "--config.optimizer.settings.NAME=VALUE"),
        (["--config.task.class_names"], "--config.task.class_names has no value"),
        (["--config.task.class_name=a"], "did you mean 'task.class_names'"),
        (["--config.optimizer.setting.nesterov=True"], "unknown setting"),
    ],
)
def test_mistakes(parse, arguments, words):
    with pytest.raises(UserError, match=words):
        parse(*arguments)


def test_values_of_vary():
    assert parse_vary("seed=0, 1;optimizer.learning_rate=-1,1e-3;prompt=pad(4),'clip'") == {
        "seed": [0, 1],
        "optimizer.learning_rate": [-1, 1e-3],
        "prompt": ["pad(4)", "clip"],
    }
