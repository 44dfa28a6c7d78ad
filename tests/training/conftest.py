"""Lets the tests of this folder import the model of tests/runs, whatever pytest's import mode."""

import pathlib
import sys

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "runs"), str(TESTS / "data")]
