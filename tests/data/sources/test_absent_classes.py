"""A class that a split has no image of is kept and named, alike for folders, CSVs and arrays."""

from __future__ import annotations

import numpy as np
import pytest
from absl import logging
from fake_files import classes, write_archive, write_folder

from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.load import load_task
from vp_jax.errors import UserError

BROKEN = b"no image"


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: found.append(text % args))
    return found


def load(path, task="folder", **more):
    rule = ResizeRule(16)
    return load_task(task, data_dir=path, resize=rule, progress=False, **more)


def files(train="cat dog emu", val="cat dog emu", test="cat dog emu"):
    named = {"train": train, "val": val, "test": test}
    made = {}
    for i, (split, names) in enumerate(named.items()):
        made |= classes(names, 2, under=f"{split}/", first=1000 * i)
    return made


def as_csv(root, made):
    lines = [f"{path},{path.split('/')[1]},{path.split('/')[0]}" for path in made]
    write_folder(root, {**made, "labels.csv": "\n".join(["path,label,split", *lines]).encode()})
    return root / "labels.csv"


FORMS = {
    "folder": lambda tmp, made: write_folder(tmp / "x", made),
    "archive": lambda tmp, made: write_archive(tmp / "x.zip", made),
    "csv": lambda tmp, made: as_csv(tmp / "x", made),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_a_split_lacks(tmp_path, warnings, form, split):
    path = FORMS[form](tmp_path, files(**{split: "cat emu"}))
    data = load(path)
    assert data.class_names == ("cat", "dog", "emu")
    assert set(getattr(data, split).labels) == {0, 2} and set(data.train.labels) == {0, 1, 2}
    assert warnings == [
        f"{split} of 'folder' has no image of the class 'dog'; its scores say nothing about what "
        "is missing"
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_train_lacks_is_refused(tmp_path, form, split):
    path = FORMS[form](tmp_path, files(**{split: "cat dog emu fox"}))
    with pytest.raises(UserError, match=rf"({split} has fox|'fox' in {split})"):
        load(path)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_said_of_whole_splits(tmp_path, warnings, form):
    load(FORMS[form](tmp_path, files()))
    assert not warnings


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pipeline", ["resident", "cached", "stream"])
def test_a_class_that_lost_all_images_is_named(tmp_path, warnings, form, pipeline):
    made = files()
    for path in made:
        if path.startswith(("train/dog", "test/dog", "test/emu")):
            made[path] = BROKEN
    path = FORMS[form](tmp_path, made)
    for _ in range(2):  # The second time they are in the cache.
        warnings.clear()
        data = load(path, skip_corrupt=True, pipeline=pipeline, cache_dir=tmp_path / "cache")
        assert data.skipped == 6 and data.class_names == ("cat", "dog", "emu")
        lost = [text for text in warnings if "lost all" in text]
        assert lost == [
            "train of 'folder' has lost all images of the class 'dog': they are corrupt and were "
            "left out; nothing is learned about what is missing",
            "test of 'folder' has lost all images of 2 of 3 classes ('dog', 'emu'): they are "
            "corrupt and were left out; its scores say nothing about what is missing",
        ]


def test_a_class_too_small_to_be_tested(tmp_path, warnings):
    made = classes("cat dog", 10) | classes("emu", 1, first=500)
    assert 2 not in load(write_folder(tmp_path / "x", made)).test.labels
    assert len(warnings) == 1 and "test of 'folder' has no image of the class 'emu'" in warnings[0]


def test_arrays(tmp_path, warnings):
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4), np.uint8)
    target = np.arange(20) % 4
    np.savez(
        tmp_path / "x.npz",
        train_data=images,
        train_target=np.where(target == 3, 0, target),
        test_data=images,
        test_target=np.where(target == 3, 0, target),
        class_names=np.array(["a", "b", "c", "d"]),
    )
    load(tmp_path / "x.npz", "npz")
    assert [text.split(";")[0] for text in warnings] == [
        "train of 'npz' has no image of the class 'd'",
        "test of 'npz' has no image of the class 'd'",
    ]
