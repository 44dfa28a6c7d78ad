import jax
import ml_dtypes
import numpy as np
import pytest
from tiny_clips import GOLDEN, RESNET, VIT, golden_weights

from vp_jax.backbones.clip import openai as clip_openai
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.weights import files as weight_files
from vp_jax.backbones.weights.fingerprint import fingerprint
from vp_jax.backbones.weights.table import convert, to_state_dict
from vp_jax.errors import UserError


def _tensors(name):
    return dict(weight_files.read(golden_weights(name)))


def _convert(tensors, size=VIT):
    return clip_params.from_tensors(tensors, size, file="some/file", model="clip_test")


@pytest.mark.parametrize("name", ["vit_openai", "vit_hf"])
def test_round_trip(name):
    tensors = _tensors(name)
    table = clip_params.TABLES[GOLDEN[name][1]]
    params = _convert(tensors)
    back = to_state_dict(params, table)
    assert back.keys() == tensors.keys()
    for key, array in back.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous
        np.testing.assert_array_equal(array, tensors[key].astype(np.float32), err_msg=key)
    again = _convert(back)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_one_layout_to_the_other_keeps_the_fingerprint():
    params = _convert(_tensors("vit_openai"))
    expected = fingerprint("x", params)
    for table in clip_params.TABLES.values():
        tensors = to_state_dict(params, table)
        half = {name: array.astype(np.float16) for name, array in tensors.items()}
        assert fingerprint("x", _convert(tensors)) == expected
        assert fingerprint("x", _convert(half)) == expected
    assert expected.startswith("x:sha256:") and len(expected) == len("x:sha256:") + 16
    params["text"]["ln_final"]["bias"] = params["text"]["ln_final"]["bias"] + 1e-6
    assert fingerprint("x", params) != expected


def test_result_has_the_shapes_of_the_modules_and_is_float32():
    for size, name in ((VIT, "vit_openai"), (RESNET, "resnet_openai")):
        params = _convert(_tensors(name), size)
        wanted = clip_params.shapes(size)
        assert jax.tree.structure(params) == jax.tree.structure(wanted)
        same = jax.tree.map(lambda x, s: (x.shape, x.dtype) == (s.shape, s.dtype), params, wanted)
        assert all(jax.tree.leaves(same))


def test_bfloat16():
    tensors = {n: x.astype(ml_dtypes.bfloat16) for n, x in _tensors("vit_openai").items()}
    params = _convert(tensors)
    np.testing.assert_array_equal(
        params["visual"]["proj"]["kernel"], tensors["visual.proj"].astype(np.float32)
    )


def test_folded_batch_norm_does_not_go_back():
    params = _convert(_tensors("resnet_openai"), RESNET)
    with pytest.raises(UserError, match=r"cannot be written in the OpenAI layout.*bn1"):
        to_state_dict(params, clip_params.TABLES["openai"])


def test_batch_norm_is_folded_in_double_precision():
    tensors = {n: x.astype(np.float64) for n, x in _tensors("resnet_openai").items()}
    params = _convert(tensors, RESNET)["visual"]["stage_1_block_1"]["conv2"]
    conv, norm = "visual.layer2.1.conv2.weight", "visual.layer2.1.bn2"
    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + 1e-5)
    kernel = np.einsum("oihw,o->hwio", tensors[conv], scale)
    bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    np.testing.assert_array_equal(params["kernel"], kernel.astype(np.float32))
    np.testing.assert_array_equal(params["bias"], bias.astype(np.float32))


def test_everything_wrong_is_in_one_message():
    tensors = _tensors("vit_openai")
    del tensors["visual.ln_pre.bias"], tensors["transformer.resblocks.1.mlp.c_fc.weight"]
    tensors["visual.extra"] = np.zeros((2, 3), np.float32)
    tensors["visual.proj"] = np.zeros((5, 6), np.float32)
    tensors["text_projection"] = np.full_like(tensors["text_projection"], np.nan)
    tensors["positional_embedding"][0, 0] = np.inf
    tensors["ln_final.bias"] = np.zeros(16, np.int8)
    with pytest.raises(UserError) as caught:
        _convert(tensors)
    assert str(caught.value).split("\n") == [
        "some/file (OpenAI layout) does not hold the weights of clip_test.",
        "2 tensors are missing:",
        "  transformer.resblocks.1.mlp.c_fc.weight: needed is (64, 16)",
        "  visual.ln_pre.bias: needed is (32,)",
        "1 tensor is unexpected:",
        "  visual.extra: (2, 3)",
        "1 tensor is of the wrong shape:",
        "  visual.proj: the file has (5, 6), needed is (32, 24)",
        "1 tensor is not floating-point:",
        "  ln_final.bias: int8",
        "2 tensors are not finite (NaN or Inf):",
        "  positional_embedding",
        "  text_projection",
    ]


