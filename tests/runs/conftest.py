"""Lets the tests of this folder import their helpers, and those of tests/data, whatever pytest's
import mode; gives them a small CLIP, and runs that are quick."""

import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "runs"), str(TESTS / "data")]

import small_clip  # noqa: E402
from pictures import undrawn  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def quick_runs(request):
    """Runs know `clip_small`; pictures at which no test looks are laid out and not drawn, and not
    even that where a module says `PICTURES = False`."""
    undo = small_clip.install()
    with undrawn(getattr(request.module, "PICTURES", True)):
        yield
    undo()
