"""Names of classes from a file of the user: read as `classes.txt` is, whatever the dataset."""

from __future__ import annotations

import numpy as np
import pytest
from fake_files import classes, write_folder

from vp_jax.data import tasks
from vp_jax.data.sources import class_names, source
from vp_jax.errors import UserError

FOLDER, NPZ = tasks.get("folder"), tasks.get("npz")
NAMES = ("tench", "goldfish", "great white shark")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = classes("n01 n02 n03") | {"classes.txt": b"x\ny\nz"}
    return source.read(FOLDER, write_folder(tmp_path_factory.mktemp("f") / "x", made))


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    path = tmp_path_factory.mktemp("a") / "x.npz"
    images, target = np.zeros((6, 4, 4), np.uint8), np.arange(6) % 3
    np.savez(path, train_data=images, train_target=target, test_data=images, test_target=target)
    return source.read(NPZ, path)


def read(read_from, path, text):
    path.write_bytes(text.encode())
    task = FOLDER if read_from.class_names else NPZ
    return class_names.resolve(task, read_from, path)


@pytest.mark.parametrize("line", ["{n}", "{i}: {n}", "{i},{n}", "{i}\t{n}", '"{n}"'])
@pytest.mark.parametrize("form", ["{}", "\ufeff{}\r\n"])
def test_forms(folder, arrays, tmp_path, line, form):
    lines = [line.format(i=i, n=name) for i, name in enumerate(NAMES)]
    for read_from in (folder, arrays):
        assert read(read_from, tmp_path / "names.txt", form.format("\n".join(lines))) == NAMES


def test_names_by_the_folders(folder, tmp_path):
    text = "n03: great white shark\nn01: tench\nn02: goldfish"
    assert read(folder, tmp_path / "names.txt", text) == NAMES


@pytest.mark.parametrize("line", ["{i} {n}", "{n} {i}", "{n},{i}", "n0{j} {n}"])
def test_what_is_ambiguous_is_refused(folder, tmp_path, line):
    lines = [line.format(i=i, j=i + 1, n=name) for i, name in enumerate(NAMES)]
    with pytest.raises(UserError, match=r"every line of .*names\.txt"):
        read(folder, tmp_path / "names.txt", "\n".join(lines))


def test_too_few(folder, tmp_path):
    with pytest.raises(
        UserError, match=r"has 3 classes, but there are 2 class names in .*names\.txt"
    ):
        read(folder, tmp_path / "names.txt", "a\nb")


def test_no_such_file(folder, tmp_path):
    with pytest.raises(UserError, match=r"none\.txt cannot be read"):
        class_names.resolve(FOLDER, folder, tmp_path / "none.txt")
