"""Lets the tests of this folder import `tiny_clips` and the experiments' `clip_references`."""

import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1] / "experiments")]
