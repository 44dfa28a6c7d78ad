"""RandAugment, TrivialAugment and colour jitter: what they draw, and how strongly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax.data.augment import colour, make_augment, policies
from vp_jax.data.augment.operations import OPERATIONS, apply_operations

KEY = jax.random.key(3)
APPLY = jax.jit(apply_operations)
UNSIGNED = {"identity", "posterize", "solarize", "autocontrast", "equalize"}


def noise(count, size):
    levels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3))
    return (levels / 255).astype(np.float32)


def row(policy, operation, size=224):
    return policies.magnitude_table(policy, size)[OPERATIONS.index(operation)]


def test_ranges_are_those_of_torchvision():
    for name in ("shear_x", "shear_y"):
        np.testing.assert_allclose(row("randaugment", name), 0.01 * np.arange(31), rtol=1e-5)
        np.testing.assert_allclose(row("trivialaugment", name), 0.033 * np.arange(31), rtol=1e-5)
    for name in ("translate_x", "translate_y"):
        assert row("randaugment", name, 331)[[0, 9, 30]] == pytest.approx([0, 45, 150])
        assert row("randaugment", name)[9] == pytest.approx(150 / 331 * 224 * 0.3)
        for size in (32, 224):
            assert row("trivialaugment", name, size)[[0, 15, 30]].tolist() == [0, 16, 32]
    assert row("randaugment", "rotate")[[0, 9, 30]] == pytest.approx([0, 9, 30])
    assert row("trivialaugment", "rotate")[[0, 10, 30]] == pytest.approx([0, 45, 135])
    for name in ("brightness", "color", "contrast", "sharpness"):
        assert row("randaugment", name)[[0, 9, 30]] == pytest.approx([0, 0.27, 0.9])
        assert row("trivialaugment", name)[[0, 10, 30]] == pytest.approx([0, 0.33, 0.99])
    bits = "8888777777776666666555555554444"  # 8 - round(i / 7.5)
    assert "".join(f"{b:.0f}" for b in row("randaugment", "posterize")) == bits
    bits = "8887777766666555554444433333222"  # 8 - round(i / 5)
    assert "".join(f"{b:.0f}" for b in row("trivialaugment", "posterize")) == bits
    for policy in policies.POLICIES:
        np.testing.assert_allclose(row(policy, "solarize"), 255 - 8.5 * np.arange(31))
        for name in ("identity", "autocontrast", "equalize"):
            assert not row(policy, name).any()


@pytest.mark.slow
@pytest.mark.parametrize("policy", policies.POLICIES)
def test_operations_steps_and_signs_are_uniform(policy):
    table = np.tile(np.arange(1, 32, dtype=np.float32), (14, 1))  # each step shows
    least, most = (0, 30) if policy == "trivialaugment" else (9, 9)
    count = 42_000
    drawn, magnitudes = map(np.asarray, policies.draw_operations(KEY, count, table, least, most))
    frequencies = np.bincount(drawn, minlength=14) / count
    assert len(frequencies) == 14 and np.abs(frequencies - 1 / 14).max() < 0.006
    steps = np.abs(magnitudes) - 1
    if policy == "randaugment":
        assert (steps == 9).all()
    else:
        counts = np.bincount(steps.astype(int), minlength=31) / count
        assert len(counts) == 31 and np.abs(counts - 1 / 31).max() < 0.005
    for i, name in enumerate(OPERATIONS):
        negative = (magnitudes[drawn == i] < 0).mean()
        assert negative == 0 if name in UNSIGNED else 0.45 < negative < 0.55
        assert abs(steps[drawn == i].mean() - steps.mean()) < 1  # drawn independently


def candidates(images, policy, magnitude):
    """The images `[B, ...]` after each operation in each direction: `[28, B, ...]`."""
    table = policies.magnitude_table(policy, images.shape[1])[:, magnitude]
    results = []
    for i, strength in enumerate(table):
        for sign in (1.0, -1.0) if OPERATIONS[i] not in UNSIGNED else (1.0,):
            full = np.full(len(images), i), np.full(len(images), sign * strength, np.float32)
            results.append(np.asarray(APPLY(images, *full)))
    return np.stack(results)


@pytest.mark.slow
def test_one_operation_of_randaugment():
    images = noise(300, 8)
    augment = make_augment(policy="randaugment", randaugment_ops=1, randaugment_magnitude=20)
    result = np.asarray(jax.jit(augment)(KEY, images))
    found = np.abs(result - candidates(images, "randaugment", 20)).max(axis=(2, 3, 4)) < 1e-5
    assert found.any(axis=0).all()  # Every image is one of those,
    assert found.any(axis=1).all()  # and each of those was drawn.
    assert found.sum(axis=0).max() <= 2  # They differ, but for what noise hides.


@pytest.mark.slow
def test_two_operations_of_randaugment():
    """The second acts on the result of the first, and is drawn for itself."""
    images = noise(12, 8)
    augment = make_augment(policy="randaugment", randaugment_ops=2, randaugment_magnitude=20)
    result = np.asarray(jax.jit(augment)(KEY, images))
    first = candidates(images, "randaugment", 20)
    shape = first.shape
    second = candidates(first.reshape(-1, *shape[2:]), "randaugment", 20)
    second = second.reshape(len(second), *shape)
    found = np.abs(result - second).max(axis=(3, 4, 5)) < 1e-5
    assert found.any(axis=(0, 1)).all()
    same = np.abs(result - first).max(axis=(2, 3, 4))
    assert (same > 1e-5).all(axis=0).sum() > 6  # One operation would not do.


@pytest.mark.slow(seconds=7)
def test_trivialaugment_applies_one_operation_of_any_magnitude():
    images = noise(50, 8)
    result = np.asarray(jax.jit(make_augment(policy="trivialaugment"))(KEY, images))
    found = [
        np.abs(result - candidates(images, "trivialaugment", step)).max(axis=(2, 3, 4)) < 1e-5
        for step in range(31)
    ]
    assert np.any(found, axis=(0, 1)).all()
    unlike_a_fixed_step = [~step.any(axis=0) for step in found]
    assert min(missing.sum() for missing in unlike_a_fixed_step) > 30


def ratio_of_brightness(strength, count=4000):
    augment = make_augment(color_jitter=strength)
    grey = np.full((count, 2, 2, 3), 102 / 255, np.float32)
    return np.asarray(augment(KEY, grey))[:, 0, 0, 0] / (102 / 255)


def test_factors_are_uniform():
    factors = ratio_of_brightness((0.4, 0.0, 0.0, 0.0))
    np.testing.assert_allclose(
        np.quantile(factors, [0, 0.25, 0.5, 0.75, 1]), [0.6, 0.8, 1.0, 1.2, 1.4], atol=0.02
    )
    factors = ratio_of_brightness((1.5, 0.0, 0.0, 0.0))  # from 0, not from below it
    np.testing.assert_allclose(np.quantile(factors, [0, 0.4]), [0, 1.0], atol=0.04)


@pytest.mark.parametrize(("place", "poor"), [(1, colour.mean_grey), (2, colour.to_grey)])
def test_contrast_and_saturation(place, poor):
    images = np.float32(0.3) + np.float32(0.4) * noise(500, 8)  # Nothing is clipped.
    strength = [0.0] * 4
    strength[place] = 0.4
    result = np.asarray(make_augment(color_jitter=strength)(KEY, images))
    start = np.asarray(poor(jnp.asarray(images)))
    change = images - start
    factors = ((result - start) * change).sum((1, 2, 3)) / (change**2).sum((1, 2, 3))
    np.testing.assert_allclose(result, start + factors[:, None, None, None] * change, atol=1e-5)
    np.testing.assert_allclose(np.quantile(factors, [0, 0.5, 1]), [0.6, 1.0, 1.4], atol=0.05)


def test_hue_turns_by_up_to_its_strength():
    red = np.tile(np.float32([1, 0, 0]), (4000, 2, 2, 1))
    result = np.asarray(make_augment(color_jitter=(0, 0, 0, 0.1))(KEY, red))[:, 0, 0]
    turns = (result[:, 1] - result[:, 2]) / 6  # towards green, towards blue
    np.testing.assert_allclose(
        np.quantile(turns, [0, 0.25, 0.75, 1]), [-0.1, -0.05, 0.05, 0.1], atol=0.005
    )
    np.testing.assert_allclose(result[:, 0], 1.0, atol=1e-6)


@pytest.mark.slow
def test_one_number_leaves_hue_alone():
    yellow = np.tile(np.float32([0.6, 0.6, 0]), (50, 2, 2, 1))
    result = np.asarray(make_augment(color_jitter=0.5)(KEY, yellow))
    np.testing.assert_allclose(result[..., 0], result[..., 1], atol=1e-6)
    assert len(np.unique(result[:, 0, 0, 0])) > 40


def test_changes_come_in_random_order():
    """Of black and white, the sum stays 1 in about 40 % of the cases.

    It does where brightness grows first and is clipped, and where contrast does and then brightness
    grows: 55 % if brightness always came first, 25 % if contrast did.
    """
    images = np.zeros((4000, 2, 2, 3), np.float32)
    images[:, 0] = 1.0
    result = np.asarray(make_augment(color_jitter=(0.6, 0.6, 0.0, 0.0))(KEY, images))
    total = result[:, 0, 0, 0] + result[:, 1, 0, 0]
    assert 0.36 < (np.abs(total - 1) < 0.005).mean() < 0.45
