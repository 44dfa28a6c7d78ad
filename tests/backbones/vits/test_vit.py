"""ViT and DeiT: names, weight layouts, and the real DeiT-Tiny where it is there."""

import io
import json
import os
import pathlib
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from PIL import Image
from tiny_classifiers import GOLDEN, GOLDEN_FOLDER

from vp_jax import backbones
from vp_jax.backbones import classifier
from vp_jax.backbones.layers.patches import patches
from vp_jax.backbones.loading import classifier_config
from vp_jax.backbones.vits import weights as vit_weights
from vp_jax.backbones.vits.sizes import VITS
from vp_jax.backbones.vits.vit import EPSILON
from vp_jax.backbones.weights import files as weight_files
from vp_jax.backbones.weights.table import to_state_dict
from vp_jax.data.images.preprocess import ResizeRule, preprocess_one
from vp_jax.errors import UserError
from vp_jax.prompts import normalize

TINY = GOLDEN["vit"]
PARAMETERS = {  # as timm counts them
    "vit_ti16": 5_717_416,
    "vit_s16": 22_050_664,
    "vit_b16": 86_567_656,
    "vit_b32": 88_224_232,
    "vit_l16": 304_326_632,
    "deit_ti16": 5_717_416,
    "deit_s16": 22_050_664,
    "deit_b16": 86_567_656,
}
IMAGENETTE = {
    "tench": 0,
    "english_springer": 217,
    "cassette_player": 482,
    "chain_saw": 491,
    "church": 497,
    "french_horn": 566,
    "garbage_truck": 569,
    "gas_pump": 571,
    "golf_ball": 574,
    "parachute": 701,
}


def _tensors():
    return dict(weight_files.read(GOLDEN_FOLDER / "vit.safetensors"))


def _convert(tensors):
    return classifier.from_tensors(tensors, TINY, file="some/file", name="vit")


@pytest.mark.parametrize("name", VITS)
def test_sizes(name):
    model = VITS[name]
    shapes = classifier.shapes(model)
    assert name in backbones.names()
    assert sum(np.prod(x.shape, dtype=int) for x in jax.tree.leaves(shapes)) == PARAMETERS[name]
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    features = jax.eval_shape(
        lambda p, x: model.trunk(None).apply({"params": p}, x), shapes["visual"], images
    )
    assert features.shape == (2, model.embed_dim)
    assert (model.image_size, model.resize_size, model.resize_method) == (224, 248, "bicubic")
    assert model.mean == ((0.485, 0.456, 0.406) if name.startswith("deit") else (0.5, 0.5, 0.5))


def test_googles_npz_gives_the_same_tree(tmp_path):
    params = _convert(_tensors())
    google = to_state_dict(params, vit_weights.google(16))
    block = "Transformer/encoderblock_1"
    assert google["embedding/kernel"].shape == (8, 8, 3, 32)
    assert google["cls"].shape == (1, 1, 32)
    assert google["Transformer/posembed_input/pos_embedding"].shape == (1, 10, 32)
    attention = f"{block}/MultiHeadDotProductAttention_1"
    assert google[f"{attention}/query/kernel"].shape == (32, 2, 16)
    assert google[f"{attention}/value/bias"].shape == (2, 16)
    assert google[f"{attention}/out/kernel"].shape == (2, 16, 32)
    assert google[f"{block}/MlpBlock_3/Dense_0/kernel"].shape == (32, 128)
    assert google[f"{block}/LayerNorm_2/scale"].shape == (32,)
    assert google["head/kernel"].shape == (32, 10)
    np.savez(tmp_path / "vit.npz", **google)
    again = _convert(weight_files.read(tmp_path / "vit.npz"))
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_googles_heads_are_timms():
    """Head by head, from the two files' tensors alone, without the table's transforms."""
    timm = {n: x.astype(np.float32) for n, x in _tensors().items()}
    google = to_state_dict(_convert(timm), vit_weights.google(16))
    x = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    qkv = x @ timm["blocks.0.attn.qkv.weight"].T + timm["blocks.0.attn.qkv.bias"]
    qkv = qkv.reshape(5, 3, 2, 16)  # as timm's Attention does
    attention = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1"
    for i, which in enumerate(("query", "key", "value")):
        kernel, bias = (google[f"{attention}/{which}/{n}"] for n in ("kernel", "bias"))
        found = np.einsum("td,dhw->thw", x, kernel) + bias
        np.testing.assert_allclose(found, qkv[:, i], atol=1e-5)
    merged = np.einsum("thw,hwd->td", qkv[:, 2], google[f"{attention}/out/kernel"])
    expected = qkv[:, 2].reshape(5, 32) @ timm["blocks.0.attn.proj.weight"].T
    np.testing.assert_allclose(merged, expected, atol=1e-5)


@pytest.mark.parametrize("table", TINY.tables, ids=lambda table: table.name)
def test_round_trip(table):
    params = _convert(_tensors())
    again = _convert(to_state_dict(params, table))
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_everything_wrong_is_listed():
    tensors = _tensors()
    del tensors["blocks.1.attn.qkv.bias"], tensors["head.weight"]
    tensors["pos_embed"] = np.zeros((1, 11, 32), np.float32)
    tensors["dist_token"] = np.zeros((1, 1, 32), np.float32)
    with pytest.raises(UserError) as caught:
        _convert(tensors)
    lines = str(caught.value).split("\n")
    assert lines[1] == "2 tensors are missing:"
    assert "  blocks.1.attn.qkv.bias: needed is (96,)" in lines
    assert "  head.weight: needed is (10, 32)" in lines
    assert "  dist_token: (1, 1, 32)" in lines
    assert "  pos_embed: the file has (1, 11, 32), needed is (1, 10, 32)" in lines


