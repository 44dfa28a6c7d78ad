"""The builders of WILDS's datasets: splits, labels and domains, and refusals; no TensorFlow."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import fake_archives
import numpy as np
import pytest
import tensorflow_datasets as tfds

from vp_jax.data.builders import wilds
from vp_jax.data.builders.camelyon17 import Camelyon17
from vp_jax.data.builders.fmow import CATEGORIES, REGIONS, FMoW
from vp_jax.data.builders.iwildcam import IWildCam
from vp_jax.errors import UserError

DATASETS = {
    Camelyon17: (fake_archives.camelyon17, fake_archives.CAMELYON17_SPLITS, ("label", "hospital")),
    FMoW: (fake_archives.fmow, fake_archives.FMOW_SPLITS, ("label", "region", "year")),
    IWildCam: (fake_archives.iwildcam, fake_archives.IWILDCAM_SPLITS, ("label", "location")),
}
every_dataset = pytest.mark.parametrize("dataset", DATASETS, ids=lambda d: d.name)


def prepare(dataset, tmp_path, manual_dir, **settings):
    builder = dataset(data_dir=tmp_path / "data", file_format="array_record", **settings)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    return builder


def contents(builder, keys):
    """For each split the files in it with their features, and their bytes by name."""
    splits, images = {}, {}
    for split in builder.info.splits:
        records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        assert len(records) == builder.info.splits[split].num_examples
        splits[split] = {}
        for record in records:
            name = record["file_name"].decode()
            assert name not in images
            splits[split][name] = tuple(int(record[key]) for key in keys)
            images[name] = bytes(record["image"])
    return splits, images


def refused(dataset, tmp_path, files, match):
    fake_archives.make(files, tmp_path / dataset.FOLDER)
    with pytest.raises(UserError, match=match) as caught:
        prepare(dataset, tmp_path, tmp_path)
    assert not list((tmp_path / "data").rglob("dataset_info.json"))
    return str(caught.value)


@every_dataset
def test_extracted_archive(dataset, tmp_path):
    make, expected, keys = DATASETS[dataset]
    fake_archives.make(make(), tmp_path / dataset.FOLDER)
    builder = prepare(dataset, tmp_path, tmp_path)
    splits, images = contents(builder, keys)
    assert splits == expected
    assert images == {name: make()[name] for split in expected.values() for name in split}


@every_dataset
@pytest.mark.parametrize(("suffix", "prefix"), [(".tar.gz", "./"), (".tgz", "TOP/"), (".tar", "")])
def test_packed_archive(dataset, suffix, prefix, tmp_path):
    make, expected, keys = DATASETS[dataset]
    prefix = prefix.replace("TOP", dataset.FOLDER)
    files = {prefix + name: content for name, content in make().items()}
    fake_archives.pack(files, tmp_path / "fetched" / (dataset.FOLDER + suffix))
    builder = prepare(dataset, tmp_path, tmp_path / "fetched")
    splits, images = contents(builder, keys)
    assert splits == expected
    assert all(images[name] == make()[name] for name in images)
    assert [path.name for path in (tmp_path / "fetched").iterdir()] == [dataset.FOLDER + suffix]


@every_dataset
def test_order_does_not_depend_on_how_it_is_packed(dataset, tmp_path):
    make, _, _ = DATASETS[dataset]
    fake_archives.make(make(), tmp_path / "folder" / dataset.FOLDER)
    backwards = dict(reversed(make().items()))
    fake_archives.pack(backwards, tmp_path / "packed" / f"{dataset.FOLDER}.tar")
    orders = [
        [r["file_name"] for r in prepare(dataset, path, path).as_data_source("train")]
        for path in (tmp_path / "folder", tmp_path / "packed")
    ]
    assert orders[0] == orders[1]


@every_dataset
def test_manual_folder_that_is_the_archive(dataset, tmp_path):
    make, expected, keys = DATASETS[dataset]
    folder = fake_archives.make(make(), tmp_path / "any name")
    assert contents(prepare(dataset, tmp_path, folder), keys)[0] == expected


def test_images_decode_without_tensorflow(tmp_path):
    fake_archives.make(fake_archives.camelyon17(), tmp_path / Camelyon17.FOLDER)
    for record in prepare(Camelyon17, tmp_path, tmp_path).as_data_source("test"):
        assert record["image"].shape == (6, 8, 3) and record["image"].dtype == np.uint8


def test_features(tmp_path):
    features = FMoW(data_dir=tmp_path).info.features
    assert features["label"].num_classes == len(CATEGORIES) == 62
    assert features["label"].int2str(30) == "multi-unit_residential"
    assert tuple(features["region"].names) == REGIONS
    assert IWildCam(data_dir=tmp_path).info.features["label"].num_classes == 182
    features = Camelyon17(data_dir=tmp_path).info.features
    assert features["label"].names == ["normal", "tumor"]
    assert features["hospital"].num_classes == 5


def test_the_table_may_name_hospitals_of_the_test_as_anything(tmp_path):
    """As in WILDS, the hospital decides, and 2 and 3 in the column are test and val."""
    files = fake_archives.camelyon17()
    table = fake_archives.CAMELYON17.replace(",12,1,0", ",12,1,9").replace(",46,4,0", ",46,4,2")
    files["metadata.csv"] = table.replace(",36,3,1", ",36,3,3")
    fake_archives.make(files, tmp_path / Camelyon17.FOLDER)
    splits, _ = contents(prepare(Camelyon17, tmp_path, tmp_path), ("hospital",))
    assert {name: sorted(h for (h,) in split.values()) for name, split in splits.items()} == {
        "train": [0, 3],
        "id_val": [0],
        "val": [1, 1, 3],
        "test": [2, 2, 4],
    }


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    files = fake_archives.iwildcam()
    files["metadata.csv"] = "\ufeff" + files["metadata.csv"].replace("\n", "\r\n")
    fake_archives.make(files, tmp_path / IWildCam.FOLDER)
    splits, _ = contents(prepare(IWildCam, tmp_path, tmp_path), ("label", "location"))
    assert splits == fake_archives.IWILDCAM_SPLITS


@every_dataset
def test_missing_columns(dataset, tmp_path):
    make, _, _ = DATASETS[dataset]
    files = make()
    files[dataset.TABLE] = files[dataset.TABLE].replace("split", "part", 1)
    table = re.escape(str(tmp_path / dataset.FOLDER / dataset.TABLE))
    refused(dataset, tmp_path, files, rf"{table} has no column 'split'; it has: .*part")


@pytest.mark.parametrize(
    ("dataset", "gone", "line"),
    [
        (Camelyon17, "patches/patient_061_node_0/patch_patient_061_node_0_x_512_y_512.png", 8),
        (FMoW, "images/rgb_img_9.png", 11),
        (IWildCam, "train/c4.jpg", 5),
    ],
)
def test_missing_images(dataset, gone, line, tmp_path):
    make, expected, _ = DATASETS[dataset]
    files = make()
    del files[gone]
    total = sum(map(len, expected.values()))
    message = refused(dataset, tmp_path, files, f"1 of {total} images are not in")
    assert f"the first is {gone} in line {line} of {dataset.TABLE}" in message


@every_dataset
def test_empty_and_missing_tables(dataset, tmp_path):
    make, _, _ = DATASETS[dataset]
    files = make()
    header = files[dataset.TABLE].splitlines()[0]
    refused(dataset, tmp_path / "a", files | {dataset.TABLE: header}, "no image of the split")
    refused(dataset, tmp_path / "b", files | {dataset.TABLE: ""}, "it has: none")
    del files[dataset.TABLE]
    refused(dataset, tmp_path / "c", files, f"has no {dataset.TABLE}: it is no official archive")


@every_dataset
def test_nothing_there(dataset, tmp_path):
    with pytest.raises(UserError, match=rf"does not exist or is empty\n.*{dataset.FOLDER}"):
        prepare(dataset, tmp_path, tmp_path / "nowhere")
    (tmp_path / "other.txt").touch()
    with pytest.raises(
        UserError, match=rf"is no {dataset.FOLDER} and no .* in /.*\n.*codalab.*manual"
    ):
        prepare(dataset, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("dataset", "old", "new", "match"),
    [
        (Camelyon17, ",46,4,0", ",46,5,0", "line 10 of .*'center' is '5'.* from 0 to 4"),
        (Camelyon17, ",46,4,0", ",46,4,4", "line 10 of .*'split' is '4'.* from 0 to 3"),
        (Camelyon17, ",1,46,4,0", ",2,46,4,0", "line 10 of .*'tumor' is '2'"),
        (Camelyon17, ",1,46,4,0", ",0.5,46,4,0", "line 10 of .*'tumor' is '0.5'"),
        (Camelyon17, ",1,46,4,0", ",nan,46,4,0", "line 10 of .*'tumor' is 'nan'"),
        (Camelyon17, ",46,4,0", ",46", "line 10 of .*fewer cells"),
        (FMoW, "val,f_", "valid,f_", "unknown split in line 7 of .*'valid'; did you mean 'val'"),
        (FMoW, "dam,NGA", "damn,NGA", "unknown category in line 6 of .*'damn'.*'dam'"),
        (FMoW, "2015-12-31T23", "yesterday", "line 6 of .*'timestamp' is 'yesterday"),
        (IWildCam, ",val,", ",train2,", "unknown split in line 8 of .*'train2'"),
        (IWildCam, ",181,571", ",182,571", "line 4 of .*'y' is '182', no whole number from 0 to"),
        (IWildCam, ",322,340", ",-1,340", "line 7 of .*'location_remapped' is '-1'"),
        (IWildCam, ",val,0,3", ",train,0,3", "no image of the split 'val'"),
    ],
)
def test_bad_lines(dataset, old, new, match, tmp_path):
    make, _, _ = DATASETS[dataset]
    files = make()
    assert files[dataset.TABLE].count(old) == 1
    files[dataset.TABLE] = files[dataset.TABLE].replace(old, new)
    refused(dataset, tmp_path, files, match)


def test_an_image_that_two_lines_name_is_two_examples(tmp_path):
    files = fake_archives.iwildcam()
    files["metadata.csv"] = files["metadata.csv"].replace("a2.jpg", "a1.jpg")
    fake_archives.make(files, tmp_path / IWildCam.FOLDER)
    records = prepare(IWildCam, tmp_path, tmp_path).as_data_source("train")
    assert sorted((r["file_name"], int(r["label"])) for r in records) == [
        (b"train/a1.jpg", 0),
        (b"train/a1.jpg", 1),
    ]


def test_not_utf8(tmp_path):
    files = fake_archives.iwildcam()
    files["metadata.csv"] = files["metadata.csv"].encode().replace(b"d4.jpg", b"\xff4.jpg")
    refused(IWildCam, tmp_path, files, "metadata.csv cannot be read as CSV in UTF-8")


def test_countries(tmp_path):
    files = fake_archives.fmow()
    countries = files.pop("country_code_mapping.csv")
    refused(FMoW, tmp_path / "a", files, "country_code_mapping.csv is missing")
    files["country_code_mapping.csv"] = countries.replace("Oceania,Aus", "Oceanic,Aus")
    match = r"unknown region of AUS, the country in line 7 of .*rgb_metadata.csv: 'Oceanic'"
    refused(FMoW, tmp_path / "b", files, match)


def test_damaged_archive(tmp_path):
    path = fake_archives.pack(fake_archives.camelyon17(), tmp_path / "camelyon17_v1.0.tar.gz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="camelyon17_v1.0.tar.gz cannot be read"):
        prepare(Camelyon17, tmp_path, tmp_path)


def test_large_splits_need_tensorflow(tmp_path, monkeypatch):
    fake_archives.make(fake_archives.camelyon17(), tmp_path / "a" / Camelyon17.FOLDER)
    packed = fake_archives.camelyon17()
    fake_archives.pack(packed, tmp_path / "b" / f"{Camelyon17.FOLDER}.tar")
    largest = sum(len(packed[name]) for name in fake_archives.CAMELYON17_SPLITS["train"])
    monkeypatch.setattr(wilds.importlib.util, "find_spec", lambda name: None)
    for place in ("a", "b"):
        monkeypatch.setattr(wilds, "_IN_MEMORY", largest - 1)
        with pytest.raises(UserError, match=r"without TensorFlow: pip install 'vp_jax\[data\]'"):
            prepare(Camelyon17, tmp_path / place, tmp_path / place)
        monkeypatch.setattr(wilds, "_IN_MEMORY", largest)
        prepare(Camelyon17, tmp_path / place, tmp_path / place)


def test_limit_is_that_of_tfds():
    from tensorflow_datasets.core import shuffle

    assert wilds._IN_MEMORY == shuffle.MAX_MEM_BUFFER_SIZE


@pytest.mark.slow
def test_neither_preparing_nor_reading_loads_tensorflow(tmp_path):
    fake_archives.make(fake_archives.fmow(), tmp_path / FMoW.FOLDER)
    code = f"""
        import sys
        import tensorflow_datasets as tfds
        from vp_jax.data.builders.fmow import FMoW
        builder = FMoW(data_dir={str(tmp_path / "data")!r}, file_format="array_record")
        config = tfds.download.DownloadConfig(manual_dir={str(tmp_path)!r})
        builder.download_and_prepare(download_config=config)
        assert len(builder.as_data_source("test")) == 3
        assert builder.as_data_source("val")[0]["image"].shape == (6, 8, 3)
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
