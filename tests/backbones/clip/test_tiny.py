"""The embedded model: what its card says is so."""

import os
import pathlib
import re

import jax
import numpy as np
import pytest
from image_archive import read_archive

from vp_jax import backbones, heads
from vp_jax.backbones.loading.clip import PACKAGED
from vp_jax.prompts import normalize

FOLDER = PACKAGED / "clip_tiny_weights"
CARD = (FOLDER / "README.md").read_text()
ARCHIVES = {
    "CIFAR-10": ("cifar10_jpeg.tar.xz", "test", 10),
    "Tiny ImageNet": ("tiny_imagenet32.tar.xz", "val", 200),
}


def test_it_is_small():
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) <= 8_000_000
    params = backbones.load("clip_tiny").params
    assert f"{sum(x.size for x in jax.tree.leaves(params)):,}" in CARD


def test_it_reads_texts_of_its_own_tokenizer():
    model = backbones.load("clip_tiny")
    tokens = model.tokenizer(["This is a photo of a cat", "zero", ""])
    assert tokens.shape == (3, 24) and tokens.max() == 1023
    features = np.asarray(model.encode_text(model.params, tokens))
    assert np.isfinite(features).all() and not np.allclose(features[0], features[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHIVES)
def test_zero_shot_accuracy_is_what_the_card_says(optimized, name):
    file, split, count = ARCHIVES[name]
    path = pathlib.Path(os.environ.get("VP_JAX_DATA", "data")) / file
    if not path.exists():
        pytest.skip(f"no {file}: name the folder that holds it in VP_JAX_DATA")
    images, labels, classes = read_archive(path, split)
    assert len(images) == 10_000 and len(classes) == count

    model = backbones.load("clip_tiny")
    text = heads.text_features(
        lambda tokens: model.encode_text(model.params, tokens), model.tokenizer, classes
    )

    @jax.jit
    def predict(batch):
        x = normalize(model.mean, model.std).apply({}, batch.astype(np.float32) / 255)
        return (model.apply(model.params, x) @ text.T).argmax(-1)

    found = np.concatenate([predict(images[i : i + 500]) for i in range(0, 10_000, 500)])
    accuracy = 100 * np.mean(found == labels)
    row = re.search(rf"\| {name}, the 10,000 \w+ images \| {count} \| ([\d.]+) % \|", CARD)
    assert accuracy == pytest.approx(float(row.group(1)), abs=0.1)
