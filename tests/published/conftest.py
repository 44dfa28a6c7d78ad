"""Lets the tests of this folder import `authors_runs`, and compute in float64."""

import pathlib
import sys

import jax
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield
