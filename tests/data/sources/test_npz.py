"""Files of arrays become tasks; missing, damaged and unfit ones are refused by name."""

from __future__ import annotations

import concurrent.futures
import io
import os
import pathlib
import tempfile
import tracemalloc
import zipfile

import cloudpickle
import numpy as np
import pytest

from vp_jax.data import tasks
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.load import load_task
from vp_jax.data.sources import source
from vp_jax.errors import UserError

NPZ, USPS = tasks.get("npz"), tasks.get("usps")


def arrays(*shape, train=40, test=20, classes=10, **more):
    rng = np.random.default_rng(0)
    made = {}
    for split, count in (("train", train), ("test", test)):
        made[f"{split}_data"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        made[f"{split}_target"] = np.arange(count) % classes
    return made | more


def write(path, *shape, **kwargs):
    content = arrays(*shape, **kwargs)
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return content


def load(path, task="npz", **kwargs):
    rule = ResizeRule(32)
    return load_task(task, data_dir=path, resize=rule, progress=False, **kwargs)


def test_usps(tmp_path):
    content = write(tmp_path / "usps.npz", 256)
    for path in (tmp_path, tmp_path / "usps.npz"):
        data = load(path, "usps")
        assert data.class_names[3] == "three" and data.task is USPS
        assert data.train.images.shape == (36, 16, 16, 3) and len(data.val) == 4
        grey = content["test_data"].reshape(20, 16, 16)
        np.testing.assert_array_equal(data.test.images, np.repeat(grey[..., None], 3, axis=-1))
        np.testing.assert_array_equal(data.test.labels, content["test_target"])
        assert data.test.images.dtype == np.uint8 and data.test.labels.dtype == np.int32


def test_usps_in_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    write(tmp_path / "usps.npz", 256)
    assert source.read(USPS).path == tmp_path / "usps.npz"


def test_usps_is_not_there(tmp_path):
    for path in (tmp_path, tmp_path / "usps.npz"):
        with pytest.raises(UserError) as e:
            load(path, "usps")
        message = str(e.value)
        assert f"'usps' reads {tmp_path / 'usps.npz'}, which is not there: put there" in message
        assert "--config.task.data_dir=FILE" in message and "\n" not in message
        for name in ("train_data", "train_target", "test_data", "test_target"):
            assert name in message


def test_real_usps():
    folder = pathlib.Path(os.environ.get("VP_JAX_DATA", "data"))
    if not (folder / "usps.npz").exists():
        pytest.skip("no usps.npz: name the folder that holds it in VP_JAX_DATA")
    data = load(folder, "usps")
    assert len(data.train) + len(data.val) == 7291 and len(data.test) == 2007
    assert data.train.images.shape[1:] == (16, 16, 3) and data.class_names[9] == "nine"
    assert set(data.train.labels) == set(data.test.labels) == set(range(10))


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (36,), (3, 3)])
def test_shapes(tmp_path, shape):
    content = write(tmp_path / "x.npz", *shape)
    data = load(tmp_path / "x.npz", class_names=list("abcdefghij"), val_fraction=0)
    images = content["train_data"].reshape(40, *(shape if len(shape) > 1 else (6, 6)))
    if len(shape) < 3:
        images = np.repeat(images[..., None], 3, axis=-1)
    np.testing.assert_array_equal(data.train.images, images)


def test_images_larger_than_the_models_are_resized(tmp_path):
    write(tmp_path / "x.npz", 40, 50, class_names=np.array(list("abcdefghij")))
    assert load(tmp_path / "x.npz").test.images.shape == (20, 32, 32, 3)


def test_class_names(tmp_path):
    path = tmp_path / "x.npz"
    write(path, 4, 4, classes=2)
    with pytest.raises(UserError, match=r"class names missing.*Set --config\.task\.class_names"):
        load(path)
    assert load(path, class_names=("a", "b")).class_names == ("a", "b")
    write(path, 4, 4, classes=2, class_names=np.array(["cat", "dog"]))
    assert load(path).class_names == ("cat", "dog")
    assert all(type(name) is str for name in load(path).class_names)
    assert load(path, class_names=("a", "b")).class_names == ("a", "b")
    with pytest.raises(UserError, match="has 2 classes, but there are 3 class names given by"):
        load(path, class_names=("a", "b", "c"))


def test_labels_out_of_range(tmp_path):
    write(tmp_path / "x.npz", 4, 4, test_target=np.arange(20))
    with pytest.raises(UserError, match=r"10 label.*'test'.*outside 0 \.\. 9"):
        load(tmp_path / "x.npz", class_names=list("abcdefghij"))


def test_the_files_own_validation_split(tmp_path):
    val = {"val_data": np.ones((5, 4, 4), np.uint8), "val_target": np.full(5, 3, np.uint8)}
    names = {"class_names": np.array(list("abcdefghij"))}
    write(tmp_path / "x.npz", 4, 4, **val, **names)
    read = source.read(NPZ, tmp_path / "x.npz")
    assert [len(read.train), len(read.val), len(read.test)] == [40, 5, 20]
    assert read.val.labels.tolist() == [3] * 5 and read.val[4].image.max() == 1
    data = load(tmp_path / "x.npz", val_fraction=0.5)  # Has no effect.
    assert [len(data.train), len(data.val), len(data.test)] == [40, 5, 20]
    write(tmp_path / "x.npz", 4, 5, **val, **names)  # Splits may have sizes of their own.
    assert load(tmp_path / "x.npz").val.images.shape == (5, 32, 32, 3)
    write(tmp_path / "x.npz", 4, 4, val_data=val["val_data"])
    with pytest.raises(UserError, match="has val_data but no val_target"):
        source.read(NPZ, tmp_path / "x.npz")


def test_what_is_known_without_reading(tmp_path):
    content = write(tmp_path / "x.npz", 6, 9, test_target=np.arange(20, dtype=np.uint8)[::-1])
    read = source.read(NPZ, tmp_path / "x.npz")
    assert read.train.shape == read.test.shape == (6, 9, 3) and not read.upright
    np.testing.assert_array_equal(read.test.labels, content["test_target"])
    assert read.test.labels.dtype == np.int64
    write(tmp_path / "y.npz", 36)
    assert source.read(NPZ, tmp_path / "y.npz").test.shape == (6, 6, 3)


def test_the_fingerprint_changes_with_the_file(tmp_path):
    path = tmp_path / "x.npz"
    write(path, 4, 4)
    first = source.read(NPZ, path).fingerprint
    assert first == source.read(NPZ, path).fingerprint
    os.utime(path, ns=(1, 1))
    assert source.read(NPZ, path).fingerprint != first


def save(path, compressed, **content):
    (np.savez_compressed if compressed else np.savez)(path, **content)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (36,)])
def test_how_arrays_lie_in_the_file(tmp_path, compressed, order, shape):
    content = arrays(*shape)
    content["train_data"] = np.asarray(content["train_data"], order=order)
    save(tmp_path / "x.npz", compressed, **content)
    read = source.read(NPZ, tmp_path / "x.npz")
    images = content["train_data"].reshape(40, 6, 6) if len(shape) == 1 else content["train_data"]
    for examples in (read.train, cloudpickle.loads(cloudpickle.dumps(read.train))):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = [e.image for e in pool.map(examples.__getitem__, range(40))]
        grey = images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=-1)
        np.testing.assert_array_equal(found, grey)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_large_file_stays_on_disk(tmp_path, compressed):
    content = {"train_target": np.zeros(2000, int), "test_target": np.zeros(1, int)}
    content["train_data"] = np.zeros((2000, 100, 100, 3), np.uint8)
    content["train_data"][:, 0, 0, 0] = np.arange(2000) % 256
    content["test_data"] = content["train_data"][:1]
    save(tmp_path / "x.npz", compressed, **content)
    del content
    tracemalloc.start()
    train = source.read(NPZ, tmp_path / "x.npz").train
    assert train[1999].image[0, 0, 0] == 1999 % 256
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6  # Of 60 MB.
    assert len(cloudpickle.dumps(train)) < 1e5


