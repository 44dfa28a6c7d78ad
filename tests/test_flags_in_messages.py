"""Messages name flags that the command has which prints them."""

import re
import sys

import pytest
from absl import flags

from vp_jax import config, data, errors, evaluate, runs
from vp_jax.assembly.parts.head import text_tower
from vp_jax.assembly.settings import claim
from vp_jax.errors import UserError, spelled
from vp_jax.records import workdir as workdir_lib

for flag in list(flags.FLAGS.flags_by_module_dict()[evaluate.__name__]):
    delattr(flags.FLAGS, flag.name)  # another test imports another command

OTHER_COMMANDS = re.compile(r"(python -m|hf download|python -c).*")  # with flags of their own
NOTES = "settings of the run, in its config.json"


def flags_in(text):
    """Flags by their names, those of other commands that a message shows left out."""
    return set(re.findall(r"(?<![\w-])--([a-z_.]+)", OTHER_COMMANDS.sub("", text)))


@pytest.fixture
def as_evaluate(monkeypatch):
    monkeypatch.setattr(errors._Command, "flags", evaluate.OWN_FLAGS)
    monkeypatch.setattr(errors._Command, "elsewhere", NOTES)


def test_settings_that_evaluate_has_flags_for(as_evaluate):
    text = "name one with --config.task.data_dir=PATH, or --config.backbone.weights=PATH."
    assert spelled(text) == "name one with --data_dir=PATH, or --weights=PATH."
    assert str(UserError("give --config.batch_size=8")) == "give --batch_size=8"


def test_settings_that_evaluate_has_no_flags_for(as_evaluate):
    text = "leave them out with --config.task.skip_corrupt=True"
    once = f"leave them out with task.skip_corrupt=True (task.skip_corrupt: {NOTES})"
    assert spelled(text) == once == spelled(once)
    wrapped = UserError(f"member 0: {UserError(text)}")
    assert str(wrapped) == f"member 0: {once}"


def test_in_a_notebook_they_are_attributes(monkeypatch):
    assert str(UserError("give --config.batch_size=8")) == "give --config.batch_size=8"
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert str(UserError("give --config.batch_size=8")) == "give config.batch_size=8"


def test_the_flags_of_evaluate_stand_for_settings():
    assert set(evaluate.OWN_FLAGS) <= set(workdir_lib.flatten(config.default().to_dict()))


def mistaken_run(folder, **changes):
    """A folder with the settings of a run that cannot be evaluated here."""
    settings = config.default()
    settings.update_from_flattened_dict(
        {
            "backbone.name": "clip_tiny",
            "prompt": "normalize | pad(4)",
            "task.name": "digits",
            **changes,
        }
    )
    with claim(folder, settings):
        return folder


MISTAKES = {
    "weights": {"backbone.weights": "/no/weights"},
    "hub": {"backbone.name": "resnet20_cifar", "head.name": "first_k"},
    "folder": {"task.name": "folder", "task.data_dir": "/no/images"},
    "csv": {"task.name": "folder", "task.data_dir": "/no/images.csv"},
    "npz": {"task.name": "npz", "task.data_dir": "/no/file.npz"},
    "own data": {"task.name": "npz"},
    "tfds": {"task.name": "cifar100", "task.data_dir": "/no", "task.download": False},
    "class names": {"task.class_names": ("a", "b")},
    "validation": {"task.val_fraction": 1e-4},
    "head": {"head.name": "fixed", "backbone.name": "resnet20_cifar"},
    "text tower": {
        **{"head.name": "semantic", "head.text_backbone": "clip_tiny"},
        **{"head.text_weights": "/no/weights", "backbone.name": "resnet20_cifar"},
        "backbone.weights": "/no/weights",
    },
}


@pytest.mark.parametrize("name", MISTAKES)
def test_evaluate_names_flags_of_its_own(as_evaluate, tmp_path, name):
    with pytest.raises(UserError) as error:
        runs.evaluate(mistaken_run(tmp_path, **MISTAKES[name]))
    assert flags_in(str(error.value)) <= {"weights", "data_dir", "batch_size", "workdir"}
    assert "--config" not in str(error.value)


def test_the_weights_of_a_text_tower_are_another_setting():
    settings = config.default()
    settings.head.text_weights = "/no/weights"
    with pytest.raises(UserError, match="/no/weights") as error:
        text_tower(settings)
    assert "config.backbone.weights" not in str(error.value)


def test_no_message_of_the_data_command_speaks_of_training(monkeypatch, tmp_path):
    monkeypatch.setattr(errors._Command, "flags", {"task.data_dir": "--data_dir"})
    monkeypatch.setattr(errors._Command, "elsewhere", "settings of python -m vp_jax.train")
    for task in ("folder", "npz", "usps"):
        with pytest.raises(UserError) as error:
            data.read(data.tasks.get(task))
        assert flags_in(str(error.value)) <= {"data_dir"}


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("evaluate", ("--data_dir=/no/images", "--workdir=RUN")),
        ("evaluate", ("stray",)),
        ("data", ("prepare", "folder")),
        ("data", ("info", "folder")),
        ("data", ("prepare", "usps")),
        (
            "train_many",
            ("--config=configs/quickstart.py", "--config.task.name=npz", "--vary=seed=0"),
        ),
        ("train_start", ("--config=configs/quickstart.py",)),
        ("train_start", ("--config=configs/quickstart.py", "--tasks=usps")),
    ],
)
def test_every_flag_named_is_in_the_commands_help(python, tmp_path, module, arguments):
    run = mistaken_run(tmp_path / "run", **{"task.name": "folder", "task.data_dir": "/gone"})
    arguments = [a.replace("RUN", str(run)) for a in arguments]
    asked = python("-m", f"vp_jax.{module}", "--help", check=True).stdout
    done = python("-m", f"vp_jax.{module}", *arguments)
    said = done.stdout + done.stderr
    assert said and "Traceback" not in said
    settings = {f"config.{name}" for name in re.findall(r"^  (\S+) ", asked, re.MULTILINE)}
    assert flags_in(said) <= flags_in(asked) | settings | {"help"}
