"""The script of the mappings' tables: its settings exist, its tables say what the runs gave."""

import pathlib

import mappings
import pytest

from vp_jax import config
from vp_jax.assembly.checks import check


@pytest.mark.parametrize("study", ["usps", "folder"])
def test_every_run_has_valid_settings(study):
    planned = list(mappings.plan(study, (1, 10)))
    assert len({(run.name, run.epochs) for run in planned}) == len(planned)
    for run in planned:
        made = mappings.make_config(study, run, "data", "weights", 3, pathlib.Path("runs"))
        check(made)
        assert (made.seed, made.epochs) == (3, run.epochs)
        assert made.keys() == config.default().keys()
    assert sum(run.name == "LP" for run in planned) == 1


def test_changes_of_one_setting_change_it():
    for name, settings in mappings.CHANGES.items():
        shared = mappings.SHARED["usps"]
        default = config.default()
        for key, value in settings.items():
            before = shared.get(key)
            if before is None:
                before = default
                for part in key.split("."):
                    before = before[part]
            assert value != before, (name, key)


def test_the_table_has_a_row_a_method_and_a_column_a_number_of_epochs():
    results = {}
    for i, run in enumerate(mappings.plan("folder", (1, 10))):
        results[run.name, run.epochs] = {
            "test_accuracy": i / 100,
            "zero_shot_test_accuracy": None if run.name == "LP" else 0.5,
            "trainable_parameters": 1234,
        }
    lines = mappings.main_table("folder", (1, 10), results).splitlines()
    assert lines[0].split() == ["method", "trained", "untrained", "epoch", "1", "epoch", "10"]
    assert len(lines) == 2 + len(mappings.METHODS["folder"])
    assert lines[2].split() == ["first_k", "1,234", "50.0", "%", "0.0", "%", "1.0", "%"]
    assert lines[-1].split() == ["LP", "1,234", "-", "-", "8.0", "%"]


def test_subset_takes_the_first_of_every_class(tmp_path):
    import io
    import tarfile

    import subset

    archive = tmp_path / "all.tar.xz"
    with tarfile.open(archive, "w:xz") as file:
        for split in ("train", "test", "extra"):
            for label in ("cat", "dog"):
                for number in range(5):
                    info = tarfile.TarInfo(f"./{split}/{label}/{number}.jpg")
                    info.size = 1
                    file.addfile(info, io.BytesIO(str(number).encode()))
    out = tmp_path / "out"
    assert subset.copy_first(archive, out, {"train": 3, "test": 2}) == 10
    found = {str(p.relative_to(out)): p.read_text() for p in out.rglob("*") if p.is_file()}
    assert found == {
        f"{split}/{label}/{i}.jpg": str(i)
        for split, count in (("train", 3), ("test", 2))
        for label in ("cat", "dog")
        for i in range(count)
    }
