"""What is installed is what is in the tree."""

import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MADE = ("__pycache__", "*.pyc", "*.egg-info", "build", "dist", ".venv*", ".*_cache")
FOLDERS = (".ci", "configs", "docs", "experiments", "notebooks", "tests", "vp_jax")
FILES = (".gitignore", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
OF_SETUPTOOLS = ("PKG-INFO", "setup.cfg")


def build(kind, source, target):
    """The archive that the build backend makes of a source tree, as pip and `build` call it."""
    program = (
        f"import sys; from setuptools import build_meta;print(build_meta.build_{kind}(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(target)],
        cwd=source,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return target / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Of a copy of the tree: the source distribution, unpacked, and the wheel made from it."""
    pytest.importorskip("setuptools", minversion="77", reason="of the extra 'test'")
    scratch = tmp_path_factory.mktemp("packaging")
    copy = scratch / "copy"
    copy.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns(*MADE))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    with tarfile.open(build("sdist", copy, scratch)) as archive:
        archive.extractall(scratch / "unpacked", filter="data")
    (unpacked,) = (scratch / "unpacked").iterdir()
    with zipfile.ZipFile(build("wheel", unpacked, scratch)) as wheel:
        wheel.extractall(scratch / "installed")
    for place, name in itertools.product((copy, unpacked), ("build", "vp_jax.egg-info")):
        shutil.rmtree(place / name, ignore_errors=True)
    return copy, unpacked, scratch / "installed"


def contents(folder, below=""):
    """The files in a folder by their path, with what is in them."""
    place = folder / below
    return {
        str(pathlib.Path(below, path.relative_to(place))): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


def test_a_source_distribution_holds_the_whole_tree(archives):
    copy, unpacked, _ = archives
    held = contents(unpacked)
    assert {n: data for n, data in held.items() if n not in OF_SETUPTOOLS} == contents(copy)


def test_a_wheel_holds_the_package_and_its_configs_and_nothing_else(archives):
    copy, _, installed = archives
    (about,) = installed.glob("*.dist-info")
    wanted = contents(copy, "vp_jax")
    wanted |= {f"vp_jax/{name}": data for name, data in contents(copy, "configs").items()}
    held = contents(installed)
    assert {n: data for n, data in held.items() if n.split("/")[0] != about.name} == wanted


@pytest.mark.slow
def test_every_module_of_a_wheel_is_found(archives, tmp_path):
    copy, _, installed = archives
    program = """if True:
        import pkgutil, vp_jax
        from vp_jax import cli, config_files
        found = [module.name for module in pkgutil.walk_packages(vp_jax.__path__, "vp_jax.")]
        print(*found, config_files.folder(), cli.load_config("quickstart").backbone.name)
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *modules, folder, backbone = done.stdout.split()
    assert (folder, backbone) == (str(installed / "vp_jax" / "configs"), "clip_tiny")
    for path in (copy / "vp_jax").rglob("*.py"):
        name = ".".join(path.relative_to(copy).with_suffix("").parts).removesuffix(".__init__")
        assert name in (*modules, "vp_jax"), name
