"""The prompts stay light to import, and their documented examples run."""

from __future__ import annotations

import doctest
import importlib
import json
import pathlib
import pkgutil
import subprocess
import sys

import pytest

import vp_jax
from vp_jax import prompts

ROOT = pathlib.Path(vp_jax.__file__).parent.parent
MODULES = [m.name for m in pkgutil.walk_packages(prompts.__path__, "vp_jax.prompts.")]


@pytest.mark.parametrize("module", ["vp_jax.errors", "vp_jax.prompts", *MODULES])
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


@pytest.mark.slow
def test_import_is_light():
    program = """
import json, sys, time
import jax
start = time.perf_counter()
from vp_jax import prompts
seconds = time.perf_counter() - start
heavy = [name for name in ("flax", "tensorflow", "torch", "optax", "PIL") if name in sys.modules]
print(json.dumps([seconds, heavy]))
"""
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    seconds, heavy = json.loads(output)
    assert heavy == []
    assert seconds < 0.3
