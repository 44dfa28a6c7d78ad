"""`python -m vp_jax.data`: lists, explains, prepares, and refuses in one sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import fake_tfds
import pytest

from vp_jax.data import __main__ as command
from vp_jax.data import catalog, tasks
from vp_jax.data.sources import source
from vp_jax.data.tasks.task import Coop, Task
from vp_jax.errors import UserError


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "vp_jax.data", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | env,
    )


def test_list():
    process = run("list")
    assert process.returncode == 0, process.stderr
    header, _, *lines = process.stdout.splitlines()
    assert header.split() == list(catalog.HEADERS)
    assert [line.split()[0] for line in lines] == list(tasks.names())
    line = next(line for line in lines if line.startswith("sun397"))
    cells = (
        "sun397  397  19,850  held out  19,850  accuracy  tfds sun397/standard-part1-120k  39.1 GB"
    )
    assert re.split(r" {2,}", line) == cells.split("  ")


@pytest.mark.slow
def test_info(tmp_path):
    process = run("info", "oxford_iiit_pet", f"--data_dir={tmp_path}")
    assert process.returncode == 0, process.stderr
    text = " ".join(process.stdout.split())
    for part in (
        "oxford_pets, also oxford_iiit_pet",
        "CC BY-SA 4.0",
        "811.1 MB",
        "mean_per_class",
        "train 3,680, val held out of it, test 3,669",
        "train 2,944, val 736, test 3,669, 37 classes, scored by accuracy",
        "split_zhou_OxfordPets.json",
        "oxford_iiit_pet, not prepared",
        "Abyssinian, american bulldog,",
    ):
        assert part in text, part
    assert str(tmp_path) in process.stdout
    assert all(len(line) <= 100 or "/" in line for line in process.stdout.splitlines())


@pytest.mark.slow
def test_prepare(tmp_path):
    process = run("prepare", "digits", TFDS_DATA_DIR=str(tmp_path))
    assert process.returncode == 0, process.stderr
    rows = [line.split() for line in process.stdout.splitlines()]
    assert ["train", "train", "1,297", "1,297"] in rows and ["test", "test", "500", "500"] in rows
    assert f"digits is prepared in {tmp_path}/vp_digits/1.0.0" in process.stdout
    assert "not those declared" not in process.stdout
    assert len(source.read(tasks.get("digits"), tmp_path).test) == 500


@pytest.mark.slow
def test_help():
    process = run("--help")
    assert process.returncode == 0
    assert "python -m vp_jax.data info svhn" in process.stdout and "--manual_dir" in process.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("info", "cifar-100"), ["unknown task 'cifar-100'", "'cifar100'"]),
        (("prepare", "usps"), ["'usps' reads your own files", "Put usps.npz"]),
        (("info", "svhn", "--data_dri=x"), ["data_dri"]),
    ],
)
def test_mistakes(arguments, parts):
    process = run(*arguments)
    assert process.returncode == 2 and process.stderr.startswith("error: ")
    assert "Traceback" not in process.stderr and not process.stdout
    for part in parts:
        assert part in process.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no command given: list, info NAME or prepare NAME"),
        (("show", "svhn"), r"unknown command 'show' \(valid: info, list, prepare\)"),
        (("info",), "info takes the name of one task: info NAME; 0 were given"),
        (("prepare", "svhn", "dtd"), "prepare takes the name of one task: .*; 2 were given"),
        (("list", "svhn"), "list takes no name; 1 were given"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises(UserError, match=message):
        command._checked(words)


@pytest.mark.slow
def test_prepare_says_which_file_to_put_where(tmp_path):
    process = run("prepare", "fmow", f"--data_dir={tmp_path}", f"--manual_dir={tmp_path}/files")
    assert process.returncode == 2 and "Traceback" not in process.stderr
    assert f"into {tmp_path}/files" in process.stderr
    assert f"prepare fmow --data_dir={tmp_path} --manual_dir={tmp_path}/files" in process.stderr


def facts(task, root):
    return dict(catalog.facts(task, root))


def test_facts_say_whether_it_is_there(tmp_path):
    splits = {s: fake_tfds.random_split(2, 2) for s in ("train", "test")}
    fake_tfds.make(tmp_path, "cifar10", splits, num_classes=10)
    assert facts(tasks.get("cifar10"), tmp_path)["looked for"] == (
        f"{tmp_path}/cifar10/1.0.0, prepared"
    )
    assert facts(tasks.get("cifar10_corrupted"), tmp_path)["looked for"] == (
        f"{tmp_path}/cifar10/1.0.0, prepared; "
        f"{tmp_path}/cifar10_corrupted/brightness_1, not prepared"
    )
    assert facts(tasks.get("usps"), tmp_path)["looked for"].endswith("usps.npz, which is not there")
    (tmp_path / "usps.npz").touch()
    assert facts(tasks.get("usps"), tmp_path)["looked for"].endswith("usps.npz, which is there")
    assert facts(tasks.get("dtd"), tmp_path)["coop files"].endswith(".json, not there")
    (tmp_path / "dtd").mkdir()
    (tmp_path / "dtd/split_zhou_DescribableTextures.json").touch()
    assert facts(tasks.get("dtd"), tmp_path)["coop files"] == f"{tmp_path}/dtd, there"
    assert "coop" not in facts(tasks.get("svhn"), tmp_path)


def test_facts_of_all_tasks(tmp_path):
    for name in tasks.names():
        known = facts(tasks.get(name), tmp_path)
        assert all(known.values()) and {"metric", "licence", "splits", "convention"} <= set(known)
    assert facts(tasks.get("fmow"), tmp_path)["metric"] == (
        "worst_group_accuracy, the groups by 'region'"
    )
    assert facts(tasks.get("imagenet_r"), tmp_path)["splits"] == (
        "train and val: none, test 30,000"
    )
    assert facts(tasks.get("eurosat"), tmp_path)["splits"] == (
        "train 21,600 (train[:80%]), val held out of it, test 5,400 (train[80%:])"
    )
    assert "train 76,863, val 19,915" in facts(tasks.get("fmow"), tmp_path)["splits"]


def test_rows():
    task = Task("x", "x", val="v", sizes={"train": 1234, "val": 5, "test": 6}, num_classes=2)
    assert catalog.row(task) == ("x", "2", "1,234", "5", "6", "accuracy", "tfds x", "-")
    coop = Task("y", format="coop", coop=Coop("y", "", "y.json", 2, (1, 2, 3)), sizes={"val": 2})
    assert catalog.row(coop)[3] == "2" and catalog.row(coop)[6] == "CoOp's files"


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (999, "999 B"), (1000, "1.0 kB"), (168_513_733, "168.5 MB"), (10**10, "10.0 GB")],
)
def test_bytes(count, text):
    assert catalog.bytes_text(count) == text