def test_no_space_to_decompress(tmp_path, small_disk, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (40, 256, 256), np.uint8)
    save(tmp_path / "x.npz", True, **(arrays(4, 4) | {"train_data": noise}))
    with small_disk("1m") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with pytest.raises(UserError, match=rf"the disk is full: .*x\.npz .* into {disk}"):
            source.read(NPZ, tmp_path / "x.npz")
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_data": None}, r"x\.npz has no test_data; it has: .*train_data"),
        ({"train_target": None, "test_target": None}, "has no train_target, test_target"),
        ({"train_data": np.zeros((40, 4, 4))}, r"train_data in .* float64 .* must be uint8"),
        (
            {"test_data": np.zeros((20, 15), np.uint8)},
            r"test_data in .*\(20, 15\).* \*square\* grey",
        ),
        (
            {"test_data": np.zeros((20, 4, 4, 4), np.uint8)},
            r"\(20, 4, 4, 4\).* must be \[N, h, w\]",
        ),
        ({"test_data": np.zeros(20, np.uint8)}, r"shape \(20,\)"),
        ({"test_data": np.zeros((0, 4, 4), np.uint8)}, "one image or more"),
        ({"test_data": np.zeros((20, 4, 0), np.uint8)}, "of a pixel or more"),
        ({"test_target": np.zeros(20)}, "test_target in .* float64 .* must be integers"),
        ({"test_target": np.zeros(19, np.uint8)}, r"\(19,\); it must be \[20\] as the images"),
        ({"test_target": np.zeros((20, 1), np.uint8)}, r"\(20, 1\); it must be \[20\]"),
        ({"class_names": np.arange(10)}, r"class_names in .* must be texts"),
        ({"class_names": np.array("ab")}, r"class_names in .* must be texts"),
        ({"test_target": np.array([None] * 20)}, r"at test_target: .*holds Python objects"),
    ],
)
def test_unfit_arrays(tmp_path, change, message):
    write(tmp_path / "x.npz", 4, 4, **change)
    with pytest.raises(UserError, match=message):
        source.read(NPZ, tmp_path / "x.npz")


def test_damaged_and_other_files(tmp_path):
    path = tmp_path / "x.npz"
    write(path, 4, 4)
    content = path.read_bytes()
    for damaged in (b"", b"no zip", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"x\.npz is damaged or of another kind; .*train_data"):
            source.read(NPZ, path)
    for name in ("train_data", "test_data", "test_target"):
        middle = content.index(f"{name}.npy".encode()) + 200
        path.write_bytes(content[:middle] + bytes([7] * 50) + content[middle + 50 :])
        with pytest.raises(UserError, match=rf"x\.npz cannot be read, at {name}: BadZipFile"):
            source.read(NPZ, path)
    with zipfile.ZipFile(path, "w") as archive, np.load(io.BytesIO(content)) as whole:
        for name in whole.files:
            buffer = io.BytesIO()
            np.save(buffer, whole[name])
            archive.writestr(
                f"{name}.npy", buffer.getvalue()[: -1 if name == "test_data" else None]
            )
    with pytest.raises(UserError, match="at test_data: .*more or less of it than it says"):
        source.read(NPZ, path)
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(UserError, match="of another kind"):
        source.read(NPZ, tmp_path / "x.npy")


def test_the_users_own_file_must_be_named(tmp_path):
    with pytest.raises(UserError, match=r"'npz' is about your own data: .*data_dir=PATH, an \.npz"):
        source.read(NPZ)
    with pytest.raises(UserError, match=r"is a folder, and the task 'npz' reads one file"):
        source.read(NPZ, tmp_path)
    with pytest.raises(UserError, match=r"none\.npz, which is not there"):
        source.read(NPZ, tmp_path / "none.npz")


def test_examples_by_index(tmp_path):
    write(tmp_path / "x.npz", 4, 4)
    examples = source.read(NPZ, tmp_path / "x.npz").test
    assert len(list(examples)) == len(examples) == 20 and examples.split == "test"
    for index in (-1, 20):
        with pytest.raises(IndexError, match="test has 20 examples"):
            examples[index]
