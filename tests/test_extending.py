"""What docs/extending.md says to write works: its files are made, named and tested."""

import inspect
import pathlib
import re
import sys
import types

import pytest

from vp_jax import prompts
from vp_jax.data.tasks import registry as tasks
from vp_jax.heads import registry as heads

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = {part.splitlines()[0]: part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]}


def blocks(section):
    """The code of a section, each with the last name of a file before it."""
    place = r"(?:`|\*\*)([\w/]+\.py)(?:`|\*\*)"
    found = re.findall(rf"{place}(?:(?!```|{place}).)*?```python\n(.*?)```", section, re.DOTALL)
    named = [(path, code) for path, _, code in found]
    assert len(named) == section.count("```python")
    return dict(named)


def add_line(path, line, monkeypatch):
    """What the line does in the file that it is to stand in."""
    assert (ROOT / path).is_file()
    if path == "vp_jax/prompts/__init__.py":
        found = {}
        exec(line, found)
        (name,) = found.keys() - {"__builtins__"}
        monkeypatch.setattr(prompts, name, found[name], raising=False)
    elif path == "vp_jax/heads/registry.py":
        name = line.split('"')[1]
        module = sys.modules[f"vp_jax.heads.mappings.{name}"]
        for key, make in eval(f"{{{line}}}", vars(module)).items():
            monkeypatch.setitem(heads._HEADS, key, make)
    else:
        assert path == "vp_jax/data/tasks/tables/own.py"
        task = eval(line, {"Task": tasks.Task})
        monkeypatch.setitem(tasks._BY_NAME, task.name, task)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_files_of_a_section_pass_its_tests(name, monkeypatch, tmp_path):
    tried = 0
    for path, code in blocks(SECTIONS[name]).items():
        if (ROOT / path).exists():
            add_line(path, code, monkeypatch)
            continue
        dotted = path.removesuffix(".py").replace("/", ".")
        module = types.ModuleType(dotted)
        monkeypatch.setitem(sys.modules, dotted, module)
        exec(compile(code, path, "exec"), vars(module))
        if not pathlib.Path(path).name.startswith("test_"):
            continue
        for test in [x for key, x in vars(module).items() if key.startswith("test_")]:
            test(*(tmp_path for _ in inspect.signature(test).parameters))
            tried += 1
    assert tried


def test_it_is_about_a_page_and_names_what_is_there():
    assert list(SECTIONS) == ["A prompt", "A head", "A backbone", "A task", "An optimiser"]
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    assert len(prose.split()) < 500
    for path in re.findall(r"\*\*((?:vp_jax|tests)/[\w/]+\.py)\*\*", prose):
        assert (ROOT / path).parent.exists() and not (ROOT / path).exists(), path
