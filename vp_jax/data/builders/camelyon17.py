"""Camelyon17 of WILDS as a TensorFlow Datasets builder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import tensorflow_datasets as tfds

from vp_jax.data.builders.wilds import Archive, Image, WildsBuilder, manual_instructions

HOSPITALS = 5

_OUT_OF_DISTRIBUTION = {1: "val", 2: "test"}
"""The hospitals that are a split of their own, whatever the table says."""

_SPLITS = ("train", "id_val", "test", "val")
"""What the numbers in the column `split` stand for."""


class Camelyon17(WildsBuilder):
    """Is there tumour tissue in the middle of a patch of a lymph node? The domains are hospitals.

    Training is on the hospitals 0, 3 and 4, whose held-out patches are `id_val`; `val` is
    hospital 1 and `test` hospital 2 (WILDS's package, `datasets/camelyon17_dataset.py`).
    """

    name = "vp_camelyon17"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "WILDS's version 1.0."}
    FOLDER = "camelyon17_v1.0"
    SPLITS = ("train", "val", "test", "id_val")
    MANUAL_DOWNLOAD_INSTRUCTIONS = manual_instructions(
        FOLDER,
        "https://worksheets.codalab.org/rest/bundles/0xe45e15f39fb54e9d9e919556af67aabe"
        "/contents/blob/",
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Patches of lymph nodes, 96 x 96, with and without tumour tissue in the "
            "central 32 x 32, from five hospitals.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(),
                    "label": tfds.features.ClassLabel(names=["normal", "tumor"]),
                    "hospital": tfds.features.ClassLabel(
                        names=[f"hospital {number}" for number in range(HOSPITALS)]
                    ),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://wilds.stanford.edu/datasets/#camelyon17",
            license="CC0 1.0",
        )

    def _images(self, archive: Archive) -> Iterator[Image]:
        place = ("patient", "node", "x_coord", "y_coord")
        for row in archive.rows(self.TABLE, (*place, "tumor", "center", "split")):
            hospital = row.number("center", HOSPITALS)
            split = _OUT_OF_DISTRIBUTION.get(hospital)
            if split is None:
                split = _SPLITS[row.number("split", len(_SPLITS))]
            patient, node, x, y = (row.cells[column] for column in place)
            slide = f"patient_{patient}_node_{node}"
            path = f"patches/{slide}/patch_{slide}_x_{x}_y_{y}.png"
            label = row.number("tumor", 2)
            yield Image(row.line, path, split, {"label": label, "hospital": hospital})
