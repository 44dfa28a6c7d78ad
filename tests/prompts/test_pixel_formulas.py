"""The stages that act on pixels alone, each against its formula in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pixels import IMAGES, KEY, SHAPE, begun, moved

from vp_jax import prompts


def test_frame_covers_with_values_of_an_image():
    stage, shape = prompts.frame(2), SHAPE
    params = moved(begun(stage))
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, begun(prompts.pad(2)))
    zeros = np.zeros(shape, np.float32)
    theta = np.asarray(prompts.pad(2).apply(params, zeros), np.float64)
    expected = np.where(np.pad(np.ones((8, 6)), 2)[..., None], IMAGES, 1 / (1 + np.exp(-theta)))
    found = np.asarray(stage.apply(params, IMAGES))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found[:, 2:-2, 2:-2], IMAGES[:, 2:-2, 2:-2])
    assert (np.asarray(stage.apply(begun(stage), IMAGES))[:, :2] == 0.5).all()


def test_a_frame_around_a_shrunk_image_is_one_added_to_its_zeros():
    small = prompts.shrink(6).apply({}, np.ones((12, 12, 3), np.float32))
    stage = prompts.frame(3)
    params = moved(begun(stage, (12, 12, 3)))
    added = prompts.pad(3).apply(jax.tree.map(jax.nn.sigmoid, params), small)
    np.testing.assert_array_equal(stage.apply(params, small), added)


def test_low_rank():
    stage = prompts.low_rank(2)
    params = begun(stage)
    assert prompts.count(params) == 3 * 2 * (12 + 10)
    np.testing.assert_array_equal(stage.apply(params, IMAGES), IMAGES)
    many = np.asarray(prompts.low_rank(40).init(KEY, (40, 40, 3))["right"])
    assert abs(many.mean()) < 1e-3 and abs(many.std() - 0.01) < 5e-4
    params = moved(params)
    found = np.asarray(stage.apply(params, np.zeros(SHAPE, np.float32)))
    for channel in range(3):
        expected = np.float64(params["left"][channel]) @ params["right"][channel]
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-6)
        assert np.linalg.matrix_rank(found[..., channel], tol=1e-5) == 2


def test_the_full_rank_is_every_pixel():
    delta = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    params = {"left": delta.transpose(2, 0, 1), "right": np.stack([np.eye(10, dtype="f")] * 3)}
    found = prompts.low_rank(10).apply(params, IMAGES)
    np.testing.assert_array_equal(found, prompts.full().apply({"delta": delta}, IMAGES))


def identity_of_affine():
    zero = np.zeros(2, np.float32)
    return {"scale": zero + 40, "angle": np.float32(0), "shear": zero, "shift": zero}


@pytest.mark.slow
def test_affine_with_scales_of_one_is_the_identity():
    for shape in (SHAPE, (7, 9, 1)):
        images = IMAGES[:, : shape[0], : shape[1], : shape[2]]
        found = prompts.affine().apply(identity_of_affine(), images)
        np.testing.assert_array_equal(found, images)


def seen_through(images, linear, shift):
    """Bilinear, one pixel at a time: what stands at p comes from linear^-1 (p - shift)."""
    _, height, width, _ = images.shape
    middle = np.array([height - 1, width - 1]) / 2
    result = np.zeros(images.shape)
    for row in range(height):
        for column in range(width):
            there = np.linalg.solve(linear, np.array([row, column]) - middle - shift) + middle
            low = np.floor(there).astype(int)
            for down in (0, 1):
                for across in (0, 1):
                    y, x = low + (down, across)
                    if 0 <= y < height and 0 <= x < width:
                        weight = (1 - abs(there[0] - y)) * (1 - abs(there[1] - x))
                        result[:, row, column] += weight * images[:, y, x]
    return result


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_affine_is_its_matrix(sign):
    params = {
        "scale": np.float32([0.4, 1.1]),
        "angle": np.float32(sign * 2),
        "shear": np.float32([0.7, -sign]),
        "shift": np.float32([-0.5, 2 * sign]),
    }
    angle, (one, two) = 0.1 * np.tanh(2 * sign), 0.1 * np.tanh([0.7, -sign])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scales = np.diag(1 / (1 + np.exp([-0.4, -1.1])))
    linear = turn @ scales @ np.array([[1, one], [two, 1]])
    shift = 0.05 * np.tanh([-0.5, 2 * sign]) * [12, 10]
    expected = seen_through(IMAGES.astype(np.float64), linear, shift)
    found = prompts.affine().apply(params, IMAGES)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("scale", [0.3, 0.75])
def test_affine_begins_as_a_resize_of_its_scale(scale):
    affine, resize = prompts.affine(scale=scale), prompts.resize(scale=scale)
    found = affine.apply(begun(affine), IMAGES)
    np.testing.assert_allclose(found, resize.apply(begun(resize), IMAGES), atol=1e-5)


@pytest.mark.parametrize("key", ["scale", "angle", "shear", "shift"])
def test_affine_learns_the_right_way(key):
    """Its derivative, of a smooth image, is the difference quotient of what it makes."""
    y, x = np.mgrid[:24, :24] / 24
    image = np.sin(3 * y + x)[..., None].astype(np.float32)
    window = np.sin(np.pi * (y + 0.02)) ** 2 * np.sin(np.pi * (x + 0.02)) ** 2 * np.cos(5 * x)
    stage = prompts.affine(scale=0.9)
    params = moved(begun(stage, image.shape))
    total = jax.jit(lambda p: jnp.sum(window[..., None] * stage.apply(p, image)))
    slope = jax.grad(total)(params)[key]
    step = np.float32(0.02) * np.ones_like(params[key])
    up, down = (total(params | {key: params[key] + sign * step}) for sign in (1, -1))
    np.testing.assert_allclose((slope * step).sum(), (up - down) / 2, rtol=0.03)


def test_resize():
    stage = prompts.resize()
    assert begun(stage)["scale"] == np.float32(4 / 7)
    np.testing.assert_array_equal(stage.apply({"scale": np.float32(1)}, IMAGES), IMAGES)
    for scale in (0.1, 0.45, 1.3, 5.0):
        expected = seen_through(IMAGES.astype(np.float64), scale * np.eye(2), np.zeros(2))
        found = stage.apply({"scale": np.float32(scale)}, IMAGES)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    for outside, bound in ((0.01, 0.1), (-3.0, 0.1), (7.0, 5.0)):
        found, expected = (stage.apply({"scale": np.float32(s)}, IMAGES) for s in (outside, bound))
        np.testing.assert_array_equal(found, expected)


def test_color():
    stage = prompts.color()
    np.testing.assert_array_equal(stage.apply(begun(stage), IMAGES), IMAGES)
    params = moved(begun(stage))
    theirs = np.log(1 / 5) + np.float64(params["log_odds"])
    expected = IMAGES * 6 / (1 + np.exp(-theirs))
    np.testing.assert_allclose(stage.apply(params, IMAGES), expected, rtol=1e-5)
    most = {"log_odds": np.full(SHAPE, 50, np.float32)}
    np.testing.assert_allclose(stage.apply(most, IMAGES), 6 * IMAGES, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_conv(size):
    stage, edge = prompts.conv(size), size // 2
    params = moved(begun(stage))
    kernel, mix = np.float64(params["kernel"]), float(params["mix"])
    padded = np.pad(np.float64(IMAGES), [(0, 0), (edge, edge), (edge, edge), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
    filtered = np.einsum("bhwcij,ij->bhwc", windows, kernel / kernel.sum())
    expected = mix * IMAGES + (1 - mix) * filtered
    border = ~np.pad(np.ones((12 - 2 * edge, 10 - 2 * edge), bool), edge)
    expected[:, border] = IMAGES[:, border]
    np.testing.assert_allclose(stage.apply(params, IMAGES), expected, atol=1e-6)


def test_conv_is_the_identity_with_a_kernel_of_a_point_or_a_mix_of_one():
    stage = prompts.conv(3)
    params = begun(stage)
    assert params["kernel"].tolist() == [[1, 1, 1], [1, 5, 1], [1, 1, 1]] and params["mix"] == 0.5
    point = {"kernel": np.zeros((3, 3), np.float32), "mix": np.float32(0.3)}
    point["kernel"][1, 1] = 0.7
    for identity in (point, params | {"mix": np.float32(1)}):
        np.testing.assert_array_equal(stage.apply(identity, IMAGES), IMAGES)
    assert begun(prompts.conv(5, center=15.0))["kernel"][2, 2] == 15
    flat = np.full((6, 6, 1), 0.25, np.float32)
    np.testing.assert_allclose(stage.apply(params, flat), flat, rtol=1e-6)


@pytest.mark.parametrize("shape", [(12, 12, 3), (9, 14, 2)])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 1.0])
def test_fourier(shape, share):
    """Against the whole transform, with amplitudes and phases apart."""
    stage = prompts.fourier(share)
    images = np.random.default_rng(4).uniform(size=(2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(stage.apply(begun(stage, shape), images), images)
    params = moved(begun(stage, shape))
    k = len(params["amplitude"])
    assert k == max(int(share * min(shape[:2])), 1)
    spectrum = np.fft.fftshift(np.fft.fft2(np.float64(images), axes=(1, 2)), axes=(1, 2))
    amplitude, phase = np.abs(spectrum), np.angle(spectrum)
    top, left = (side // 2 - k // 2 for side in shape[:2])
    amplitude[:, top : top + k, left : left + k] *= params["amplitude"]
    changed = np.fft.ifftshift(amplitude * np.exp(1j * phase), axes=(1, 2))
    expected = np.fft.ifft2(changed, axes=(1, 2)).real
    np.testing.assert_allclose(stage.apply(params, images), expected, atol=1e-5)


def test_the_mean_alone():
    stage = prompts.fourier(0.01)
    brighter = stage.apply({"amplitude": np.full((1, 1, 3), 1.5, np.float32)}, IMAGES)
    expected = IMAGES + 0.5 * IMAGES.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(brighter, expected, atol=1e-6)


def test_blur():
    np.testing.assert_array_equal(prompts.blur(0).apply({}, IMAGES), IMAGES)
    flat = np.full((6, 7, 1), 0.25, np.float32)
    np.testing.assert_allclose(prompts.blur(2).apply({}, flat), flat, rtol=1e-6)
    point = np.zeros((11, 11, 1), np.float32)
    point[5, 5] = 1
    found = np.asarray(prompts.blur(0.8).apply({}, point))[..., 0]
    y, x = np.mgrid[-5:6, -5:6]
    density = np.exp(-(x**2 + y**2) / (2 * 0.8**2))
    np.testing.assert_allclose(found[2:-2, 2:-2], (density / density.sum())[2:-2, 2:-2], atol=1e-4)


def test_blur_outside_of_a_shape():
    whole = np.asarray(prompts.blur(2).apply({}, IMAGES))
    found = np.asarray(prompts.blur(2, outside="box", size=3, top=1, width=5).apply({}, IMAGES))
    inside = np.zeros((12, 10), bool)
    inside[1:4, :5] = True
    np.testing.assert_array_equal(found[:, inside], IMAGES[:, inside])
    np.testing.assert_array_equal(found[:, ~inside], whole[:, ~inside])
    covering = prompts.blur(2, outside="box", size=12, width=10)
    np.testing.assert_array_equal(covering.apply({}, IMAGES), IMAGES)


def test_overlay_draws_a_line():
    box = prompts.overlay(6, 2, 1, width=5, shape="box", color=(0, 0.5, 1), thickness=2)
    line = np.zeros((12, 10), bool)
    line[2:8, 1:6] = True
    line[4:6, 3:4] = False
    found = np.asarray(box.apply({}, IMAGES))
    np.testing.assert_array_equal(found[:, ~line], IMAGES[:, ~line])
    assert (found[:, line] == [0, 0.5, 1]).all()


def test_a_red_circle():
    images = np.zeros((20, 20, 3), np.float32)
    found = np.asarray(prompts.overlay(16, 2, 2, thickness=3).apply({}, images))
    y, x = np.mgrid[:20, :20] - 9.5
    away = np.hypot(y, x)
    np.testing.assert_array_equal(found[..., 0] == 1, (away < 8) & (away >= 5))
    assert (found[..., 1:] == 0).all()
    full = np.asarray(prompts.overlay(16, 2, 2, thickness=9).apply({}, images))
    np.testing.assert_array_equal(full[..., 0] == 1, away < 8)
    for shape in ("box", "circle"):
        thin = prompts.overlay(16, 2, 2, shape=shape, thickness=0)
        np.testing.assert_array_equal(thin.apply({}, images), images)


def test_grey_and_invert():
    grey = np.asarray(prompts.grey().apply({}, IMAGES))
    luma = np.float64(IMAGES) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey, np.stack([luma] * 3, axis=-1), atol=1e-6)
    np.testing.assert_array_equal(prompts.invert().apply({}, IMAGES), 1 - IMAGES)


def test_quantize_is_what_a_file_of_8_bits_holds():
    stage = prompts.quantize()
    values = np.float32([-0.5, 0, 0.25, 0.5, 0.999, 1, 1.5]).reshape(1, 7, 1)
    stored = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    found = stage.apply({}, values)
    np.testing.assert_array_equal(np.rint(255 * np.asarray(found)), stored)
    np.testing.assert_allclose(found, stored / 255, atol=1e-7)
    np.testing.assert_array_equal(stage.apply({}, found), found)
    levels = np.arange(256, dtype=np.float32).reshape(16, 16, 1) / 255
    np.testing.assert_allclose(stage.apply({}, levels), levels, rtol=1e-6)


def test_quantize_lets_gradients_through_where_it_does_not_clip():
    values = jnp.asarray([-0.5, 0.2, 0.4, 0.9, 1.5]).reshape(1, 5, 1)
    stage = prompts.quantize(3)
    assert stage.apply({}, values).ravel().tolist() == [0, 0, 0.5, 1, 1]
    slope = jax.grad(lambda x: jnp.sum(3 * stage.apply({}, x)))(values)
    assert slope.ravel().tolist() == [0, 3, 3, 3, 0]


def test_black_and_white_pixels_get_half_the_gradient_of_a_clip():
    values = jnp.asarray([-0.5, 0.0, 0.25, 1.0, 1.5]).reshape(1, 5, 1)
    stage = prompts.clip()
    assert stage.apply({}, values).ravel().tolist() == [0, 0, 0.25, 1, 1]
    slope = jax.grad(lambda x: jnp.sum(4 * stage.apply({}, x)))(values)
    assert slope.ravel().tolist() == [0, 2, 4, 2, 0]
