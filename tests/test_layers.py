"""Imports point downwards only, and in no circle."""

import ast
import functools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "vp_jax"
LAYERS = (
    "errors",
    "distributed",
    "jaxprs",
    "precision",
    "resampling",
    "host",
    "prompts",
    "backbones",
    "heads",
    "data",
    "step",
    "records",
    "training",
    "former_settings",
    "config",
    "config_files",
    "assembly",
    "classifier",
    "restored",
    "retest",
    "report",
    "exports",
    "answers",
    "serving",
    "runs",
    "many",
    "starts",
    "ensemble",
    "overrides",
    "command_flags",
    "cli",
    "train",
    "train_many",
    "train_start",
    "evaluate",
    "predict",
    "export",
    "list_runs",
    "serve",
    "compare",
)
"""What stands in `vp_jax`, lowest first."""
ROOMS = {
    "prompts": (
        "checks",
        "routing",
        "views",
        "base",
        "arguments",
        "initializers",
        "geometry",
        "networks",
        "several",
        "stage",
        "chain",
        "stages",
        "parse",
        "count",
        "by_resize",
        "images",
    ),
    "heads": (
        "base",
        "weights",
        "on_top",
        "linear",
        "residual",
        "temperature",
        "text",
        "descriptions",
        "mappings",
        "fit",
        "registry",
    ),
    "step": (
        "batch",
        "device_memory",
        "forward",
        "loss",
        "margins",
        "reptile",
        "sharding",
        "updates",
        "fsdp",
        "penalties",
        "tally",
        "step",
    ),
    "records": (
        "names",
        "bundle_file",
        "pulled",
        "checkpoints",
        "event_file",
        "listing",
        "workdir",
        "loggers",
        "classifier_file",
        "finished",
        "mapping_file",
        "predictions_file",
        "metrics",
        "record",
    ),
    "training": (
        "loop_settings",
        "feed",
        "progress",
        "advance",
        "evaluation",
        "experiment",
        "members",
        "fitting",
        "zero_shot",
        "start",
        "final_test",
        "probe",
        "loop",
        "reptile",
    ),
    "assembly": (
        "check_run",
        "compose",
        "texts",
        "parts",
        "settings",
        "check_head",
        "checks",
        "several",
        "go_on",
        "reproduction",
        "own_parts",
        "setup",
        "plan",
        "trained",
        "bundle",
        "teacher",
        "scan",
    ),
    "backbones": (
        "layers",
        "weights",
        "base",
        "source_classes",
        "custom",
        "classifier",
        "resnets",
        "vits",
        "clip",
        "loading",
        "flops",
    ),
    "report": (
        "table",
        "wording",
        "significance",
        "predictions",
        "summary",
        "looks",
        "pictures",
        "result",
        "page",
        "run_page",
        "run_list",
        "comparison",
        "conclusion",
        "finish",
        "start",
        "sweep",
        "__main__",
    ),
    "exports": (
        "wanted",
        "program",
        "about",
        "covering",
        "measured",
        "model_card",
        "bundle",
        "overlay",
        "run_stablehlo",
        "stablehlo",
        "onnx_model",
        "hub",
        "formats",
    ),
    "data": (
        "files",
        "tasks",
        "augment",
        "images",
        "splits",
        "builders",
        "sources",
        "pipelines",
        "stream",
        "load",
        "catalog",
    ),
}
"""What stands in some of them, lowest first."""
DOOR = (
    *("config", "config_files", "overrides", "assembly"),
    *("command_flags", "cli", "train", "train_many", "train_start"),
    *("evaluate", "predict", "export", "list_runs", "serve"),
)
"""The layers that read settings; all others take objects and plain numbers."""
HAND_ON = ("runs", "many", "starts")
"""Layers that take settings and hand them on without a look."""
COMMANDS = ("data.__main__", "report.__main__")
"""Command lines that stand within a layer, and import what is above it."""


def name_of(path):
    """The dotted name of a module below `vp_jax`; that of the package itself is empty."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__")


PATHS = {name_of(path).rstrip("."): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def imported(module):
    """The modules of this package that one imports, also within functions."""
    path, found = PATHS[module], set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "vp_jax":
                name = name.removeprefix("vp_jax").lstrip(".")
                found.add(name if name in PATHS else name.rpartition(".")[0])
    return found


def height(name):
    """A module's place in the order, and its place among its wing's rooms."""
    wing, *rooms = name.split(".")
    order = ROOMS.get(wing, ())
    return LAYERS.index(wing), order.index(rooms[0]) if rooms and order else len(order)


@pytest.mark.parametrize("name", sorted(filter(None, PATHS)))
def test_imports_point_downwards(name):
    if name in COMMANDS:
        return
    for other in sorted(imported(name) - {""}):
        assert height(other) <= height(name), f"{name} imports {other}, which is above it"


def settings_of(function):
    """The arguments of a function that are settings, by their annotations."""
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return {a.arg for a in every if a.annotation and "ConfigDict" in ast.unparse(a.annotation)}


@pytest.mark.parametrize("name", sorted(filter(None, PATHS)))
def test_settings_end_at_the_door(name):
    """Elsewhere nobody imports `ml_collections`, and who hands settings on reads none of them."""
    layer = name.split(".")[0]
    if layer in DOOR:
        return
    text = PATHS[name].read_text()
    assert layer in HAND_ON or "ml_collections" not in text
    for function in (x for x in ast.walk(ast.parse(text)) if isinstance(x, ast.FunctionDef)):
        read = {x.value.id for x in ast.walk(function) if is_read(x)} & settings_of(function)
        assert not read, f"{name}.{function.name} reads {read}"


def is_read(node):
    """Whether an expression looks into what a name stands for."""
    looks = isinstance(node, (ast.Attribute, ast.Subscript))
    return looks and isinstance(node.value, ast.Name)


def test_the_document_has_every_wing_in_this_order():
    text = (ROOT / "docs" / "design.md").read_text()
    wings = re.findall(r"^\| `vp_jax/(\w+)/`", text, re.MULTILINE)
    assert set(wings) == {name for name in PATHS if PATHS[name].name == "__init__.py"} & set(LAYERS)
    assert wings == sorted(wings, key=LAYERS.index)


@pytest.mark.slow
def test_no_circle():
    """Modules that import only what is done already are done; none may be left over."""
    left = {name: imported(name) for name in PATHS}
    while done := [name for name, others in left.items() if not others & left.keys()]:
        for name in done:
            del left[name]
    assert sorted(left) == []


@pytest.mark.parametrize("name", PATHS)
def test_one_concept_a_file(name):
    assert len(PATHS[name].read_text().splitlines()) <= 400
