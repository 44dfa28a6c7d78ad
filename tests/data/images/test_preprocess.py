"""Preprocessing against PIL, with torchvision's rules for sizes and crops."""

from __future__ import annotations

import concurrent.futures
import doctest
import io
import os
import pathlib
import tarfile
import tracemalloc

import jax
import numpy as np
import pytest
from PIL import Image
from pil_transform import METHODS, with_pil

from vp_jax.data.images import host_preprocess
from vp_jax.data.images import preprocess as pp
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.errors import UserError

RULES = [
    ResizeRule(224),
    ResizeRule(224, 256, "bilinear"),
    ResizeRule(32, method="bilinear"),
    ResizeRule(33, 40),
]


def assert_equals_pil(image: np.ndarray, rule: ResizeRule, result: np.ndarray) -> None:
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, with_pil(image, rule))


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


def gradient(height: int, width: int) -> np.ndarray:
    down, right = np.mgrid[0:height, 0:width]
    planes = [255 * down / max(height - 1, 1), 255 * right / max(width - 1, 1), down + right]
    return (np.stack(planes, axis=-1) % 256).astype(np.uint8)


def edges(height: int, width: int) -> np.ndarray:
    """Black strokes on white, as in text: cubic overshoot is clipped on both sides."""
    strokes = (np.random.default_rng(0).uniform(size=(height, width, 1)) < 0.2) * 255
    return np.repeat(255 - strokes, 3, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize(
    "size", [(8, 8), (32, 32), (375, 500), (500, 375), (480, 640), (97, 61), (33, 224), (256, 256)]
)
def test_synthetic_images(size, rule):
    for make in (noise, gradient, edges):
        image = make(*size)
        assert_equals_pil(image, rule, pp.preprocess_one(image, rule))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (2, 1), (1, 700), (900, 3), (3000, 40), (2, 3), (31, 32), (65, 64)]
)
def test_degenerate_sizes(size, method):
    for rule in (ResizeRule(32, method=method), ResizeRule(7, 8, method)):
        assert_equals_pil(noise(*size), rule, pp.preprocess_one(noise(*size), rule))


def test_shrinking_far():
    """In compiled steps sums of thousands of pixels may lose the last bits of the weights."""
    for rule in (ResizeRule(8), ResizeRule(8, method="bilinear")):
        for image in (noise(1500, 1100), gradient(1500, 1100)):
            expected = with_pil(image, rule)
            np.testing.assert_array_equal(pp.preprocess_one(image, rule), expected)
            compiled = pp.resize_and_crop(image[None], *pp.resize_matrices(1500, 1100, rule))[0]
            difference = np.abs(np.asarray(compiled).astype(int) - expected)
            assert difference.max() <= 1 and (difference == 0).mean() > 0.99


@pytest.mark.parametrize("size", [(31, 256), (256, 31), (32, 256), (257, 32), (900, 31), (29, 999)])
@pytest.mark.parametrize("rule", [ResizeRule(24), ResizeRule(24, 40, "bilinear")], ids=str)
def test_both_ways_of_resizing_agree_where_they_meet(size, rule, monkeypatch):
    for make in (noise, edges):
        image, results = make(*size), []
        for factor in (1, 1000):
            monkeypatch.setattr(host_preprocess, "_ELONGATED", factor)
            results.append(pp.preprocess_one(image, rule))
        np.testing.assert_array_equal(*results)
        assert_equals_pil(image, rule, results[0])


