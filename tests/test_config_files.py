"""Configs are found by name or path from any folder."""

import os
import pathlib
import subprocess
import sys

import pytest

from vp_jax import cli, config_files
from vp_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]
TRAIN = ("-m", "vp_jax.train")


def elsewhere(folder, *arguments):
    """Runs `python ARGUMENTS` in a folder that is no checkout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "text", ["quickstart", "quickstart.py", "configs/quickstart", "configs/quickstart.py"]
)
def test_the_packages_configs_are_found_from_any_folder(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_files.find(text) == ROOT / "configs" / "quickstart.py"
    assert cli.load_config(text).backbone.name == "clip_tiny"


def test_all_of_them_by_name():
    files = (ROOT / "configs").rglob("*.py")
    names = sorted(p.relative_to(ROOT / "configs").with_suffix("").as_posix() for p in files)
    assert config_files.names() == names and "methods/low_rank" in names


@pytest.mark.parametrize("end", ["", ".py"])
@pytest.mark.parametrize("start", ["", "configs/"])
def test_those_in_a_folder(start, end, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = config_files.find(f"{start}methods/low_rank{end}")
    assert found == ROOT / "configs" / "methods" / "low_rank.py"


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "configs" / "quickstart.py"
    own.parent.mkdir()
    own.write_text("from vp_jax import config\nget_config = config.default\n")
    assert config_files.find("configs/quickstart.py").samefile(own)
    assert cli.load_config("configs/quickstart").backbone.name == "clip_vit_b32"
    assert config_files.find("quickstart") == ROOT / "configs" / "quickstart.py"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_files.find("~/configs/quickstart.py") == own


def test_a_file_with_a_colon_in_its_path(tmp_path):
    own = tmp_path / "a:b" / "mine.py"
    own.parent.mkdir()
    own.write_text((ROOT / "configs" / "quickstart.py").read_text())
    done = elsewhere(tmp_path, *TRAIN, f"--config={own}", "--config.epochs=x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "config.epochs=x" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("quikstart", "quickstart"),
        ("quikstart.py", "configs/quickstart.py"),
        ("configs/quikstart.py", "configs/quickstart.py"),
        ("no_folder/quickstart.py", "configs/quickstart.py"),
        ("methods/low_rnk", "methods/low_rank"),
        ("configs/methods/low_rnk.py", "configs/methods/low_rank.py"),
    ],
)
def test_an_unknown_config_says_which_there_are_and_where(text, near, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        cli.load_config(text)
    message = str(caught.value)
    assert f"unknown config file '{text}'; did you mean '{near}'" in message
    assert str(ROOT / "configs") in message and "--help lists them" in message


def test_a_config_can_begin_with_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from vp_jax import cli\n"
        "def get_config():\n"
        "    config = cli.load_config('quickstart')\n"
        "    config.epochs = 3\n"
        "    return config\n"
    )
    loaded = cli.load_config("mine")
    assert (loaded.epochs, loaded.backbone.name) == (3, "clip_tiny")


@pytest.mark.slow
def test_the_commands_find_them_too(tmp_path):
    listed = elsewhere(tmp_path, *TRAIN, "--help")
    assert (listed.returncode, listed.stderr) == (0, "")
    for name in config_files.names():
        assert f"\n  {name} " in listed.stdout
    assert str(ROOT / "configs") in listed.stdout
    missing = elsewhere(tmp_path, *TRAIN)
    assert missing.returncode == 2
    assert all(name in missing.stderr for name in config_files.names())
    for command in ("vp_jax.train", "vp_jax.train_many", "vp_jax.train_start"):
        for arguments in (("--config=quickstart",), ("--config", "configs/quickstart.py")):
            done = elsewhere(tmp_path, "-m", command, *arguments, "--config.epochs=x")
            assert done.returncode == 2
            assert "config.epochs=x" in done.stderr and "unknown config" not in done.stderr
