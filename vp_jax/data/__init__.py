"""Tasks: their datasets, splits, preprocessing and batches. Imports neither tfds nor PIL."""

from vp_jax.data import tasks
from vp_jax.data.arrays import Split, TaskData, load_task
from vp_jax.data.augment import make_augment
from vp_jax.data.batches import eval_batches, steps_per_epoch, train_indices
from vp_jax.data.examples import Example, Examples, Source
from vp_jax.data.source import read
from vp_jax.data.splits import stratified_holdout
from vp_jax.data.tasks import Task

__all__ = [
    "Example",
    "Examples",
    "Source",
    "Split",
    "Task",
    "TaskData",
    "eval_batches",
    "load_task",
    "make_augment",
    "read",
    "steps_per_epoch",
    "stratified_holdout",
    "tasks",
    "train_indices",
]
