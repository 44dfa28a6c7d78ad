"""Lets the tests of this folder import their helpers, and those of tests/data, whatever pytest's
import mode; gives them a small CLIP, and runs that are quick."""

import pathlib
import sys

import jax
import pytest

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "runs"), str(TESTS / "data")]

import small_clip  # noqa: E402
from pictures import undrawn  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def quick_runs(request):
    """Runs know `clip_small`; pictures at which no test looks are laid out and not drawn; programs
    are compiled with little effort, but where a module says `OPTIMIZED = True`."""
    quick = not getattr(request.module, "OPTIMIZED", False)
    undo = small_clip.install()
    with undrawn(), pytest.MonkeyPatch.context() as patch:
        if quick:  # and those of the processes that tests start: random numbers depend on it
            patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        compile_with(little_effort=quick)
        yield
        compile_with(little_effort=False)
    undo()


def compile_with(little_effort):
    """From here on, and nothing that was compiled before is used."""
    if jax.config.read("jax_disable_most_optimizations") != little_effort:
        jax.config.update("jax_disable_most_optimizations", little_effort)
        jax.clear_caches()
