"""Small prepared datasets in tfds's own layout, made in a moment and without TensorFlow."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

Examples = tuple[Sequence[np.ndarray | bytes], Sequence[int]]


def make(
    data_dir: pathlib.Path,
    name: str,
    splits: Mapping[str, Examples],
    *,
    class_names: Sequence[str] | None = None,
    num_classes: int | None = None,
    version: str = "1.0.0",
    image_key: str = "image",
    label_key: str = "label",
    plain_label: bool = False,
    named: bool = True,
    size: tuple[int, int] | None = None,
    more: Mapping[str, tuple[Any, Callable[[str, int], Any]]] | None = None,
) -> pathlib.Path:
    """Prepares a dataset under `data_dir/name/version`, in the order given.

    Args:
      data_dir: the folder of all prepared datasets.
      name: the dataset's name.
      splits: for each split the images (uint8 `[h, w, 3]`, or bytes to store as they are, intact or
        not) and the labels.
      class_names: of the label feature.
      num_classes: of the label feature when it has no names.
      version: of the dataset.
      image_key: name of the image feature.
      label_key: name of the label feature.
      plain_label: the label is an integer instead of a ClassLabel.
      named: there is a feature `file_name`, `train/00017.png` and so on.
      size: height and width that the image feature declares, if any.
      more: further features, or others for those there are: by name the feature, and the function
        that makes its value from the split and the example's number.

    Returns:
      The folder of the prepared version.
    """
    if plain_label:
        label_feature = tfds.features.Scalar(np.int64)
    elif class_names is not None:
        label_feature = tfds.features.ClassLabel(names=list(class_names))
    else:
        label_feature = tfds.features.ClassLabel(num_classes=num_classes)

    class Fake(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(version)

        def _info(self):
            shape = (*(size or (None, None)), 3)
            image = tfds.features.Image(shape=shape, encoding_format="png")
            features = {image_key: image, label_key: label_feature}
            if named:
                features["file_name"] = tfds.features.Text()
            features |= {key: feature for key, (feature, _) in (more or {}).items()}
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in splits}

        def _generate_examples(self, split):
            for i, (image, label) in enumerate(zip(*splits[split], strict=True)):
                encoded = image if isinstance(image, bytes) else png(image)
                example = {image_key: io.BytesIO(encoded), label_key: int(label)}
                if named:
                    example["file_name"] = f"{split}/{i:05d}.png"
                example |= {key: value(split, i) for key, (_, value) in (more or {}).items()}
                yield i, example

    Fake.name = name
    builder = Fake(data_dir=str(data_dir), file_format="array_record")
    builder.download_and_prepare()
    return pathlib.Path(builder.data_dir)


def png(image: np.ndarray, mode: str | None = None) -> bytes:
    """A PNG file of an array, converted to a Pillow mode if one is given."""
    picture = Image.fromarray(image)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, format="PNG")
    return buffer.getvalue()


def random_split(
    count: int, classes: int, *, size: tuple[int, int] = (32, 32), seed: int = 0
) -> tuple[list[np.ndarray], list[int]]:
    """Random images of one size, and labels `0, 1, ..., classes - 1, 0, 1, ...`."""
    rng = np.random.default_rng(seed)
    images = list(rng.integers(0, 256, (count, *size, 3), dtype=np.uint8))
    return images, [i % classes for i in range(count)]
