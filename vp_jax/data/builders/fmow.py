"""The Functional Map of the World of WILDS as a TensorFlow Datasets builder."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from vp_jax.data.builders.wilds import Archive, Image, Row, WildsBuilder, manual_instructions
from vp_jax.data.tasks.tables.names import class_names
from vp_jax.errors import UserError, unknown

CATEGORIES = tuple(name.replace(" ", "_") for name in class_names("fmow"))
"""In the order of WILDS's labels."""

REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania", "Other")
"""In the order of WILDS's numbers."""

VAL_YEAR, TEST_YEAR = 2013, 2016

_COUNTRIES = "country_code_mapping.csv"


class FMoW(WildsBuilder):
    """Of what use is the building or land in a satellite image? The domains are years and regions.

    Of the original training, validation and test parts, training keeps the images before 2013,
    `val` those from 2013 to 2015 and `test` those from 2016 on; `id_val` and `id_test` are what the
    latter two have from before 2013. The rest, and the original part `seq`, belong to no split
    (WILDS's package, `datasets/fmow_dataset.py`). The region is that of the country.
    """

    name = "vp_fmow"
    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.1.0": "WILDS's version 1.1."}
    FOLDER = "fmow_v1.1"
    TABLE = "rgb_metadata.csv"
    MANUAL_DOWNLOAD_INSTRUCTIONS = manual_instructions(
        FOLDER,
        "https://worksheets.codalab.org/rest/bundles/0xaec91eb7c9d548ebb15e1b5e60f966ab"
        "/contents/blob/",
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Satellite images, 224 x 224, of 62 kinds of buildings and land in all "
            "regions of the world, 2002 to 2017.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(),
                    "label": tfds.features.ClassLabel(names=list(CATEGORIES)),
                    "region": tfds.features.ClassLabel(names=list(REGIONS)),
                    "year": tfds.features.Scalar(np.int64),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://wilds.stanford.edu/datasets/#fmow",
            license="FMoW Challenge Public License",
        )

    def _images(self, archive: Archive) -> Iterator[Image]:
        countries = _countries(archive)
        columns = ("split", "category", "country_code", "timestamp")
        for number, row in enumerate(archive.rows(self.TABLE, columns)):
            year = _year(row)
            features = {
                "label": row.choice("category", CATEGORIES),
                "region": _region(row, countries),
                "year": year,
            }
            split = _split(row.choice("split", ("train", "val", "test", "seq")), year)
            yield Image(row.line, f"images/rgb_img_{number}.png", split, features)


def _split(part: str, year: int) -> str | None:
    """The split of an image of an original part, as WILDS divides them by time."""
    if year < VAL_YEAR:
        return {"train": "train", "val": "id_val", "test": "id_test"}.get(part)
    return part if part == ("val" if year < TEST_YEAR else "test") else None


def _year(row: Row) -> int:
    """The year of the time, in UTC."""
    text = row.cells["timestamp"]
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError as e:
        raise UserError(f"{row.where}: 'timestamp' is {text!r}, no time in ISO format") from e
    return time.year if time.tzinfo is None else time.astimezone(datetime.UTC).year


def _region(row: Row, countries: Mapping[str, str]) -> str:
    """The region of the country; `Other` if that is not known, or in none."""
    country = row.cells["country_code"]
    region = countries.get(country) or REGIONS[-1]
    if region not in REGIONS:
        raise unknown(f"region of {country}, the country in {row.where}:", region, REGIONS)
    return region


def _countries(archive: Archive) -> dict[str, str]:
    """The region of each country, by its three letters; empty if it is in none."""
    rows = archive.rows(_COUNTRIES, ("alpha-3", "region"))
    return {row.cells["alpha-3"]: row.cells["region"] for row in rows}
