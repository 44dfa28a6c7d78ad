"""Handwritten digits as a TensorFlow Datasets builder that needs neither network nor TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from vp_jax.data.splits.holdout import stratified_holdout

TEST_EXAMPLES = 500


class Digits(tfds.core.GeneratorBasedBuilder):
    """scikit-learn's bundled digits: 1,797 images `[8, 8, 3]` uint8, 10 classes.

    The split is stratified and part of the dataset: it never changes. Within a split the examples
    keep scikit-learn's order; the feature `index` is the example's position there. The images are
    given to tfds as PNG bytes, because it encodes arrays with TensorFlow.
    """

    name = "vp_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "1,297 examples for training, 500 for the test."
    }

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten digits, 8 x 8, as bundled with scikit-learn.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=list("0123456789")),
                    "index": tfds.features.Scalar(np.int64),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
            license="CC BY 4.0",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing to download.
        images, labels = _load()
        train, test = stratified_holdout(labels, TEST_EXAMPLES / len(labels), seed=0)
        return {
            "train": self._generate_examples(images, labels, train),
            "test": self._generate_examples(images, labels, test),
        }

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray, indices: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in map(int, indices):
            image = io.BytesIO(_png(images[index]))
            yield index, {"image": image, "label": int(labels[index]), "index": index}


def _load() -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[1797, 8, 8, 3]`, the grey values 0 .. 16 scaled to 0 .. 255, and labels."""
    from sklearn import datasets

    digits = datasets.load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), digits.target


def _png(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
