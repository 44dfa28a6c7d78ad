"""Lets the tests of this folder import the experiments' modules, whatever pytest's import mode."""

import pathlib
import sys

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"
sys.path[:0] = [str(EXPERIMENTS), str(EXPERIMENTS / "benchmarks")]
