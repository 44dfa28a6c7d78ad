"""Test cases of tfds's own for our builders, on files in the official layouts. Importing them
imports TensorFlow."""

from __future__ import annotations

import pathlib
import tempfile

import fake_archives
import tensorflow_datasets as tfds

from vp_jax.data.builders.camelyon17 import Camelyon17
from vp_jax.data.builders.fmow import FMoW
from vp_jax.data.builders.iwildcam import IWildCam
from vp_jax.data.builders.ucf101 import Ucf101


def sizes(splits):
    return {name: len(files) for name, files in splits.items()}


class MadeExamples:
    """Makes the files that tfds calls dummy data before the tests, and removes them afterwards."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.EXAMPLE_DIR = folder.name
        cls.make(pathlib.Path(folder.name))
        super().setUpClass()


class Camelyon17Test(MadeExamples, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Camelyon17
    SPLITS = sizes(fake_archives.CAMELYON17_SPLITS)

    @staticmethod
    def make(folder):
        fake_archives.make(fake_archives.camelyon17(), folder / "camelyon17_v1.0")


class FMoWTest(MadeExamples, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = FMoW
    SPLITS = sizes(fake_archives.FMOW_SPLITS)

    @staticmethod
    def make(folder):
        fake_archives.make(fake_archives.fmow(), folder / "fmow_v1.1")


class IWildCamTest(MadeExamples, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = IWildCam
    SPLITS = sizes(fake_archives.IWILDCAM_SPLITS)

    @staticmethod
    def make(folder):
        fake_archives.pack(fake_archives.iwildcam(), folder / "iwildcam_v2.0.tar.gz")


class Ucf101Test(MadeExamples, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Ucf101
    BUILDER_CONFIG_NAMES_TO_TEST = ("split1",)
    SPLITS = sizes(fake_archives.UCF101_SPLITS["split1"])

    @staticmethod
    def make(folder):
        fake_archives.make(fake_archives.ucf101(), folder)