def test_random_sizes_and_rules():
    rng = np.random.default_rng(7)
    for number in range(60):
        height, width = (int(2 ** rng.uniform(0, 9)) for _ in range(2))
        side = int(rng.integers(1, 80))
        method = sorted(METHODS)[number % 2]
        rule = ResizeRule(side, side + int(rng.integers(0, 30)), method)
        image = (noise, edges)[number % 3 > 0](height, width)
        assert_equals_pil(image, rule, pp.preprocess_one(image, rule))


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (1, 3_000_000), (2_000_000, 2)])
def test_very_long_images_take_no_more_memory_than_they_have(size):
    """PIL would make them 4,480,000 pixels long, and those of millions far longer."""
    image = noise(*size)
    tracemalloc.start()
    result = pp.preprocess_one(image, ResizeRule(224))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e7
    tall, middle = size[0] > size[1], max(size) // 2
    near = image[middle - 9 : middle + 9] if tall else image[:, middle - 9 : middle + 9]
    np.testing.assert_array_equal(result, pp.preprocess_one(near, ResizeRule(224)))


def test_a_long_image_that_shrinks():
    rule = ResizeRule(16)
    for size in ((160, 2001), (2001, 160)):
        assert_equals_pil(noise(*size), rule, pp.preprocess_one(noise(*size), rule))


def test_threads():
    images = [noise(90 + i, 150 - i) for i in range(40)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda image: pp.preprocess_one(image, ResizeRule(32)), images))
    for image, result in zip(images, results, strict=True):
        assert_equals_pil(image, ResizeRule(32), result)
        assert result.flags.writeable


def test_images_that_may_not_be_written_or_are_views():
    image = np.broadcast_to(noise(50, 70)[..., :1], (50, 70, 3))
    for view in (image, noise(50, 70)[::-1, ::2]):
        assert_equals_pil(np.ascontiguousarray(view), RULES[2], pp.preprocess_one(view, RULES[2]))


def test_modules_that_only_read_and_decode_import_no_jax(python):
    """Nor do they need the package's own imports, which are left out here."""
    script = """
import sys, types
for name in ("vp_jax", "vp_jax.data"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [name.replace(".", "/")]
import numpy as np
import vp_jax.data.images.decode, vp_jax.data.files.file_tree, vp_jax.data.files.npz_array
from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.data.images.resize_rule import ResizeRule
preprocess_one(np.zeros((9, 20, 3), np.uint8), ResizeRule(8))
assert not {"jax", "tensorflow", "tensorflow_datasets"} & set(sys.modules)
"""
    python("-c", script, check=True)


def test_the_identity_is_exact():
    image = noise(32, 32)
    np.testing.assert_array_equal(pp.preprocess_one(image, ResizeRule(32)), image)
    wide = noise(32, 61)
    np.testing.assert_array_equal(pp.preprocess_one(wide, ResizeRule(32)), wide[:, 14:46])


def test_the_identity_costs_no_matrix_product():
    images = noise(32, 32)[None]
    rule = ResizeRule(32)
    np.testing.assert_allclose(pp.preprocess(images, rule), images / 255.0, rtol=1e-6)
    program = str(jax.make_jaxpr(lambda x: pp.preprocess(x, rule))(images))
    assert "dot_general" not in program


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_bundled_photographs(rule):
    datasets = pytest.importorskip("sklearn.datasets")
    for photograph in datasets.load_sample_images().images:
        assert_equals_pil(photograph, rule, pp.preprocess_one(photograph, rule))