def test_a_pre_logits_layer_is_refused():
    tensors = to_state_dict(_convert(_tensors()), vit_weights.google(16))
    tensors["pre_logits/kernel"] = np.zeros((32, 32), np.float32)
    with pytest.raises(UserError, match="unexpected:\n  pre_logits/kernel"):
        _convert(tensors)


@pytest.mark.slow(seconds=5)
def test_class_token_alone_in_the_last_block_equals_the_full_computation():
    params = _convert(_tensors())["visual"]
    images = np.random.default_rng(0).normal(size=(2, 24, 24, 3)).astype(np.float32)

    def norm(params, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / jnp.sqrt((x**2).mean(-1, keepdims=True) + EPSILON)
        return x * params["scale"] + params["bias"]

    def dense(params, x):
        return x @ params["kernel"] + params["bias"]

    x = dense(params["patch_embedding"], patches(jnp.asarray(images), 8))
    token = jnp.broadcast_to(params["class_embedding"], (2, 1, 32))
    x = jnp.concatenate([token, x], axis=1) + params["positional_embedding"]
    for block in (params["blocks_0"], params["blocks_1"]):
        attn = block["attn"]
        qkv = norm(block["ln_1"], x) @ attn["qkv_kernel"] + attn["qkv_bias"]
        q, k, v = (y.reshape(2, -1, 2, 16).swapaxes(1, 2) for y in jnp.split(qkv, 3, axis=-1))
        mixed = jax.nn.softmax(q @ k.swapaxes(2, 3) / 4) @ v
        x = x + dense(attn["out"], mixed.swapaxes(1, 2).reshape(2, -1, 32))
        hidden = dense(block["mlp_fc"], norm(block["ln_2"], x))
        hidden = hidden * 0.5 * (1 + jax.lax.erf(hidden / np.sqrt(2)))
        x = x + dense(block["mlp_proj"], hidden)
    expected = norm(params["ln_post"], x)[:, 0]
    found = TINY.trunk(None).apply({"params": params}, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_bfloat16_computation_gives_float32_features_and_logits():
    params = _convert(_tensors())
    plain = classifier.backbone("vit", TINY, params)
    half = classifier.backbone("vit", TINY, params, jnp.bfloat16)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 24, 24, 3)), jnp.float32)
    features = [jax.jit(b.apply)(b.params, images) for b in (plain, half)]
    assert features[1].dtype == half.classify(half.params, features[1]).dtype == jnp.float32
    assert 0 < np.abs(features[0] - features[1]).max() < 0.1 * np.abs(features[0]).max()


def test_wrong_image_size_is_refused():
    with pytest.raises(UserError, match="the backbone takes"):
        TINY.trunk(None).apply(
            {"params": _convert(_tensors())["visual"]}, jnp.zeros((1, 32, 32, 3))
        )


@pytest.mark.slow
def test_init_is_random_everywhere_it_matters():
    params = jax.jit(lambda key: classifier.init(TINY, key))(jax.random.key(0))
    for path, param in traverse_util.flatten_dict(params, sep="/").items():
        if param.ndim > 1 or path.endswith("embedding"):
            assert param.std() > 0, path


@pytest.mark.slow
def test_deit_tiny_recognises_imagenette(optimized):
    folder = pathlib.Path(os.environ.get("VP_JAX_DATA", "data"))
    weights, archive = folder / "deit_tiny_patch16_224.safetensors", "imagenette_val500.tar"
    for path in (weights, folder / archive):
        if not path.exists():
            pytest.skip(f"no {path.name}: name the folder that holds it in VP_JAX_DATA")
    model = backbones.load("deit_ti16", weights)
    assert model.source_classes[217] == "English springer"

    rule = ResizeRule(model.image_size, model.resize_size, model.resize_method)
    images, labels = [], []
    with tarfile.open(folder / archive) as file:
        for member in filter(tarfile.TarInfo.isfile, file):
            picture = Image.open(io.BytesIO(file.extractfile(member).read())).convert("RGB")
            images.append(preprocess_one(np.asarray(picture), rule))
            labels.append(IMAGENETTE[pathlib.PurePath(member.name).parts[-2]])
    labels = np.array(labels)
    assert len(labels) == 500

    @jax.jit
    def predict(batch):
        x = normalize(model.mean, model.std).apply({}, batch.astype(jnp.float32) / 255)
        return model.classify(model.params, model.apply(model.params, x))

    logits = np.concatenate([predict(np.stack(images[i : i + 50])) for i in range(0, 500, 50)])
    ten = np.array(list(IMAGENETTE.values()))
    assert 100 * np.mean(logits.argmax(1) == labels) == pytest.approx(72.0, abs=0.5)
    assert 100 * np.mean(ten[logits[:, ten].argmax(1)] == labels) == pytest.approx(98.4, abs=0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}', r"not for deit_ti16.*mean is \(0.5, 0.5"),
        ('{"pretrained_cfg": {"mean": "grey"}}', r"is not a readable config of timm's"),
        ("{", r"is not a readable config of timm's"),
    ],
)
def test_a_config_file_of_other_means_is_refused(tmp_path, text, words):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=words):
        classifier_config.check(tmp_path, VITS["deit_ti16"], "deit_ti16")


def test_config_files_that_agree_or_are_of_others_are_accepted(tmp_path):
    model = VITS["deit_ti16"]
    classifier_config.check(tmp_path, model, "deit_ti16")
    for text in ('{"model_type": "vit"}', json.dumps({"pretrained_cfg": {"mean": model.mean}})):
        (tmp_path / "config.json").write_text(text)
        classifier_config.check(tmp_path, model, "deit_ti16")