def test_negative_variance_is_found():
    tensors = _tensors("resnet_openai")
    tensors["visual.bn1.running_var"] = -np.ones_like(tensors["visual.bn1.running_var"])
    with pytest.raises(UserError, match=r"not finite \(NaN or Inf\):(\n.*)*visual.bn1.running_var"):
        _convert(tensors, RESNET)


def test_long_lists_are_cut_but_counted():
    tensors = _tensors("vit_openai") | {f"other.{i}": np.zeros(1) for i in range(33)}
    with pytest.raises(UserError, match=r"33 tensors are unexpected") as caught:
        _convert(tensors)
    assert "other.19:" in str(caught.value) and "other.20:" not in str(caught.value)
    assert "... and 13 more" in str(caught.value)


def test_what_carries_no_weights_is_ignored():
    tensors = _tensors("vit_openai") | {
        "input_resolution": np.array(24),
        "context_length": np.array(12),
        "vocab_size": np.array(80),
        "attn_mask": np.zeros((12, 12)),
    }
    _convert(tensors)
    _convert(_tensors("vit_hf") | {"text_model.embeddings.position_ids": np.arange(12)[None]})
    with pytest.raises(UserError, match="unexpected:\n  mine"):
        _convert(tensors | {"mine": np.zeros(1)})
    target, table = clip_params.shapes(VIT), clip_params.TABLES["openai"]
    tensors["mine"] = np.zeros(1)
    convert(tensors, table, target, file="f", model="m", ignore=["mine"])


def _as_if(name, layout):
    """Tensors with the names and shapes of a released size, without memory behind them."""
    table = clip_params.TABLES[layout]
    flat = clip_params.shapes(SIZES[name])
    empty = jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape), flat)
    return to_state_dict(empty, table)


@pytest.mark.parametrize("layout", ["openai", "hf"])
def test_the_size_that_a_file_looks_like_is_named(layout):
    tensors = _as_if("clip_tiny", layout)
    with pytest.raises(UserError, match="looks like clip_tiny: is that the backbone"):
        _convert(tensors)


def test_a_file_that_another_size_would_not_load_either_does_not_look_like_it():
    whole = _as_if("clip_tiny", "openai")
    few = {n: whole[n] for n in clip_openai.signature(SIZES["clip_tiny"])}
    spoilt = whole | {"ln_final.bias": np.full(128, np.nan, np.float32)}
    more = whole | {"visual.more": np.zeros(1, np.float32)}
    short = whole | {"ln_final.bias": np.zeros(127, np.float32)}
    for tensors in (few, spoilt, more, short):
        with pytest.raises(UserError) as caught:
            _convert(tensors)
        assert "looks like" not in str(caught.value)


def test_resnet_sizes_are_told_apart():
    resnets = [size for size in SIZES.values() if size.patch_size is None]
    signatures = [clip_openai.signature(size) for size in resnets]
    for i, signature in enumerate(signatures):
        assert [other.items() <= signature.items() for other in signatures].index(True) == i
        assert sum(other.items() <= signature.items() for other in signatures) == 1


def test_unknown_layouts():
    with pytest.raises(UserError, match=r"no known CLIP layout.*blocks.0.attn.*timm"):
        _convert({"blocks.0.attn.qkv.weight": np.zeros((3, 1))})
    with pytest.raises(UserError, match="no tensors at all"):
        _convert({})
    with pytest.raises(UserError, match="Hugging Face layout, which has no ResNet"):
        _convert(_tensors("vit_hf"), RESNET)
