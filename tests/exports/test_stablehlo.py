"""Programs for any number of images, on platforms that this machine does not have."""

import ast
import dataclasses
import json
import pathlib
import types

import jax
import numpy as np
import own_backbone
import pytest

from vp_jax import backbones, heads
from vp_jax.backbones import ClipSize
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.layers import attention
from vp_jax.errors import UserError
from vp_jax.exports import run_stablehlo, stablehlo
from vp_jax.exports.program import check_against, make_program
from vp_jax.exports.wanted import Wanted
from vp_jax.prompts.stage import makers

PROMPTS = (
    "shrink(5) | pad(1) | clip | normalize",
    "normalize | random_patch(2)",
    "normalize | masked(full, layers=2, patch=1)",
    "normalize | cluster(pad(2), 2)",
    "normalize | class_wise(pad(1), 3)",
    "border(affine | color) | normalize",
    "border(resize, bounded=True) | quantize | normalize",
    "conv(3) | fourier(0.2) | low_rank(2) | normalize",
    "grey | invert | blur(1) | overlay(4) | fixed_patch(2) | frame(1) | normalize",
    f"normalize | generator({own_backbone.WIDTH})",
    "within(full, 8) | normalize | ensemble(pad(1), 2)",
)
SMALL = ClipSize(
    embed_dim=8,
    image_size=32,
    vision_layers=1,
    vision_width=8,
    patch_size=16,
    vision_heads=1,
    text_width=8,
    text_layers=1,
    text_heads=1,
    vocab_size=16,
    context_length=8,
)
"""A ViT."""
RESNET = {"vision_layers": (1, 1, 1, 1), "patch_size": None, "vision_heads": 32}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts_are_lowered_for_all_platforms(prompt, made):
    exported = stablehlo.lower(make_program(made(prompt)))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert str(exported.in_avals[0].shape[0]) == "batch" and exported.out_avals[0].shape[1] == 3


def test_most_stages_are_among_them():
    """The one that is not adds a number."""
    own = [name for name, make in makers().items() if make.__module__.startswith("vp_jax.")]
    left = {name for name in own if not any(name in prompt for prompt in PROMPTS)}
    assert left <= {"brighten"}, left


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet", "bfloat16"])
def test_backbones_are_lowered_for_all_platforms(kind, made):
    """Convolutions and attention; in bfloat16, for which a card has kernels of its own."""
    size = dataclasses.replace(SMALL, **RESNET) if kind == "resnet" else SMALL
    like = clip_params.shapes(size)
    params = jax.tree.map(lambda x: np.full(x.shape, 0.1, np.float32), like)
    dtype = jax.numpy.bfloat16 if kind == "bfloat16" else None
    backbone = backbones.from_params("small", params, size=size, dtype=dtype)
    program = make_program(made("normalize | pad(2)", backbone, heads.linear()))
    assert stablehlo.lower(program).platforms == stablehlo.PLATFORMS
    assert program.is_exact == (kind == "resnet")


def test_attention_is_portable_also_on_a_card(monkeypatch):
    """A card's own kernel would be in the program, and no other platform could run it."""
    x = np.ones((1, 4, 1, 8), jax.numpy.bfloat16)
    monkeypatch.setattr(attention, "is_fused", lambda dtype, width: True)
    card = types.SimpleNamespace(platform="gpu")
    monkeypatch.setattr(attention.jax, "local_devices", lambda: [card])

    def text():
        return str(jax.make_jaxpr(lambda x: attention.attention(x, x, x))(x))

    with attention.portable():
        assert "cudnn" not in text() and "custom" not in text()
    with pytest.raises(RuntimeError, match="cuDNN is not detected"):  # it would be asked for here
        text()


@pytest.mark.parametrize("size", [None, (11, 19)])
@pytest.mark.parametrize("apart", [False, True])
def test_a_folder_is_the_classifier(size, apart, made, tmp_path, monkeypatch):
    """Its script too, which imports nothing but JAX."""
    classifier = made("shrink(5) | pad(1) | normalize", temperature=2.0)
    monkeypatch.setattr(Wanted, "classifier", lambda self: classifier)
    said = stablehlo.write(
        Wanted("run", license="mit", image_size=size, weights_apart=apart), tmp_path / "out"
    )
    assert float(said.rpartition("at most ")[2].split()[0]) <= 1e-6
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert about["class_names"] == ["one", "two", "three"] and about["license"] == "mit"
    height, width = size or (5, 5)
    assert (about["images"]["height"], about["images"]["width"]) == (height, width)
    assert (tmp_path / "out" / "weights.npz").exists() == apart
    images = np.random.default_rng(1).integers(0, 256, (7, height, width, 3), np.uint8)
    content = (tmp_path / "out" / "classifier.stablehlo").read_bytes()
    again = jax.export.deserialize(bytearray(content))
    given = [dict(np.load(tmp_path / "out" / "weights.npz"))] if apart else []
    found = np.asarray(again.call(*given, images))
    assert found.shape == (7, 3)
    if size:
        np.testing.assert_allclose(found, classifier.probabilities(images), atol=1e-6)


@pytest.mark.slow
def test_the_runner_needs_jax_only(made, tmp_path, monkeypatch, capsys):
    text = pathlib.Path(run_stablehlo.__file__).read_text()
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 15
    nodes = [x for x in ast.walk(ast.parse(text)) if isinstance(x, (ast.Import, ast.ImportFrom))]
    imported = {alias.name for node in nodes for alias in node.names}
    assert imported == {"json", "pathlib", "sys", "jax.export", "numpy"}
    classifier = made()
    monkeypatch.setattr(Wanted, "classifier", lambda self: classifier)
    stablehlo.write(Wanted("run"), tmp_path)
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), np.uint8)
    run_stablehlo.main(tmp_path, images)
    told = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    expected = classifier.predict(images)
    assert told == [[p.name, f"{p.probability:.4f}"] for p in expected]
    assert (tmp_path / "run.py").read_text() == text


@pytest.mark.slow
def test_what_is_refused(made, monkeypatch):
    with pytest.raises(UserError, match="--image_size=HEIGHTxWIDTH"):
        make_program(made("shrink(5) | normalize | cluster(pad(1), 2)"))
    make_program(made("shrink(5) | normalize | cluster(pad(1), 2)"), (9, 9))
    program = make_program(made())
    with pytest.raises(UserError, match="nothing was written"):
        check_against(program, lambda images: np.full((len(images), 3), 1 / 3), 1e-6)
    with pytest.raises(UserError, match="nothing was written"):
        check_against(program, lambda images: np.full((len(images), 3), np.nan), 1e-6)
    monkeypatch.setattr(stablehlo, "MOST_INSIDE", 100)
    with pytest.raises(UserError, match="give --weights_apart"):
        stablehlo.lower(program)
    stablehlo.lower(program, weights_apart=True)


def test_what_a_platform_cannot_compute_is_said(made):
    """A call back to the host, in a backbone of somebody's own."""

    def called(params, images):
        shape = jax.ShapeDtypeStruct((images.shape[0], 32), np.float32)
        flat = images.reshape(images.shape[0], -1)[:, :32]
        return jax.pure_callback(lambda x: x, shape, flat)

    backbone = own_backbone.make(function=called)
    with pytest.raises(UserError, match="cannot be a program .* cpu, cuda, tpu"):
        stablehlo.lower(make_program(made(backbone=backbone)))
