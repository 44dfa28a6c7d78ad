"""Tasks that need no download: digits that travel with scikit-learn, and the user's own data."""

from __future__ import annotations

from vp_jax.data.tasks.tables.names import DIGIT_WORDS
from vp_jax.data.tasks.task import Task

TASKS = (
    Task(
        name="digits",
        tfds_name="vp_digits",
        class_names=DIGIT_WORDS,
        num_classes=10,
        sizes={"train": 1_297, "test": 500},
        licence="CC BY 4.0",
        notes="scikit-learn's 1,797 handwritten digits, 8 x 8 grey",
        convention="there is no official split: 500 examples, a share of each class, are the test",
        generated=True,
        homepage="https://archive.ics.uci.edu/dataset/80",
    ),
    Task(
        name="usps",
        format="npz",
        file="usps.npz",
        class_names=DIGIT_WORDS,
        num_classes=10,
        sizes={"train": 7_291, "test": 2_007},
        licence="none stated",
        notes="handwritten digits from envelopes, 16 x 16 grey",
        manual="put usps.npz, with the arrays train_data, train_target, test_data and test_target, "
        "into the folder of the datasets, or name it by the setting task.data_dir of a training",
        homepage="https://hastie.su.domains/ElemStatLearn/datasets/zip.info.txt",
    ),
    Task(
        name="npz",
        format="npz",
        licence="yours",
        notes="any .npz file of arrays: train_data, train_target, test_data, test_target",
        convention="your file's own; val_data and val_target, if there, are the validation split",
    ),
    Task(
        name="folder",
        format="folder",
        licence="yours",
        notes="any folder or archive of images, one folder a class, or a CSV of path,label",
        convention="your folder's own; without a test or val part a stratified share is held out",
    ),
)
