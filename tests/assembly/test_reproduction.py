"""The command that a report gives makes the settings of the run again."""

import json
import shlex
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from vp_jax import cli, config_files
from vp_jax.assembly.reproduction import reproduction, what_differs
from vp_jax.assembly.settings import plain, settled
from vp_jax.config import default
from vp_jax.records.names import CONFIG
from vp_jax.records.workdir import flatten


def keep(folder, config, **changes):
    """A workdir with the settings of a run; returns them, flat."""
    config = config.copy_and_resolve_references()
    config.unlock()
    config.update_from_flattened_dict(changes)
    settings = plain(settled(config, None))
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(settings))
    return flatten(settings)


@pytest.fixture
def parsed(monkeypatch):
    """From a command line to the settings that it makes, flat, with flags of its own."""

    def run(command):
        words = shlex.split(command)
        assert words[:3] == ["python", "-m", "vp_jax.train"]
        fresh = flags.FlagValues()
        monkeypatch.setattr(flags, "FLAGS", fresh)
        config_flags.DEFINE_config_file("config", None, "settings", flag_values=fresh)
        name = words[3].removeprefix("--config=")
        argv = ["train", f"--config={config_files.find(name)}", *words[5:]]
        monkeypatch.setattr(sys, "argv", argv)
        return flatten(plain(settled(cli.parse_config(argv)[0], None)))

    return run


@pytest.mark.parametrize("name", ["quickstart", "clip_pad", "best", "methods/evp"])
def test_a_packaged_config_is_its_own_command(tmp_path, name):
    settings = keep(tmp_path / "run", config_files.load(name))
    found = reproduction(tmp_path / "run")
    assert found.command == f"python -m vp_jax.train --config={name} --workdir={tmp_path / 'run'}"
    usual = flatten(plain(settled(default(), None)))
    assert {c.name: c.value for c in found.changes} == {
        n: x for n, x in settings.items() if n not in usual or usual[n] != x
    }


def test_the_command_makes_the_settings_again(tmp_path, parsed):
    """Lists, texts with quotes and spaces, switches and numbers."""
    changes = {
        "head.templates": ("a photo of a {}", "it's a {}, 'so'"),
        "tune": ("prompt", "head"),
        "optimizer.learning_rate": 1e-05,
        "augment.flip": True,
        "task.data_dir": "/data/my [odd] folder",
        "optimizer.learning_rates.head": 0.5,
        "prompt": "normalize | pad(3, init='zeros')",
    }
    settings = keep(tmp_path / "run", config_files.load("quickstart"), **changes)
    assert parsed(reproduction(tmp_path / "run").command) == settings


def test_the_command_quotes_what_a_shell_would_take_apart(tmp_path):
    folder = tmp_path / "häuser [1] (neu)"
    changes = {"prompt": "normalize | pad(3, init='zeros')", "seed": 4}
    keep(folder, config_files.load("quickstart"), **changes)
    words = shlex.split(reproduction(folder).command)
    assert words[3:5] == ["--config=quickstart", f"--workdir={folder}"]
    assert set(words[5:]) == {
        "--config.prompt=normalize | pad(3, init='zeros')",
        "--config.seed=4",
    }


def test_a_run_of_parts_is_made_in_python(tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps({"made_in": "Python", "tune": ["prompt"], "seed": 1}))
    found = reproduction(tmp_path)
    assert found.command.startswith("in Python")
    assert {c.name for c in found.changes} == {"tune", "seed"}


def test_what_differs_between_runs(tmp_path):
    base = config_files.load("quickstart")
    keep(tmp_path / "a", base)
    keep(tmp_path / "b", base, seed=5, checkpoint_every_steps=7)
    folders = [tmp_path / "a", tmp_path / "b"]
    assert what_differs(folders) == [("seed", [0, 5])]
    assert what_differs(folders[:1] * 2) == []
