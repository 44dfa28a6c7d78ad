"""Lets the tests of this folder import `tiny_model`, which is beside those of the step."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "step"))
