"""Tasks by name: what they are, their classes and examples, how they are scored."""

from vp_jax.data.tasks.registry import ALIASES, SPLITS, get, names, with_splits
from vp_jax.data.tasks.task import Coop, Task

__all__ = ["ALIASES", "SPLITS", "Coop", "Task", "get", "names", "with_splits"]
