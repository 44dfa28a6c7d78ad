"""Lets these tests make runs as those of tests/runs do: quickly, with a small CLIP."""

import importlib.util
import pathlib
import sys

import pytest

RUNS = pathlib.Path(__file__).parents[1] / "runs"
_spec = importlib.util.spec_from_file_location("conftest_of_runs", RUNS / "conftest.py")
_of_runs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_of_runs)
quick_runs = _of_runs.quick_runs
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(RUNS.parents[1] / "experiments")]

import untrained  # noqa: E402


@pytest.fixture(scope="module")
def made():
    """Makes a classifier without training."""
    return untrained.classifier
