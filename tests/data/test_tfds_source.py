"""Prepared datasets are found and read; missing and unfit ones are refused with help."""

from __future__ import annotations

import dataclasses
import json
import time

import fake_tfds
import pytest

from vp_jax.data import download, source, tasks, tfds_source
from vp_jax.data.tasks import Task
from vp_jax.errors import UserError

FAKE = Task("fake", "fake")


@pytest.fixture
def no_tensorflow(monkeypatch):
    monkeypatch.setattr(tfds_source, "has_tensorflow", lambda: False)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    splits = {
        "train": fake_tfds.random_split(30, 3),
        "validation": fake_tfds.random_split(9, 3, seed=1),
        "test": fake_tfds.random_split(12, 3, seed=2),
    }
    fake_tfds.make(path, "fake", splits, class_names=["a", "b", "c"])
    return path


def test_reads(data_dir):
    fake = source.read(FAKE, data_dir)
    images, labels = fake_tfds.random_split(30, 3)
    assert fake.class_names == ("a", "b", "c") and fake.num_classes == 3
    assert len(fake.train) == 30 and len(fake.test) == 12
    assert fake.train[17] == (fake_tfds.png(images[17]), labels[17], "train/00017.png")


def test_joined_and_sliced_splits(data_dir):
    task = dataclasses.replace(FAKE, train="train + validation", test="test[:50%]")
    fake = source.read(task, data_dir)
    assert (len(fake.train), len(fake.test)) == (39, 6)
    assert fake.train[30].key == "validation/00000.png"


def test_newest_version(tmp_path, data_dir):
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        splits = {s: fake_tfds.random_split(3, 3) for s in ("train", "test")}
        fake_tfds.make(tmp_path, "fake", splits, num_classes=3, version=version)
    (tmp_path / "fake" / "2.0.0").mkdir()  # Holds nothing.
    (tmp_path / "fake" / "incomplete.ABC_3.0.0").mkdir()
    assert source.read(FAKE, tmp_path).path.name == "1.10.0"
    task = dataclasses.replace(FAKE, tfds_name="fake:1.9.0")
    assert source.read(task, tmp_path).path.name == "1.9.0"


def test_default_data_dir(monkeypatch, data_dir):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    assert source.read(FAKE).path == data_dir / "fake" / "1.0.0"


def test_names_that_are_only_numbers_are_none(tmp_path):
    splits = {s: fake_tfds.random_split(4, 2) for s in ("train", "test")}
    fake_tfds.make(tmp_path, "fake", splits, num_classes=2, named=False)
    fake = source.read(FAKE, tmp_path)
    assert fake.class_names is None and fake.num_classes == 2 and fake.train[0].key is None
    fake_tfds.make(tmp_path, "plain", splits, plain_label=True)
    plain = source.read(Task("plain", "plain"), tmp_path)
    assert plain.class_names is None and plain.num_classes is None and plain.train[1].label == 1


@pytest.mark.parametrize("download_setting", [True, False])
def test_missing(tmp_path, no_tensorflow, download_setting):
    begin = time.monotonic()
    with pytest.raises(UserError) as e:
        source.read(tasks.get("cifar100"), tmp_path, download=download_setting)
    assert time.monotonic() - begin < 1
    message = str(e.value)
    assert f"'cifar100' is not prepared; there is no {tmp_path}/cifar100/VERSION" in message
    assert f"tfds.builder('cifar100', data_dir='{tmp_path}', file_format='array_record')" in message
    assert "pip install 'vp_jax[data]'" in message
    assert "--config.task.data_dir=DIR" in message


def test_download_is_not_tried_when_forbidden(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_source, "has_tensorflow", lambda: True)
    monkeypatch.setattr(download, "download", lambda *args: pytest.fail("downloaded"))
    with pytest.raises(UserError, match="is not prepared"):
        source.read(FAKE, tmp_path, download=False)


def test_no_network(tmp_path, monkeypatch):
    class Builder:
        @property
        def url_infos(self):
            return {"http://127.0.0.1:9/data.tar": None}

        def download_and_prepare(self):
            pytest.fail("asked tfds")

    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tfds, "builder", lambda *args, **kwargs: Builder())
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(tfds_source, "has_tensorflow", lambda: True)
    with pytest.raises(UserError, match=r"(?s)could not be prepared: URLError.*data_dir=DIR"):
        source.read(FAKE, tmp_path)


def test_unknown_to_tfds(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_source, "has_tensorflow", lambda: True)
    with pytest.raises(UserError, match="could not be prepared: DatasetNotFoundError"):
        source.read(Task("x", "no_such_dataset"), tmp_path)


def test_missing_split(data_dir):
    with pytest.raises(UserError, match="no split 'eval'; it has: test, train, validation"):
        source.read(dataclasses.replace(FAKE, test="eval"), data_dir)


@pytest.mark.parametrize("split", ["test[:0]", "test[2:", "test[:101%]", "test[a:b]"])
def test_empty_and_malformed_splits(data_dir, split):
    with pytest.raises(UserError, match="is empty|is not understood"):
        source.read(dataclasses.replace(FAKE, test=split), data_dir)


def test_missing_feature(data_dir):
    with pytest.raises(UserError, match="no feature 'img'; it has: file_name, image, label"):
        source.read(dataclasses.replace(FAKE, image_key="img"), data_dir)


def test_wrong_features(data_dir):
    with pytest.raises(UserError, match=r"'label' .* is not an image"):
        source.read(dataclasses.replace(FAKE, image_key="label"), data_dir)
    for key in ("image", "file_name"):
        with pytest.raises(UserError, match=rf"'{key}' .* is not one integer"):
            source.read(dataclasses.replace(FAKE, label_key=key), data_dir)


def make_small(tmp_path):
    splits = {s: fake_tfds.random_split(4, 2) for s in ("train", "test")}
    return fake_tfds.make(tmp_path, "fake", splits, num_classes=2)


def test_tfrecord_without_tensorflow(tmp_path, no_tensorflow):
    info = make_small(tmp_path) / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    with pytest.raises(UserError) as e:
        source.read(FAKE, tmp_path)
    assert "stored as tfrecord" in str(e.value) and "file_format='array_record'" in str(e.value)


def test_tfrecord_with_tensorflow(tmp_path):
    tf = pytest.importorskip("tensorflow")
    tfds = pytest.importorskip("tensorflow_datasets")
    folder = make_small(tmp_path)
    reference = list(source.read(FAKE, tmp_path).train)
    for file in list(folder.glob("*.array_record-*")):
        split = "train" if "-train." in file.name else "test"
        builder = tfds.builder_from_directory(folder)  # Before the info says tfrecord.
        records = builder.as_data_source(split, file_format="array_record").data_source
        with tf.io.TFRecordWriter(str(file).replace("array_record", "tfrecord")) as writer:
            for i in range(len(records)):
                writer.write(records[i])
    for file in list(folder.glob("*.array_record-*")):
        file.unlink()
    info = folder / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    assert list(source.read(FAKE, tmp_path).train) == reference


def test_damaged_info(tmp_path):
    (make_small(tmp_path) / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        source.read(FAKE, tmp_path)


def test_missing_and_damaged_shards(tmp_path):
    shard = make_small(tmp_path) / "fake-test.array_record-00000-of-00001"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="Remove that folder and prepare it again"):
        list(source.read(FAKE, tmp_path).test)
    shard.unlink()
    with pytest.raises(UserError, match="Remove that folder and prepare it again"):
        list(source.read(FAKE, tmp_path).test)
