"""Prepared datasets are found and read; missing and unfit ones are refused with help."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import fake_tfds
import numpy as np
import pytest

from vp_jax.data import tasks
from vp_jax.data.builders import prepare
from vp_jax.data.sources import class_names, download, source
from vp_jax.data.sources import tfds as tfds_source
from vp_jax.data.tasks import Task
from vp_jax.errors import UserError
from vp_jax.host.interrupts import Interrupted

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
    assert fake.train[17] == (fake_tfds.png(images[17]), labels[17], "train/00017.png", 0)
    assert fake.val is None and not fake.extra and not fake.group_names
    assert fake.train.shape is None and fake.train.labels is None


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


def domains(split: str, index: int) -> int:
    return index % 2 if split == "train" else 2


@pytest.fixture(scope="module")
def domain_dir(tmp_path_factory):
    """A dataset like those of WILDS: own validation, further splits, domains, one size."""
    tfds = pytest.importorskip("tensorflow_datasets")
    path = tmp_path_factory.mktemp("domains")
    names = ("train", "val", "test", "id_val", "id_test")
    splits = {s: fake_tfds.random_split(10 + i, 2, seed=i) for i, s in enumerate(names)}
    feature = tfds.features.ClassLabel(names=["north", "south", "east"])
    number = tfds.features.Scalar(np.int64)
    more = {"region": (feature, domains), "camera": (number, lambda s, i: 100 + i)}
    more["text"] = (tfds.features.Text(), lambda s, i: "x")
    fake_tfds.make(path, "wild", splits, class_names=["a", "b"], size=(32, 32), more=more)
    return path


WILD = Task("wild", "wild", val="val", extra=("id_val", "id_test"), group_key="region")


def test_own_validation_further_splits_and_domains(domain_dir):
    wild = source.read(WILD, domain_dir)
    sizes = {"train": 10, "val": 11, "test": 12, "id_val": 13, "id_test": 14}
    assert {name: len(examples) for name, examples in wild.splits.items()} == sizes
    assert wild.group_names == ("north", "south", "east")
    assert [example.group for example in wild.train] == [0, 1] * 5
    assert {example.group for example in wild.val} == {2}
    assert wild.extra["id_test"][3].key == "id_test/00003.png"
    assert wild.val[1].image == fake_tfds.png(fake_tfds.random_split(11, 2, seed=1)[0][1])
    assert all(examples.shape == (32, 32, 3) for examples in wild.splits.values())


def test_domains_that_are_numbers(domain_dir):
    wild = source.read(dataclasses.replace(WILD, group_key="camera"), domain_dir)
    assert wild.group_names == () and wild.test[7].group == 107


def test_domains_that_are_none(domain_dir):
    with pytest.raises(UserError, match="no feature 'hospital'; it has: camera, file_name"):
        source.read(dataclasses.replace(WILD, group_key="hospital"), domain_dir)
    with pytest.raises(UserError, match=r"'text' .* is not one integer"):
        source.read(dataclasses.replace(WILD, group_key="text"), domain_dir)


def test_threads_and_processes(domain_dir):
    cloudpickle = pytest.importorskip("cloudpickle")
    train = source.read(WILD, domain_dir).train
    copied = pickle.loads(cloudpickle.dumps(train))
    expected = list(train)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: (train[i % 10], copied[i % 10]), range(500)))
    assert all(pair == (expected[i % 10],) * 2 for i, pair in enumerate(found))


def test_fingerprint(domain_dir, tmp_path):
    first = source.read(WILD, domain_dir).fingerprint
    assert first and source.read(WILD, domain_dir).fingerprint == first
    others = [
        source.read(dataclasses.replace(WILD, train="train[:5]"), domain_dir).fingerprint,
        source.read(dataclasses.replace(WILD, label_key="region"), domain_dir).fingerprint,
    ]
    for version in ("1.0.0", "1.0.1"):  # The same examples in the same order.
        splits = {s: fake_tfds.random_split(4, 2) for s in ("train", "test")}
        fake_tfds.make(tmp_path, "fake", splits, num_classes=2, version=version)
        others.append(source.read(FAKE, tmp_path).fingerprint)
    splits["train"] = fake_tfds.random_split(5, 2)
    shutil.rmtree(tmp_path / "fake" / "1.0.1")
    fake_tfds.make(tmp_path, "fake", splits, num_classes=2, version="1.0.1")
    others.append(source.read(FAKE, tmp_path).fingerprint)
    assert len({first, *others}) == 6


def clevr(path, counts):
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {
        "color": tfds.features.ClassLabel(num_classes=8),
        "3d": tfds.features.Scalar(np.float32),
    }
    objects = tfds.features.Sequence(features)
    splits = {s: fake_tfds.random_split(len(counts), 1) for s in ("train", "validation", "test")}

    def scene(split, index):
        return [{"color": 1, "3d": 0.5}] * (0 if split == "test" else counts[index])

    fake_tfds.make(
        path, "clevr", splits, num_classes=1, label_key="x", more={"objects": (objects, scene)}
    )


def test_labels_that_are_counted(tmp_path):
    clevr(tmp_path, range(3, 11))
    source_ = source.read(tasks.get("clevr"), tmp_path)
    assert source_.num_classes == 8 and source_.class_names is None
    for examples in (source_.train, source_.test):
        assert [example.label for example in examples] == list(range(8))
    names = class_names.resolve(tasks.get("clevr"), source_)
    assert names[source_.test[2].label] == "5 objects"
    no_scenes = source.read(dataclasses.replace(tasks.get("clevr"), test="test"), tmp_path)
    assert no_scenes.test[0].label < 0  # Which the reader of all labels refuses.


@pytest.mark.slow(seconds=7)
def test_clevr_with_tensorflow(tmp_path):
    pytest.importorskip("tensorflow")
    tfds = pytest.importorskip("tensorflow_datasets")
    clevr(tmp_path, [3, 5])
    folder = tmp_path / "clevr" / "1.0.0"
    as_tfrecord(folder, tfds, ("train", "validation", "test"))
    read = source.read(tasks.get("clevr"), tmp_path)
    assert [example.label for example in read.test] == [0, 2]


def test_training_images_of_another_dataset(tmp_path):
    splits = {s: fake_tfds.random_split(n, 10, seed=n) for s, n in (("train", 20), ("test", 10))}
    fake_tfds.make(tmp_path, "cifar10", splits, num_classes=10)
    task = tasks.get("cifar10_corrupted/fog_3")
    with pytest.raises(UserError) as e:
        source.read(task, tmp_path, download=False)
    assert f"there is no {tmp_path}/cifar10_corrupted/fog_3/VERSION" in str(e.value)
    assert "prepare cifar10_corrupted/fog_3 --data_dir" in str(e.value)
    fake_tfds.make(
        tmp_path / "cifar10_corrupted", "fog_3", {"test": splits["train"]}, num_classes=10
    )
    fogged = source.read(task, tmp_path)
    assert (len(fogged.train), len(fogged.test)) == (20, 20)
    assert fogged.train[0].key == "train/00000.png" and fogged.test[0].key == "test/00000.png"
    assert class_names.resolve(task, fogged) == tasks.get("cifar10").class_names
    (tmp_path / "cifar10/1.0.0/dataset_info.json").unlink()
    with pytest.raises(UserError, match=r"there is no .*/cifar10/VERSION"):
        source.read(task, tmp_path, download=False)


def test_only_to_test_on(tmp_path):
    images, _ = fake_tfds.random_split(3, 1)
    splits = {"test": (images, [1, 2, 988])}
    fake_tfds.make(tmp_path, "imagenet_r", splits, num_classes=1000)
    renditions = source.read(tasks.get("imagenet_r"), tmp_path)
    assert len(renditions.train) == 0 and list(renditions.train) == []
    assert [example.label for example in renditions.test] == [0, 1, 199]
    assert renditions.num_classes == 200
    names = class_names.resolve(tasks.get("imagenet_r"), renditions)
    assert names[1] == "great white shark"


def test_our_builders_say_what_they_need(tmp_path, no_tensorflow):
    with pytest.raises(UserError) as e:
        source.read(tasks.get("fmow"), tmp_path, download=False)
    assert f"into {tmp_path}/downloads/manual. Then prepare it once:" in str(e.value)
    assert f"python -m vp_jax.data prepare fmow --data_dir={tmp_path}\n" in str(e.value)
    assert "TensorFlow" not in str(e.value)
    with pytest.raises(UserError) as e:
        source.read(tasks.get("resisc45"), tmp_path)
    assert f"{tmp_path}/downloads/manual/NWPU-RESISC45 holds one folder a class" in str(e.value)


@pytest.fixture
def our_builder(monkeypatch):
    """A task whose dataset a builder of ours makes of a file that a person has fetched."""
    tfds = pytest.importorskip("tensorflow_datasets")

    class FromFile(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = "vp_from_file"
        VERSION = tfds.core.Version("1.0.0")
        MANUAL_DOWNLOAD_INSTRUCTIONS = "put the file there"

        def _info(self):
            label = tfds.features.ClassLabel(num_classes=2)
            features = {"image": tfds.features.Image(encoding_format="png"), "label": label}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            file = dl_manager.manual_dir / "images.txt"
            if not file.exists():
                raise UserError(f"there is no {file}")
            return {split: self._generate_examples(file) for split in ("train", "test")}

        def _generate_examples(self, file):
            for i in range(int(file.read_text())):
                image = io.BytesIO(fake_tfds.png(np.full((2, 2, 3), i, np.uint8)))
                yield i, {"image": image, "label": i % 2}

    monkeypatch.setitem(prepare.MODULES, "vp_from_file", "digits")
    monkeypatch.setattr(tfds, "builder", lambda name, **kwargs: FromFile(**kwargs))
    return Task("from_file", "vp_from_file", manual="put images.txt into {manual_dir}")


def test_a_builder_of_ours_makes_it_of_files(tmp_path, our_builder, no_tensorflow):
    with pytest.raises(UserError, match="could not be prepared: .*Put images.txt into"):
        source.read(our_builder, tmp_path)
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "other.txt").touch()
    with pytest.raises(
        UserError, match=f"could not be prepared: there is no {manual}/images.txt; "
    ):
        source.read(our_builder, tmp_path)
    assert not any(path.name.startswith("incomplete") for path in tmp_path.iterdir())
    (manual / "images.txt").write_text("5")
    assert len(source.read(our_builder, tmp_path).train) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"downloads", "vp_from_file"}


def test_files_at_another_place(tmp_path, our_builder, no_tensorflow):
    (tmp_path / "files").mkdir()
    (tmp_path / "files/images.txt").write_text("3")
    with pytest.raises(UserError, match="is not prepared"):
        tfds_source.read(our_builder, tmp_path / "data", download=False)
    read = tfds_source.read(our_builder, tmp_path / "data", manual_dir=tmp_path / "files")
    assert sorted(example.label for example in read.test) == [0, 0, 1]


def test_an_interruption_is_no_damage(data_dir, monkeypatch):
    records = source.read(FAKE, data_dir).train.get.args[0]

    def interrupted(self, index):
        raise Interrupted("SIGINT")

    monkeypatch.setattr(type(records), "__getitem__", interrupted)
    with pytest.raises(Interrupted):
        source.read(FAKE, data_dir).train[0]


@pytest.mark.parametrize("download_setting", [True, False])
def test_missing(tmp_path, no_tensorflow, download_setting):
    begin = time.monotonic()
    with pytest.raises(UserError) as e:
        source.read(tasks.get("cifar100"), tmp_path, download=download_setting)
    assert time.monotonic() - begin < 1
    message = str(e.value)
    assert f"'cifar100' is not prepared; there is no {tmp_path}/cifar100/VERSION" in message
    assert f"python -m vp_jax.data prepare cifar100 --data_dir={tmp_path}\n" in message
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


def test_images_of_floating_point_numbers(tmp_path, data_dir):
    """tfds stores their bytes as if they were colours and transparency."""
    shutil.copytree(data_dir, tmp_path / "data")
    (file,) = (tmp_path / "data").rglob("features.json")
    features = json.loads(file.read_text())
    image = features["featuresDict"]["features"]["image"]["image"]
    image["dtype"], image["shape"]["dimensions"] = "float32", ["-1", "-1", "1"]
    file.write_text(json.dumps(features))
    with pytest.raises(UserError, match=r"'image' .* floating-point numbers, .* as uint8"):
        source.read(FAKE, tmp_path / "data")


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


def as_tfrecord(folder, tfds, splits):
    """Turns a dataset in array_record into one in tfrecord."""
    import tensorflow as tf

    for split in splits:
        builder = tfds.builder_from_directory(folder)  # Before the info says tfrecord.
        records = builder.as_data_source(split, file_format="array_record").data_source
        (file,) = folder.glob(f"*-{split}.array_record-*")
        with tf.io.TFRecordWriter(str(file).replace("array_record", "tfrecord")) as writer:
            for i in range(len(records)):
                writer.write(records[i])
    for file in list(folder.glob("*.array_record-*")):
        file.unlink()
    info = folder / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))


def test_tfrecord_with_tensorflow(tmp_path):
    pytest.importorskip("tensorflow")
    tfds = pytest.importorskip("tensorflow_datasets")
    folder = make_small(tmp_path)
    reference = list(source.read(FAKE, tmp_path).train)
    as_tfrecord(folder, tfds, ("train", "test"))
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
