"""iWildCam of WILDS as a TensorFlow Datasets builder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from vp_jax.data.builders.wilds import Archive, Image, WildsBuilder, manual_instructions

CLASSES = 182


class IWildCam(WildsBuilder):
    """Which animal is before a camera trap? The domains are the places of the cameras.

    The column `split` says it all: `val` and `test` are from other cameras than `train`, `id_val`
    and `id_test` from the same on other days (WILDS's package, `datasets/iwildcam_dataset.py`).
    """

    name = "vp_iwildcam"
    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"2.0.0": "WILDS's version 2.0."}
    FOLDER = "iwildcam_v2.0"
    MANUAL_DOWNLOAD_INSTRUCTIONS = manual_instructions(
        FOLDER,
        "https://worksheets.codalab.org/rest/bundles/0x6313da2b204647e79a14b468131fcd64"
        "/contents/blob/",
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Photographs by camera traps: 182 kinds of animals, or none, before 323 "
            "cameras.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(),
                    "label": tfds.features.ClassLabel(num_classes=CLASSES),
                    "location": tfds.features.Scalar(np.int64),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://wilds.stanford.edu/datasets/#iwildcam",
            license="CDLA-Permissive 1.0",
        )

    def _images(self, archive: Archive) -> Iterator[Image]:
        for row in archive.rows(self.TABLE, ("split", "location_remapped", "y", "filename")):
            label, location = row.number("y", CLASSES), row.number("location_remapped")
            features = {"label": label, "location": location}
            path = f"train/{row.cells['filename']}"  # There are the images of all splits.
            yield Image(row.line, path, row.choice("split", self.SPLITS), features)
