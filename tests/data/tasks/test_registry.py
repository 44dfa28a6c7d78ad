"""The registry of tasks: complete, true to tfds, and in agreement with its documentation."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import pickle
import re
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vp_jax import heads
from vp_jax.data import catalog, tasks
from vp_jax.data.builders import prepare
from vp_jax.data.sources import download
from vp_jax.data.tasks import Task
from vp_jax.data.tasks.tables import further, imagenet_subsets
from vp_jax.data.tasks.tables.paper import clevr_count
from vp_jax.errors import UserError

DOCUMENT = pathlib.Path(__file__).parents[3] / "docs" / "datasets.md"
PAPER = (
    *("cifar100", "cifar10", "flowers102", "food101", "eurosat", "sun397", "ucf101", "svhn"),
    *("oxford_pets", "dtd", "resisc45", "clevr"),
)
WILDS = ("camelyon17", "fmow", "iwildcam")
ONLY_TEST = ("imagenet_r", "imagenet_a", "imagenet_sketch")
FURTHER = ("gtsrb", "stanford_cars", "imagenet", "caltech101", "cifar10_corrupted", *ONLY_TEST)
OWN_DATA = ("npz", "folder")
OF_TFDS = [
    (name, tfds_name)
    for name in tasks.names()
    for tfds_name in tasks.get(name).tfds_names
    if not download.is_ours(tfds_name)
]
COOP_SIZES = {
    "flowers102": (4093, 2463),
    "dtd": (2820, 1692),
    "ucf101": (7639, 3783),
    "food101": (50500, 30300),
    "sun397": (15880, 19850),
    "eurosat": (13500, 8100),
    "oxford_pets": (2944, 3669),
    "caltech101": (4128, 2465),
    "stanford_cars": (6509, 8041),
}


def test_names():
    assert set(tasks.names()) == {*PAPER, *WILDS, *FURTHER, "digits", "usps", *OWN_DATA}
    for name in tasks.names():
        assert tasks.get(name).name == name


@pytest.mark.parametrize("name", [n for n in tasks.names() if n not in OWN_DATA])
def test_every_fact_is_there(name):
    task = tasks.get(name)
    assert task.licence and task.notes and task.homepage.startswith("http")
    assert len(task.class_names) == task.num_classes >= 2
    assert all(n == n.strip() and n and "_" not in n for n in task.class_names)
    splits = {"train": task.train, "val": task.val, "test": task.test}
    assert set(task.sizes) == {s for s, taken in splits.items() if taken} | set(task.extra)
    assert all(size > 0 for size in task.sizes.values())
    assert (task.download_size is None) == (name in ("digits", "usps"))
    is_whole = task.train == "train" and task.test == "test" and task.val is None
    assert task.convention or (is_whole and task.train_tfds_name is None)
    assert pickle.loads(pickle.dumps(task)) == task and hash(task) is not None


@pytest.mark.parametrize("name", [*PAPER, *WILDS, *FURTHER])
def test_names_become_texts(name):
    class_names = tasks.get(name).class_names
    texts = heads.class_texts(class_names)
    assert all(re.fullmatch(r"This is a photo of a [^_\n]*[^_\s]", text) for text in texts)
    twice = {"iwildcam": 4, "imagenet": 2, "imagenet_sketch": 2}
    assert len(texts) - len(set(texts)) == twice.get(name, 0)


def test_metrics():
    metrics = {name: tasks.get(name).metric for name in tasks.names()}
    per_class = {"flowers102", "oxford_pets", "caltech101"}
    assert {name for name, metric in metrics.items() if metric == "mean_per_class"} == per_class
    assert metrics["iwildcam"] == "macro_f1" and metrics["fmow"] == "worst_group_accuracy"
    assert metrics["camelyon17"] == metrics["svhn"] == "accuracy"
    assert tasks.get("fmow").group_key == "region"


def test_wilds_train_on_other_domains_than_they_test():
    for name in WILDS:
        task = tasks.get(name)
        assert (task.train, task.val, task.test) == ("train", "val", "test") and task.group_key
        assert "id_val" in task.extra and task.tfds_name == f"vp_{name}"
    assert tasks.get("fmow").extra == tasks.get("iwildcam").extra == ("id_val", "id_test")
    assert sum(tasks.get("camelyon17").sizes.values()) == 455_954
    assert sum(tasks.get("fmow").sizes.values()) == 141_696
    assert sum(tasks.get("iwildcam").sizes.values()) == 203_029


def test_conventions_name_their_source():
    for name in ("eurosat", "resisc45", "clevr"):
        assert "VTAB (arXiv 1910.04867)" in tasks.get(name).convention
    for name in ("eurosat", "resisc45"):
        task = tasks.get(name)
        assert (task.train, task.test) == ("train[:80%]", "train[80%:]")
        assert task.sizes["train"] == 4 * task.sizes["test"]
    assert tasks.get("food101").test == tasks.get("clevr").test == "validation"
    assert tasks.get("dtd").train == tasks.get("flowers102").train == "train+validation"


def test_some_class_names():
    assert tasks.get("digits").class_names[3] == "three"
    assert tasks.get("usps").class_names == tasks.get("digits").class_names
    assert tasks.get("svhn").class_names[3] == "3"
    assert tasks.get("clevr").class_names[0] == "3 objects"
    assert tasks.get("clevr").class_names[7] == "10 objects"
    assert tasks.get("cifar100").class_names[:2] == ("apple", "aquarium fish")
    assert tasks.get("cifar100").class_names[99] == "worm"
    assert tasks.get("eurosat").class_names[0] == "annual crop land"
    assert tasks.get("camelyon17").class_names[1].startswith("lymph node containing metastatic")
    assert tasks.get("fmow").class_names[61] == "zoo"
    assert tasks.get("iwildcam").class_names[0] == "empty"
    assert {"abbey", "church indoor", "church outdoor"} <= set(tasks.get("sun397").class_names)


def test_clevr_labels_count_objects():
    for count in (3, 10):
        label = clevr_count({"color": [0] * count, "shape": [0] * count})
        assert tasks.get("clevr").class_names[label] == f"{count} objects"
    assert clevr_count({"color": []}) < 0  # Which no class has.


def test_the_200_classes_of_imagenet_r_and_a():
    subsets = {
        "imagenet_r": (imagenet_subsets.IMAGENET_R, imagenet_subsets.imagenet_r_label),
        "imagenet_a": (imagenet_subsets.IMAGENET_A, imagenet_subsets.imagenet_a_label),
    }
    names = tasks.get("imagenet").class_names
    for name, (labels, label_of) in subsets.items():
        assert len(labels) == 200 and list(labels) == sorted(set(labels))
        assert [label_of(label) for label in labels] == list(range(200))
        assert {label_of(label) for label in set(range(1000)) - set(labels)} == {-1}
        assert tasks.get(name).class_names == tuple(names[label] for label in labels)
    assert names[:2] == ("tench", "goldfish") and names[-1] == "toilet paper"
    wnids = tfds.builder("imagenet2012").info.features
    wnids = wnids["label"].names
    first = [[wnids[i] for i in labels[:3]] for labels, _ in subsets.values()]
    assert first[0] == ["n01443537", "n01484850", "n01494475"]  # As in the authors' lists.
    assert first[1] == ["n01498041", "n01531178", "n01534433"]


def test_aliases():
    for alias, name in tasks.ALIASES.items():
        assert tasks.get(alias) is tasks.get(name) and alias not in tasks.names()
        assert tasks.get(name).tfds_name == alias


def test_corruptions():
    task = tasks.get("cifar10_corrupted/gaussian_noise_5")
    assert task.name == task.tfds_name == "cifar10_corrupted/gaussian_noise_5"
    assert task.train_tfds_name == "cifar10" and task.tfds_names == ("cifar10", task.tfds_name)
    assert task.class_names == tasks.get("cifar10").class_names
    with pytest.raises(UserError, match="gausian_noise_5.*mean.*gaussian_noise_5"):
        tasks.get("cifar10_corrupted/gausian_noise_5")
    with pytest.raises(UserError, match="unknown task 'cifar10_corrupted/fog_6'"):
        tasks.get("cifar10_corrupted/fog_6")
    configs = tfds.builder_cls("cifar10_corrupted").BUILDER_CONFIGS
    ours = {f"{c}_{severity}" for c in further.CORRUPTIONS for severity in range(1, 6)}
    assert {config.name for config in configs} == ours


def test_only_tests():
    assert tuple(n for n in tasks.names() if tasks.get(n).train is None) == ONLY_TEST
    for name in ONLY_TEST:
        assert "can only be tested on" in tasks.get(name).convention
        assert tasks.get(name).tfds_names == (name,)


def test_coop():
    having = {name for name in tasks.names() if tasks.get(name).coop}
    assert having == set(COOP_SIZES)
    for name, (train, test) in COOP_SIZES.items():
        task = tasks.with_splits(tasks.get(name), "coop")
        assert (task.sizes["train"], task.sizes["test"]) == (train, test)
        assert task.format == "coop" and task.metric == "accuracy" and task.class_names is None
        assert task.coop.file.startswith("split_zhou_") and task.coop.file.endswith(".json")
        assert tasks.with_splits(task, "coop") is task
    assert tasks.with_splits(tasks.get("caltech101"), "coop").num_classes == 100
    assert tasks.with_splits(tasks.get("svhn"), "official") is tasks.get("svhn")
    with pytest.raises(UserError, match="'svhn' is not among those .* flowers102.*oxford_pets"):
        tasks.with_splits(tasks.get("svhn"), "coop")
    with pytest.raises(UserError, match=r"split convention .*'cop'.*'coop'"):
        tasks.with_splits(tasks.get("dtd"), "cop")


def test_bad_tasks():
    with pytest.raises(UserError, match=r"unknown format of the task 'x'.* 'nzp'.*'npz'"):
        Task("x", format="nzp")
    with pytest.raises(UserError, match=r"unknown metric of the task 'x'.* 'acuracy'.*'accuracy'"):
        Task("x", "x", metric="acuracy")
    with pytest.raises(UserError, match="'x' has no tfds_name"):
        Task("x")
    with pytest.raises(UserError, match="'x' is scored by its worst group and has no group_key"):
        Task("x", "x", metric="worst_group_accuracy")
    with pytest.raises(UserError, match=r"cifar-100.*cifar100"):
        tasks.get("cifar-100")


@pytest.mark.parametrize(("name", "tfds_name"), OF_TFDS)
def test_features_in_tfds(name, tfds_name):
    task = tasks.get(name)
    builder = tfds.builder(tfds_name)
    features = builder.info.features
    assert isinstance(features[task.image_key], tfds.features.Image)
    assert task.label_key in features
    if task.label_of is None:
        assert features[task.label_key].num_classes == task.num_classes
    if not task.train_tfds_name:
        assert bool(builder.MANUAL_DOWNLOAD_INSTRUCTIONS) == bool(task.manual)


@pytest.mark.parametrize("name", ["food101", "oxford_pets", "dtd", "resisc45", "stanford_cars"])
def test_names_are_those_of_tfds(name):
    of_tfds = tfds.builder(tasks.get(name).tfds_name).info.features["label"].names
    assert tasks.get(name).class_names == tuple(n.replace("_", " ") for n in of_tfds)


def test_other_names_are_in_the_order_of_tfds():

    def pairs(name):
        of_tfds = tfds.builder(tasks.get(name).tfds_name).info.features["label"].names
        return list(zip(of_tfds, tasks.get(name).class_names, strict=True))

    for theirs, ours in pairs("sun397"):
        assert " ".join(theirs.split("/")[2:]).replace("_", " ") == ours
    differ = [theirs for theirs, ours in pairs("flowers102") if theirs != ours]
    assert differ == ["globe-flower", "pink-yellow dahlia?", "ball moss"]
    differ = [theirs for theirs, ours in pairs("eurosat") if theirs[:5].lower() not in ours]
    assert differ == ["HerbaceousVegetation", "SeaLake"]
    differ = [t for t, ours in pairs("caltech101") if t.replace("_", " ") != ours]
    assert len(differ) == 14 and dict(pairs("caltech101"))["faces_easy"] == "centered face"


@pytest.mark.parametrize(("name", "tfds_name"), OF_TFDS)
def test_download_sizes_are_those_in_tfds(name, tfds_name):
    task = tasks.get(name)
    if name == "resisc45":
        return  # tfds does not download it.
    unused = ("EuroSATallBands", "decathlon-1.0-data-imagenet", "drive.google.com/uc?export=")
    size = sum(
        int(info.size)
        for part in task.tfds_names
        for url, info in tfds.builder(part).url_infos.items()
        if not any(text in url for text in unused)
    )
    assert size == task.download_size


NAMES_FILES = {
    "cifar-100-binary/coarse_label_names.txt": 20,
    "cifar-100-binary/fine_label_names.txt": 100,
    "cifar-10-batches-bin/batches.meta.txt": 10,
    "Training_01.txt": 0,
    "Testing_01.txt": 0,
}
"""Files that builders of tfds open before they name their splits, with lines in each."""


class Downloads:
    """A download manager for which every file lies in one folder."""

    def __init__(self, folder):
        self.manual_dir = self.folder = Anywhere(folder)

    def __getattr__(self, name):
        def download(what=None, *args, **kwargs):
            if isinstance(what, dict):
                return dict.fromkeys(what, self.folder)
            return [self.folder] * len(what) if isinstance(what, list | tuple) else self.folder

        return download


class Anywhere(str):
    """The path of a folder; whatever is looked up in it is the folder again."""

    def __truediv__(self, other):
        return Anywhere(f"{self}/{other}")

    def __getitem__(self, key):
        return str.__getitem__(self, key) if isinstance(key, int | slice) else self


@pytest.mark.parametrize(("name", "tfds_name"), OF_TFDS)
def test_splits_in_tfds(name, tfds_name, tmp_path):
    for file, count in NAMES_FILES.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("".join(f"{i}\n" for i in range(count)))
    for split in ("train", "val"):
        tarfile.open(tmp_path / f"ILSVRC2012_img_{split}.tar", "w").close()
    (tmp_path / "NWPU-RESISC45").mkdir()
    task = tasks.get(name)
    builder = tfds.builder(tfds_name)
    try:
        generators = builder._split_generators(Downloads(tmp_path))
    except ImportError as e:
        pytest.skip(f"tfds's builder needs TensorFlow: {e}")
    if not isinstance(generators, dict):
        generators = {generator.name: generator for generator in generators}
    taken = [task.train] if tfds_name == task.train_tfds_name else [task.test, *task.extra]
    if task.train and not task.train_tfds_name:
        taken.append(task.train)
    for split in re.split(r"\+", "+".join(taken)):
        assert split.partition("[")[0] in map(str, generators)


def test_document_agrees_with_the_registry():
    text = DOCUMENT.read_text()
    lines = [line for line in text.splitlines() if re.match(r"\| `[a-z0-9_]+` \|", line)]
    cells = [[c.strip().strip("`") for c in line.strip("|").split(" | ")] for line in lines]
    table = {row[0]: row for row in cells if len(row) == len(catalog.HEADERS)}
    assert list(table) == list(tasks.names())
    for name in tasks.names():
        assert table[name] == list(catalog.row(tasks.get(name)))
    for name in tasks.names():
        task = tasks.get(name)
        described = next(r for r in cells if r[0] == name and len(r) == 3)
        assert described[1:] == [task.licence, task.convention or "the dataset's own splits"]
    for name in COOP_SIZES:
        task = tasks.get(name)
        row = next(r for r in cells if r[0] == name and len(r) == 5)
        sizes = [f"{size:,}" for size in task.coop.sizes]
        place = f"{task.coop.folder}/{task.coop.images}".rstrip("/")
        assert row[1:] == [*sizes, f"{place}`, `{task.coop.folder}/{task.coop.file}"]
    for alias in tasks.ALIASES:
        assert f"`{alias}`" in text


def test_tasks_can_be_changed():
    task = dataclasses.replace(
        tasks.get("sun397"), tfds_name="sun397/tfds", train="train+validation"
    )
    assert task.train == "train+validation" and task.num_classes == 397


@pytest.mark.parametrize("name", [*WILDS, "ucf101", "digits"])
def test_our_own_builders(name):
    task = tasks.get(name)
    module = prepare.MODULES[task.tfds_name.partition("/")[0]]
    importlib.import_module(f"vp_jax.data.builders.{module}")
    features = tfds.builder(task.tfds_name).info.features
    assert isinstance(features[task.image_key], tfds.features.Image)
    assert features[task.label_key].num_classes == task.num_classes
    assert task.group_key is None or np.issubdtype(features[task.group_key].np_dtype, np.integer)
    if name in ("ucf101", "fmow"):  # The others' names are other words, or numbers.
        of_builder = [re.sub("[^a-z]", "", n.lower()) for n in features[task.label_key].names]
        assert of_builder == [re.sub("[^a-z]", "", n.lower()) for n in task.class_names]
