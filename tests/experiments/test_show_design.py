"""The picture of the layers: that of the documents, of the layers that are there."""

import pathlib

import numpy as np
import show_design
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]


def test_it_has_every_wing():
    wings = {path.parent.name for path in (ROOT / "vp_jax").glob("*/__init__.py")}
    named = {word for name, _ in show_design.LAYERS for word in name.replace(",", "").split()}
    assert wings <= named
    assert set(show_design.ACTORS) <= wings | {"data.augment"}


def test_it_is_drawn_in_the_size_of_the_one_in_the_documents(tmp_path):
    show_design.draw(tmp_path / "design.png")
    drawn, there = (Image.open(p) for p in (tmp_path / "design.png", ROOT / "docs" / "design.png"))
    assert drawn.size == there.size and np.asarray(drawn).std() > 5
