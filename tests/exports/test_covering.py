"""Prompts that are overlays, and sentences about those that are none."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.exports.covering import cover_of, covered
from vp_jax.step.forward import make_seen

COVERING = (
    "shrink(4) | frame(2) | normalize",
    "frame(1) | normalize",
    "shrink(5) | pad(1, scale=0.2) | clip | normalize",
    "shrink(4) | normalize | pad(2, scale=0.2)",
    "overlay(6, thickness=1) | frame(1) | normalize",
)


def seen(classifier, images):
    """What the backbone sees of prepared images, from 0 to 1."""
    see = make_seen(classifier.backbone, classifier.prompt, resized=classifier.rule)
    values = np.asarray(see({"prompt": classifier.parts["prompt"]}, images))
    return values * np.float32(classifier.backbone.std) + np.float32(classifier.backbone.mean)


@pytest.mark.slow
@pytest.mark.parametrize("prompt", COVERING)
def test_an_overlay_is_the_prompt_in_8_bits(prompt, made):
    classifier = made(prompt)
    cover = cover_of(classifier)
    size = classifier.rule.image_size
    images = np.random.default_rng(3).integers(0, 256, (3, size, size, 3), np.uint8)
    expected = np.clip(seen(classifier, images), 0, 1)
    found = seen(covered(classifier, cover), images)
    np.testing.assert_allclose(found, expected, atol=0.51 / 255)
    assert np.rint(found * 255) / 255 == pytest.approx(found, abs=1e-6)
    np.testing.assert_array_equal(pasted(classifier, cover, images[0]), np.rint(255 * found[0]))


def pasted(classifier, cover, image):
    """What Pillow makes of it, as whoever has the PNG does."""
    side = classifier.backbone.image_size
    canvas = Image.new("RGBA", (side, side), (0, 0, 0, 255))
    first = (side - image.shape[0]) // 2
    canvas.paste(Image.fromarray(image), (first, first))
    rgba = np.rint(255 * np.concatenate([cover.colour, cover.alpha], -1)).astype(np.uint8)
    return np.asarray(Image.alpha_composite(canvas, Image.fromarray(rgba)))[..., :3]


def test_a_veil_has_an_opacity(made):
    """Half of every pixel stays: no stage does that, and a prompt of one's own may."""
    veil = prompts.Prompt(lambda rng, shape: {}, lambda params, x: 0.5 * x + 0.25)
    classifier = made()
    chain = prompts.chain(veil, prompts.normalize())
    cover = cover_of(dataclasses.replace(classifier, prompt=chain, parts={"prompt": ({}, {})}))
    np.testing.assert_allclose(cover.alpha, 0.5, atol=0.51 / 255)
    np.testing.assert_allclose(cover.colour, 0.5, atol=1.1 / 255)


def test_values_that_8_bits_lack_are_counted(made):
    classifier = made("shrink(4) | pad(2, scale=9.0) | normalize")
    cover = cover_of(classifier)
    assert 0.5 < cover.clipped <= 1 and cover.colour.min() == 0 and cover.colour.max() == 1


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("normalize | pad(2)", "adds to 48 pixels under which"),
        ("pad(2) | clip | normalize", "is no overlay"),
        ("shrink(6) | pad(2) | normalize", "adds to 20 pixels under which"),
        ("normalize | color", "changes contrast or colours"),
        ("blur(1) | frame(1) | normalize", "is no overlay"),
        ("normalize | random_patch(2)", "depends on chance"),
        ("normalize | cluster(pad(2), 2)", "depends on the image"),
        ("normalize | class_wise(pad(1), 3)", "several images of each"),
        ("normalize | masked(full, layers=2, patch=1)", "is no overlay"),
    ],
)
def test_other_prompts_are_refused_with_the_reason(prompt, why, made):
    with pytest.raises(UserError, match=why):
        cover_of(made(prompt))


def test_without_a_prompt_there_is_none(made):
    classifier = made()
    parts = {name: x for name, x in classifier.parts.items() if name != "prompt"}
    with pytest.raises(UserError, match="no prompt was trained"):
        cover_of(dataclasses.replace(classifier, parts=parts))
