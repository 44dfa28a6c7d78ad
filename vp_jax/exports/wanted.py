"""What is to be exported, and how."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

from vp_jax.assembly.bundle import make_bundle
from vp_jax.backbones.weights import hub
from vp_jax.classifier import Classifier
from vp_jax.host import files
from vp_jax.records import bundle_file
from vp_jax.records.bundle_file import Bundle
from vp_jax.restored import load, place


class Wanted(NamedTuple):
    """What an export is made of; what it does not need is left alone.

    Attributes:
      given: folder of a training, a bundle, or `owner/name` of one on the Hugging Face Hub.
      weights: where the backbone's weights are now, if not where they were.
      data_dir: likewise for the data.
      license: a text for whoever uses what is written.
      image_size: (height, width) of the images that a program takes; None: of the prompt's.
      weights_apart: whether the weights of a program are in a file of their own.
      examples: whether pictures of the data may go into a folder that is given away.
      repository: `owner/name` on the Hub that the folder is for; empty: none yet.
      push: whether it is sent there.
      private: whether a repository that is made is private.
    """

    given: str
    weights: str | None = None
    data_dir: str | None = None
    license: str = ""
    image_size: tuple[int, int] | None = None
    weights_apart: bool = False
    examples: bool = True
    repository: str = ""
    push: bool = False
    private: bool = False

    @property
    def place(self) -> pathlib.Path:
        """The folder or the bundle."""
        return place(self.given)

    def beside(self, name: str) -> pathlib.Path:
        """A file of a name in the folder, or beside the bundle; one of the Hub's is in its cache,
        and the file in the current folder."""
        own = files.expanded(self.given)
        if not own.exists():
            return pathlib.Path(name) if hub.is_repository(self.given) else own / name
        return own.parent / name if own.is_file() else own / name

    def classifier(self) -> Classifier:
        """What was trained.

        Raises:
          UserError: as `vp_jax.load`.
        """
        return load(self.given, weights=self.weights)

    def bundle(self) -> Bundle:
        """The same as a bundle; of a bundle itself, with another licence where one is given.

        Raises:
          UserError: as `make_bundle` and `bundle_file.read`.
        """
        if not self.place.is_file():
            return make_bundle(self.place, self.weights, license=self.license)
        bundle = bundle_file.read(self.place)
        return bundle._replace(license=self.license or bundle.license)
