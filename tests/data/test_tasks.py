"""The registry of tasks."""

from __future__ import annotations

import pytest

from vp_jax.data import tasks
from vp_jax.data.tasks import Task
from vp_jax.errors import UserError


def test_all_tasks():
    assert {"digits", "cifar100", "cifar10", "svhn_cropped", "dtd", "usps", "npz", "folder"} <= set(
        tasks.names()
    )
    for name in tasks.names():
        task = tasks.get(name)
        assert task.name == name and task.metric == "accuracy"
        assert task.train != task.test and task.licence and task.notes


def test_class_names():
    assert tasks.get("digits").class_names[3] == "three"
    assert tasks.get("svhn_cropped").class_names[3] == "3"
    assert tasks.get("cifar100").class_names is None
    assert tasks.get("usps").class_names == tasks.get("digits").class_names


def test_validation_joins_the_pool():
    assert tasks.get("dtd").train == tasks.get("oxford_flowers102").train == "train+validation"


def test_formats():
    formats = {name: tasks.get(name).format for name in ("digits", "usps", "npz", "folder")}
    assert formats == {"digits": "tfds", "usps": "npz", "npz": "npz", "folder": "folder"}
    with pytest.raises(UserError, match=r"unknown format of the task 'x'.* 'nzp'.*'npz'"):
        Task("x", format="nzp")
    with pytest.raises(UserError, match="'x' has no tfds_name"):
        Task("x")


def test_unknown():
    with pytest.raises(UserError, match=r"cifar-100.*cifar100"):
        tasks.get("cifar-100")


def test_the_datasets_exist_in_tfds_with_these_features():
    tfds = pytest.importorskip("tensorflow_datasets")
    for name in tasks.names():
        task = tasks.get(name)
        if task.generated or task.format != "tfds":
            continue
        features = tfds.builder(task.tfds_name).info.features
        assert isinstance(features[task.image_key], tfds.features.Image)
        assert isinstance(features[task.label_key], tfds.features.ClassLabel)
        if task.class_names is not None:
            assert len(task.class_names) == features[task.label_key].num_classes
