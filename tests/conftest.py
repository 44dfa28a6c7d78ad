"""Tests run on the CPU, offline, and write nothing outside their temporary folders.

`VP_JAX_TEST_PLATFORM=cuda pytest tests/backbones` runs them on a card instead.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

if "PYTEST_XDIST_WORKER" not in os.environ:  # Workers share the folders of the first process.
    _SCRATCH = tempfile.TemporaryDirectory(prefix="vp_jax")
    os.environ["VP_JAX_CACHE"] = f"{_SCRATCH.name}/cache"
    # Compiled programs, shared by many tests; with the variable also by the next run of them.
    _PROGRAMS = os.environ.get("VP_JAX_TEST_PROGRAMS", f"{_SCRATCH.name}/programs")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _PROGRAMS

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
if CORES and "PYTEST_XDIST_WORKER" in os.environ:
    # Programs that compute on all cores wait for each other where several workers start them.
    _worker = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    _workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.sched_setaffinity(0, sorted(CORES)[_worker % len(CORES) :: _workers])

os.environ |= {
    "JAX_PLATFORMS": os.environ.get("VP_JAX_TEST_PLATFORM", "cpu"),
    "HF_HUB_OFFLINE": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # as commands have it
}

REPOSITORY = pathlib.Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    """Slow tests run last, of them the longest first, so that no worker waits long for another."""

    def place(item):
        marker = item.get_closest_marker("slow")
        return (0, 0) if marker is None else (1, -marker.kwargs.get("seconds", 0))

    items.sort(key=place)


@pytest.fixture(scope="module")
def all_cores():
    """Lets the commands of a module compute on all cores, as users run them."""
    if CORES:
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, CORES)
    yield
    if CORES:
        os.sched_setaffinity(0, own)


@pytest.fixture(scope="session", autouse=True)
def datasets(tmp_path_factory):
    """Generated datasets go to a folder of the session."""
    folder = tmp_path_factory.mktemp("tensorflow_datasets")
    os.environ["TFDS_DATA_DIR"] = str(folder)
    return folder


@pytest.fixture
def python(tmp_path):
    """Runs `python ARGUMENTS` in the repository, with a home of its own."""

    def run(*arguments, env=None, timeout=300, check=False):
        environment = {**os.environ, "HOME": str(tmp_path), **(env or {})}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, done.stderr[-4000:]
        return done

    return run


@pytest.fixture
def small_disk(tmp_path):
    """A context that yields a folder on a disk of `size`, such as "160k"."""

    @contextlib.contextmanager
    def mounted(size):
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a small disk needs root")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)

    return mounted
