import dataclasses
import json
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from tiny_clips import RESNET, VIT, golden_weights, random_params

from vp_jax import backbones
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.export import write_openai
from vp_jax.backbones.clip.hf import HF
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.loading import clip as clip_loading
from vp_jax.backbones.weights.table import to_state_dict
from vp_jax.errors import UserError


def _copy(name, folder):
    return shutil.copy(golden_weights(name), folder)


def test_load(tmp_path):
    backbone = backbones.load("mine", _copy("vit_openai", tmp_path), size=VIT)
    assert (backbone.name, backbone.embed_dim, backbone.image_size) == ("mine", 24, 24)
    assert (backbone.resize_size, backbone.resize_method) == (24, "bicubic")
    assert backbone.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)
    assert backbone.fingerprint.startswith("mine:sha256:")
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(backbone.params))
    assert "params" not in repr(backbone)


def test_unknown_name():
    with pytest.raises(UserError, match="unknown backbone 'clip_vitb32'.*clip_vit_b32"):
        backbones.load("clip_vitb32")
    assert "clip_rn50" in backbones.names()


def test_packaged_weights_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(clip_loading, "PACKAGED", tmp_path)
    with pytest.raises(UserError, match="clip_tiny has no weights by default"):
        backbones.load("clip_tiny")


def test_every_layout_and_dtype_gives_the_same_fingerprint(tmp_path):
    original = backbones.load("mine", _copy("vit_openai", tmp_path), size=VIT)
    write_openai(tmp_path / "half.safetensors", "mine", original.params)
    write_openai(tmp_path / "single.safetensors", "mine", original.params, np.float32)
    hf = to_state_dict(original.params, HF)
    safetensors.numpy.save_file(hf, tmp_path / "hf.safetensors")
    for name in ("half", "single", "hf"):
        loaded = backbones.load("mine", tmp_path / f"{name}.safetensors", size=VIT)
        assert loaded.fingerprint == original.fingerprint, name
    assert backbones.from_params("mine", original.params, size=VIT).fingerprint == (
        original.fingerprint
    )
    with safetensors.safe_open(tmp_path / "half.safetensors", "np") as file:
        assert file.metadata() == {"name": "mine", "format": "OpenAI"}
        assert file.get_tensor("visual.proj").dtype == np.float16
    assert not list(tmp_path.glob("*.partial"))


def test_bfloat16_file(tmp_path):
    tensors = safetensors.numpy.load_file(golden_weights("vit_hf"))
    tensors = {name: x.astype(ml_dtypes.bfloat16) for name, x in tensors.items()}
    safetensors.numpy.save_file(tensors, tmp_path / "bf16.safetensors")
    params = backbones.load("mine", tmp_path / "bf16.safetensors", size=VIT).params
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_wrong_patch_size(tmp_path):
    wrong = dataclasses.replace(VIT, patch_size=4)
    with pytest.raises(UserError) as caught:
        backbones.load("mine", _copy("vit_openai", tmp_path), size=wrong)
    assert "2 tensors are of the wrong shape" in str(caught.value)
    assert "visual.conv1.weight: the file has (32, 3, 8, 8), needed is (32, 3, 4, 4)" in str(
        caught.value
    )


def test_bfloat16_computation_gives_float32_features():
    params = random_params(VIT)
    plain = backbones.from_params("mine", params, size=VIT)
    half = backbones.from_params("mine", params, dtype=jnp.bfloat16, size=VIT)
    images = np.random.default_rng(0).normal(size=(1, 24, 24, 3)).astype(np.float32)
    features = [jax.jit(b.apply)(b.params, images) for b in (plain, half)]
    assert features[1].dtype == jnp.float32
    assert 0 < np.abs(features[0] - features[1]).max() < 0.1 * np.abs(features[0]).max()
    narrow = jax.ShapeDtypeStruct(images.shape, jnp.bfloat16)
    assert jax.eval_shape(half.apply, half.params, narrow).dtype == jnp.float32


def test_from_params_refuses_what_does_not_fit():
    params = random_params(VIT)
    del params["visual"]["ln_pre"]
    with pytest.raises(UserError, match="2 tensors are missing:\n  visual/ln_pre/"):
        backbones.from_params("mine", params, size=VIT)
    with pytest.raises(UserError, match="without a tokenizer"):
        backbones.from_params("mine", random_params(VIT), size=VIT).tokenizer(["a"])


def test_export_of_a_resnet_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be told apart"):
        write_openai(tmp_path / "x.safetensors", "mine", random_params(RESNET))


HF_CONFIG = {
    "text_config": {"hidden_act": "quick_gelu", "num_attention_heads": 2},
    "vision_config": {"num_attention_heads": 2},
}
OPEN_CLIP_CONFIG = {
    "model_cfg": {
        "quick_gelu": True,
        "vision_cfg": {"width": 32, "head_width": 16},
        "text_cfg": {"heads": 2},
    }
}


@pytest.mark.parametrize(
    ("name", "file", "config", "changes", "message"),
    [
        ("vit_hf", "config.json", HF_CONFIG, {}, None),
        (
            "vit_hf",
            "config.json",
            HF_CONFIG,
            {"text_config_dict": {"hidden_act": "gelu"}},
            "text activation: the file says gelu, mine has quick_gelu",
        ),
        (
            "vit_hf",
            "config.json",
            HF_CONFIG,
            {"vision_config": {}},
            "vision heads: the file says 12",
        ),
        ("vit_openai", "open_clip_config.json", OPEN_CLIP_CONFIG, {}, None),
        (
            "vit_openai",
            "open_clip_config.json",
            {"model_cfg": {**OPEN_CLIP_CONFIG["model_cfg"], "quick_gelu": False}},
            {},
            "vision activation: the file says gelu",
        ),
        ("vit_openai", "open_clip_config.json", {}, {}, "not a readable config"),
        ("vit_openai", "config.json", {"architecture": "of timm"}, {}, None),
    ],
)
def test_config_beside_the_weights(name, file, config, changes, message, tmp_path):
    path = _copy(name, tmp_path)
    (tmp_path / file).write_text(json.dumps(config | changes))
    if message is None:
        backbones.load("mine", path, size=VIT)
        return
    with pytest.raises(UserError, match=message):
        backbones.load("mine", path, size=VIT)


def test_tokenizer_of_another_model_is_refused(tmp_path, monkeypatch):
    from vp_jax.backbones.clip import tokenizer

    path = _copy("vit_openai", tmp_path)
    (tmp_path / "tokenizer.json").touch()
    fake = type("Fake", (), {"vocab_size": 80, "from_files": classmethod(lambda c, *a: c)})
    monkeypatch.setattr(tokenizer, "Tokenizer", fake)
    assert backbones.load("mine", path, size=VIT).tokenizer is fake
    fake.vocab_size = 49408
    with pytest.raises(UserError, match="has 49408 ids, mine has 80"):
        backbones.load("mine", path, size=VIT)


@pytest.mark.slow
def test_import_is_light():
    code = "import sys, vp_jax.backbones; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "tensorflow", "transformers", "huggingface_hub", "safetensors", "tokenizers"}
    assert not heavy & set(run.stdout.split())


def test_init_params():
    params = jax.eval_shape(lambda key: backbones.init_params("clip_tiny", key), jax.random.key(0))
    assert params == clip_params.shapes(SIZES["clip_tiny"])
    assert clip_params.logit_scale({"logit_scale": np.log(1 / 0.07)}) == pytest.approx(1 / 0.07)
