"""Operations beside Pillow's, whose definitions they follow."""

from __future__ import annotations

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from vp_jax.data.augment import colour
from vp_jax.data.augment.operations import OPERATIONS, apply_operations

APPLY = jax.jit(apply_operations)
SHIFT_HUE = jax.jit(colour.shift_hue)


def noise(size=48, low=0, high=256, seed=0):
    return np.random.default_rng(seed).integers(low, high, (size, size, 3)).astype(np.uint8)


def soft(size=48):
    """Waves of different length in each channel; an odd size, whose centre is a pixel's."""
    y, x = np.mgrid[0:size, 0:size]
    waves = [np.sin(x / 5 + y / 9), np.cos(y / 7), np.sin((x - y) / 11)]
    return (127.5 + np.stack([100, 60, 120] * np.stack(waves, -1))).astype(np.uint8)


IMAGES = {
    "noise": noise(),
    "soft": soft(47),
    "dark": noise(high=60, seed=1),
    "tiny": noise(3),  # fewer pixels than grey levels: equalize leaves it
    "small": noise(24),  # tables of equalize reach beyond 255 and are cut off there
    "flat": np.full((48, 48, 3), (10, 0, 255), np.uint8),
    "two levels": noise(low=0, high=2, seed=2) * 91 + 7,
}
every_image = pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)


def ours(image, operation, magnitude=0.0):
    """In grey levels."""
    which, strength = np.int32([OPERATIONS.index(operation)]), np.float32([magnitude])
    return np.asarray(APPLY(image[None] / np.float32(255), which, strength))[0] * 255


@every_image
@pytest.mark.parametrize(
    ("operation", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("color", ImageEnhance.Color),
        ("contrast", ImageEnhance.Contrast),
        ("sharpness", ImageEnhance.Sharpness),
    ],
)
def test_changes_of_strength(image, operation, enhancer):
    for magnitude in (-0.99, -0.27, 0.0, 0.27, 0.99):
        reference = enhancer(Image.fromarray(image)).enhance(1 + magnitude)
        difference = ours(image, operation, magnitude) - np.asarray(reference, np.float32)
        assert difference.min() > -1e-3 and difference.max() < 1  # Pillow cuts fractions off.


@every_image
def test_maps_of_grey_levels(image):
    picture = Image.fromarray(image)
    for bits in range(1, 9):
        reference = ImageOps.posterize(picture, bits)
        np.testing.assert_allclose(ours(image, "posterize", bits), reference, atol=1e-3)
    for threshold in (0.0, 8.5, 91.0, 178.5, 255.0):
        reference = ImageOps.solarize(picture, threshold)
        np.testing.assert_allclose(ours(image, "solarize", threshold), reference, atol=1e-3)
    np.testing.assert_allclose(ours(image, "equalize"), ImageOps.equalize(picture), atol=1e-3)
    difference = ours(image, "autocontrast") - np.asarray(ImageOps.autocontrast(picture))
    assert np.abs(difference).max() <= 1 + 1e-3


MATRICES = {  # from places in the result to places in the image, as Pillow takes them
    ("shear_x", 0.3): (1, 0.3, 0, 0, 1, 0),
    ("shear_x", -0.99): (1, -0.99, 0, 0, 1, 0),
    ("shear_y", 0.27): (1, 0, 0, 0.27, 1, 0),
    ("shear_y", -0.5): (1, 0, 0, -0.5, 1, 0),
    ("translate_x", 5.0): (1, 0, -5, 0, 1, 0),
    ("translate_x", -7.9): (1, 0, 7, 0, 1, 0),
    ("translate_y", 6.7): (1, 0, 0, 0, 1, -6),
    ("translate_y", -32.0): (1, 0, 0, 0, 1, 32),
}


@pytest.mark.parametrize(("operation", "magnitude"), MATRICES)
@pytest.mark.parametrize("size", [47, 48])
def test_shears_and_translations(operation, magnitude, size):
    image = noise(size)
    reference = Image.fromarray(image).transform(
        (size, size), Image.Transform.AFFINE, MATRICES[operation, magnitude]
    )
    check_moved(ours(image, operation, magnitude), reference)


@pytest.mark.parametrize("degrees", [9.0, -30.0, 77.3, 90.0, -90.0, 135.0])
@pytest.mark.parametrize("size", [47, 48])
def test_rotations(degrees, size):
    image = noise(size)
    check_moved(ours(image, "rotate", degrees), Image.fromarray(image).rotate(degrees))


def check_moved(result, reference):
    """The same pixels but for those whose place is on the border of two, within rounding."""
    differing = np.abs(result - np.asarray(reference)).max(axis=-1) > 1e-3
    assert differing.mean() < 0.02


@pytest.mark.slow
def test_each_image_goes_through_its_own_operation():
    """A batch with every operation twice, of different images and magnitudes."""
    images = np.stack([noise(48, seed=seed) for seed in range(28)])
    operations = np.arange(28) % len(OPERATIONS)
    magnitudes = np.linspace(1.0, 0.1, 28)
    magnitudes[operations == OPERATIONS.index("posterize")] = (3, 5)
    together = APPLY(images / np.float32(255), np.int32(operations), magnitudes.astype(np.float32))
    for image, operation, magnitude, result in zip(
        images, operations, magnitudes, np.asarray(together), strict=True
    ):
        alone = ours(image, OPERATIONS[operation], magnitude)
        np.testing.assert_allclose(result * 255, alone, atol=1e-3)


def test_what_changes_nothing_is_exact():
    images = np.random.default_rng(0).uniform(size=(1, 48, 48, 3)).astype(np.float32)
    for operation, magnitude in (("identity", 5.0), ("rotate", 0.0), ("shear_x", 0.0)):
        which = np.int32([OPERATIONS.index(operation)])
        np.testing.assert_array_equal(APPLY(images, which, np.float32([magnitude])), images)


def test_a_warp_fills_with_black():
    white = np.full((48, 48, 3), 255, np.uint8)
    result = ours(white, "translate_x", 4.0)
    assert (result[:, :4] == 0).all() and (result[:, 4:] == 255).all()
    assert (ours(white, "translate_y", -48.0) == 0).all()


@pytest.mark.parametrize("turn", [-0.5, -0.21, 0.0, 0.1, 1 / 3, 0.5])
def test_hue_is_that_of_colorsys(turn):
    image = np.concatenate([noise(12), np.full((1, 12, 3), 77, np.uint8)]) / 255
    image[0, 0], image[0, 1] = (0, 0, 0), (1, 1, 1)
    result = np.asarray(SHIFT_HUE(jnp.float32(image[None]), jnp.float32([turn])))[0]
    for pixel, (r, g, b) in zip(result.reshape(-1, 3), image.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(r, g, b)
        reference = colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value)
        np.testing.assert_allclose(pixel, reference, atol=2e-6)
