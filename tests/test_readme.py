"""What the README says works."""

import pathlib
import re

import pytest

from vp_jax import backbones, cli, config, heads
from vp_jax.data import tasks

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "experiments" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.slow
def test_the_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        exec(block, names)
    assert names["prompted"].shape == (8, 224, 224, 3) and names["picture"].shape == (224, 224, 3)
    assert names["features"].shape == (8, names["clip"].embed_dim) == (8, 192)
    assert names["text"].shape == (1, 192)
    assert "69,840 numbers" in README
    assert names["result"]["backbone"] == "custom" and names["result"]["test_accuracy"] > 0.8
    assert names["of_parts"]["test_accuracy"] > names["of_parts"]["zero_shot_test_accuracy"] + 0.1
    of_parts = next(block for block in blocks if "runs.experiment" in block)
    assert len(of_parts.strip().splitlines()) <= 20 and "config" not in of_parts
    assert names["probabilities"].shape == (2, 10) and names["shown"].shape == (2, 8, 8, 3)
    assert names["predictions"][0].name in names["result"]["class_names"]
    own = next(block for block in blocks if "from_fn" in block)
    assert len(own.strip().splitlines()) < 15


def test_the_two_commands_are_one_line_each():
    install = re.findall(r"^python3 -m venv \S+ && .*$", README, re.MULTILINE)
    assert len(install) == 2
    assert install[0].endswith("-m vp_jax.train --config=configs/quickstart.py")
    assert install[1].endswith("-m pytest -n auto --dist worksteal")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_scripts_exist(document):
    text = document.read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    scripts = re.findall(r"(?:configs|experiments)/[\w/]+\.py", text)
    assert links or scripts
    for link in links:
        if not link.startswith("http"):
            assert (document.parent / link.split("#")[0]).exists(), link
    paths = re.findall(r"`((?:vp_jax|tests)/[\w/.]*)`", text)
    scripts += [path for path in paths if "NAME" not in path]
    for script in scripts:
        assert (ROOT / script).exists(), script


def test_settings_names_and_flags_exist():
    settings = set(cli.setting_names(config.default()))
    for name in re.findall(r"--config\.([a-z_.]+)", README):
        assert name in settings, name
    for name in re.findall(r"`(clip_\w+)`", README):
        assert name in backbones.names(), name
    for name in heads.names():
        assert f"`{name}`" in README, name
    for name in re.findall(r"--config\.head\.name=(\w+)", README):
        assert name in heads.names(), name
    for name in re.findall(r"--config\.task\.name=(\w+)", README):
        assert name in tasks.names(), name


def test_every_backbone_and_task_is_listed():
    table = README[README.index("## Where weights and data come from") :]
    listed = set(re.findall(r"`(\w+)`", table))
    assert set(tasks.names()) <= listed
    prefixes = ("", "clip_", "clip_vit", "clip")
    for name in backbones.names():
        assert any(name.removeprefix(p) in listed for p in prefixes), name


def test_nothing_is_left_to_fill_in():
    for document in DOCUMENTS:
        assert not re.findall(r"\b[A-Z]+_(?:ROWS|TABLE|SECTION|EQUAL)\b", document.read_text())
