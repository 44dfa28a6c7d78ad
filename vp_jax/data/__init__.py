"""Tasks: their datasets, splits, preprocessing and batches. Imports neither tfds nor PIL."""

from vp_jax.data import tasks
from vp_jax.data.augment import make_augment
from vp_jax.data.images.cache import default_folder as cache_folder
from vp_jax.data.load import load_task
from vp_jax.data.pipelines import PIPELINES
from vp_jax.data.sources.source import read
from vp_jax.data.splits.batches import eval_batches, eval_indices, steps_per_epoch, train_indices
from vp_jax.data.splits.holdout import stratified_holdout
from vp_jax.data.splits.split import Split, TaskData
from vp_jax.data.tasks import Task
from vp_jax.data.tasks.examples import Example, Examples, Source

__all__ = [
    "PIPELINES",
    "Example",
    "Examples",
    "Source",
    "Split",
    "Task",
    "TaskData",
    "cache_folder",
    "eval_batches",
    "eval_indices",
    "load_task",
    "make_augment",
    "read",
    "steps_per_epoch",
    "stratified_holdout",
    "tasks",
    "train_indices",
]