def test_real_photographs():
    folder = pathlib.Path(os.environ.get("VP_JAX_DATA", "data"))
    archive = folder / "imagenette_val500.tar"
    if not archive.exists():
        pytest.skip("no imagenette_val500.tar: name the folder that holds it in VP_JAX_DATA")
    with tarfile.open(archive) as tar:
        members = [m for m in tar.getmembers() if m.isfile() and m.name.endswith(".JPEG")]
        for member in members[:: len(members) // 20]:
            content = io.BytesIO(tar.extractfile(member).read())
            photograph = np.asarray(Image.open(content).convert("RGB"))
            for rule in RULES[:2]:
                assert_equals_pil(photograph, rule, pp.preprocess_one(photograph, rule))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_batches_inside_jit(rule):
    images = np.stack([make(32, 45) for make in (noise, gradient, edges)])
    result = jax.jit(pp.preprocess, static_argnums=1)(images, rule)
    size = rule.image_size
    assert result.shape == (3, size, size, 3) and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 1
    for image, values in zip(images, np.asarray(result), strict=True):
        levels = np.rint(values * 255).astype(np.uint8)
        np.testing.assert_allclose(values, levels / 255.0, atol=1e-7)
        assert_equals_pil(image, rule, levels)
    np.testing.assert_allclose(pp.preprocess(images, rule), result, atol=1e-7)  # one rounding


def test_single_images_compile_nothing():
    pp.resize_and_crop.clear_cache()
    for height, width in [(300, 400), (310, 500), (290, 700), (320, 301)]:
        pp.preprocess_one(noise(height, width), ResizeRule(24))
    assert pp.resize_and_crop._cache_size() == 0


@pytest.mark.parametrize("size", [(300, 400), (70, 41)])
def test_compiled_and_on_the_host(size):
    image = edges(*size)
    for rule in RULES:
        compiled = pp.resize_and_crop(image[None], *pp.resize_matrices(*size, rule))[0]
        np.testing.assert_array_equal(compiled, pp.preprocess_one(image, rule))


def test_matrices():
    rows, columns = pp.resize_matrices(50, 80, ResizeRule(20, 25))
    assert rows.shape == (20, 50) and columns.shape == (20, 80)
    assert rows.dtype == columns.dtype == np.float32
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    assert pp.resize_matrices(50, 80, ResizeRule(20, 25))[0] is rows
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pp.preprocess(np.zeros((1, 8, 8, 3)), ResizeRule(8)), r"float.*\(1, 8, 8, 3\)"),
        (lambda: pp.preprocess(np.zeros((8, 8, 3), np.uint8), ResizeRule(8)), r"\(8, 8, 3\)"),
        (lambda: pp.preprocess(np.zeros((1, 3, 8, 8), np.uint8), ResizeRule(8)), r"\(1, 3, 8, 8"),
        (lambda: pp.preprocess_one(np.zeros((8, 8), np.uint8), ResizeRule(8)), r"\(8, 8\)"),
        (lambda: pp.preprocess_one(np.zeros((8, 8, 3)), ResizeRule(8)), r"float64.*\(8, 8, 3\)"),
        (lambda: pp.preprocess_one(np.zeros((0, 8, 3), np.uint8), ResizeRule(8)), r"\(0, 8, 3\)"),
        (lambda: pp.resize_matrices(0, 8, ResizeRule(8)), "height must be an int .* got 0"),
        (lambda: ResizeRule(0), "image_size must be an int of at least 1, got 0"),
        (lambda: ResizeRule(True), "image_size must be an int"),
        (lambda: ResizeRule(224, 256.0), "resize_size must be an int"),
        (lambda: ResizeRule(224, 200), "resize_size=200 and image_size=224"),
        (lambda: ResizeRule(8, method="bicubik"), "did you mean 'bicubic'"),
        (
            lambda: pp.resize_and_crop(
                np.zeros((1, 8, 8, 3), np.uint8), *pp.resize_matrices(8, 9, ResizeRule(8))
            ),
            r"\(8, 8\) and \(8, 9\) do not fit",
        ),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_examples_in_docstrings():
    assert doctest.testmod(pp).failed == 0


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_what_is_compared_with_is_torchvisions_transform(rule):
    transforms = pytest.importorskip("torchvision.transforms")
    resize = transforms.Resize(rule.short_side, transforms.InterpolationMode(rule.method))
    transform = transforms.Compose([resize, transforms.CenterCrop(rule.image_size)])
    for size in [(9, 12), (32, 32), (33, 33), (224, 224), (256, 256), (300, 151), (150, 900)]:
        expected = np.asarray(transform(Image.fromarray(noise(*size))))
        np.testing.assert_array_equal(with_pil(noise(*size), rule), expected)
