"""Tests run on the CPU, offline, and write nothing outside their temporary folders.

`VP_JAX_TEST_PLATFORM=cuda pytest tests/backbones` runs them on a card instead.
"""

import contextlib
import mmap
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))

import forked  # noqa: E402

PLATFORM = os.environ.get("VP_JAX_TEST_PLATFORM", "cpu")
EFFORT = "JAX_DISABLE_MOST_OPTIMIZATIONS"
FLAGS = ("xla_cpu_use_fusion_emitters=false", "xla_cpu_parallel_codegen_split_count=1")


def flags_of_little_effort():
    """XLA's flags with which small programs compile in half the time, of those that it knows: they
    stand in its library as texts of their own. A flag that it does not know ends the process."""
    import jaxlib

    (folder,) = jaxlib.__path__
    known = set()
    for library in pathlib.Path(folder).glob("*jax_common*"):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as found:
            names = {flag: f"\0{flag.partition('=')[0]}\0".encode() for flag in FLAGS}
            known |= {flag for flag, name in names.items() if found.find(name) >= 0}
    return [f"--{flag}" for flag in FLAGS if flag in known]


if "PYTEST_XDIST_WORKER" not in os.environ:  # Workers share the folders of the first process.
    _SCRATCH = tempfile.TemporaryDirectory(prefix="vp_jax")
    os.environ["VP_JAX_CACHE"] = f"{_SCRATCH.name}/cache"
    os.environ["MPLCONFIGDIR"] = f"{_SCRATCH.name}/matplotlib"  # else every home looks for fonts
    # Compiled programs, shared by many tests; with the variable also by the next run of them.
    _PROGRAMS = os.environ.get("VP_JAX_TEST_PROGRAMS", f"{_SCRATCH.name}/programs")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _PROGRAMS
    # Most of the time of most tests is that of the compiler.
    if PLATFORM == "cpu":
        os.environ[EFFORT] = "1"
        _FLAGS = [os.environ.get("XLA_FLAGS", ""), *flags_of_little_effort()]
        os.environ["XLA_FLAGS"] = " ".join(filter(None, _FLAGS))

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
if CORES and "PYTEST_XDIST_WORKER" in os.environ:
    # Programs that compute on all cores wait for each other where several workers start them.
    _worker = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    _workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.sched_setaffinity(0, sorted(CORES)[_worker % len(CORES) :: _workers])

os.environ |= {
    "JAX_PLATFORMS": PLATFORM,
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


@contextlib.contextmanager
def full_effort():
    """Compiles as users have it, here and in the processes that are started meanwhile."""
    if EFFORT not in os.environ:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(EFFORT)
        patch.delenv("XLA_FLAGS")
        compile_with(little_effort=False)
        yield
        compile_with(little_effort=True)


@pytest.fixture(scope="module", autouse=True)
def effort(request):
    """A module that says `OPTIMIZED = True` has programs compiled as users have, its own and those
    of the processes that it starts; the others with little effort."""
    with full_effort() if getattr(request.module, "OPTIMIZED", False) else contextlib.nullcontext():
        yield


@pytest.fixture
def optimized():
    """Compiles as users have it, for a test that computes far longer than it compiles."""
    with full_effort():
        yield


def compile_with(little_effort):
    """From here on, and nothing that was compiled before is used."""
    import jax

    jax.config.update("jax_disable_most_optimizations", little_effort)
    jax.clear_caches()


@pytest.fixture(scope="session")
def cpu_devices():
    """The environment of a process that has `count` devices."""

    def environment(count, *more):
        flags = (f"--xla_force_host_platform_device_count={count}", *more)
        return {"XLA_FLAGS": " ".join([os.environ.get("XLA_FLAGS", ""), *flags])}

    return environment


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
        process = begin(*arguments, env={"HOME": str(tmp_path), **(env or {})})
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        done = subprocess.CompletedProcess(arguments, process.returncode, out, err)
        if check:
            assert done.returncode == 0, done.stderr[-4000:]
        return done

    return run


@pytest.fixture(scope="session")
def start():
    """Starts `python ARGUMENTS` in the repository, and goes on at once."""
    return begin


def begin(*arguments, env=None):
    """Commands and scripts are split off from a process that has the libraries already; a text of
    Python is run by a new one, since it may look at what it imports."""
    environment = {**os.environ, **(env or {})}
    if arguments[0] != "-c" and sys.platform == "linux":
        return forked.start(arguments, REPOSITORY, environment)
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
