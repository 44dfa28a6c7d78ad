"""Grids of runs: a module here that has `trials` makes one table of `experiments.run`.

`trials(seeds)` are its cells; `BASE` names the row whose errors the others are compared with. One
with `draw(folder, trials, rows)` also writes a picture there, and returns its path.
"""

from __future__ import annotations

import importlib
import pkgutil
import types


def load(name: str) -> types.ModuleType:
    """The module of a grid."""
    return importlib.import_module(f"{__name__}.{name}")


def names() -> list[str]:
    """The names of all grids."""
    every = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [name for name in every if hasattr(load(name), "trials")]
