"""Lets the tests of this folder import their helpers, and those of tests/runs, whatever pytest's
import mode; gives them a bundle and a server of it."""

import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "runs"), str(TESTS / "serving")]

import small_clip  # noqa: E402
from servers import LIMITS, Server, write_bundle  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def small():
    """Bundles of `clip_small` can be loaded."""
    undo = small_clip.install()
    yield
    undo()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    undo = small_clip.install()
    path = write_bundle(tmp_path_factory.mktemp("serving") / "bundle.safetensors")
    undo()
    return path


@pytest.fixture(scope="session")
def server(bundle):
    """One with two processes and narrow limits, for many tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        running = Server(bundle, "--workers=2", *LIMITS)
    yield running
    running.process.kill()
