"""Imports point downwards only, and the lower layers stay light."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LAYERS = ("prompts", "backbones", "heads", "data", "training", "report")  # lowest first
SHARED = (
    "distributed",
    "errors",
    "config",
    "files",
    "host_memory",
    "interrupts",
    "jaxprs",
    "locks",
    "progress_bar",
    "user_cache",
)
# those import no layer
MODULES = sorted((ROOT / "vp_jax").rglob("*.py"))


def imported(path):
    """The modules of this package that a file imports, as dotted names below `vp_jax`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "vp_jax":
            names = [f"vp_jax.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        yield from (n.removeprefix("vp_jax.") for n in names if n.startswith("vp_jax."))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    place = path.relative_to(ROOT / "vp_jax").parts[0].removesuffix(".py")
    allowed = SHARED + LAYERS
    if path.name == "__main__.py":  # a command line
        place = "commands"
    if place in SHARED:
        allowed = SHARED
    elif place in LAYERS:
        allowed = SHARED + LAYERS[: LAYERS.index(place) + 1]
    else:  # command lines and runs
        allowed = (*allowed, *(p.stem for p in (ROOT / "vp_jax").glob("*.py")))
    for name in imported(path):
        assert name.split(".")[0] in allowed, f"{path.name} imports vp_jax.{name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_one_concept_a_file(path):
    assert len(path.read_text().splitlines()) <= 400
