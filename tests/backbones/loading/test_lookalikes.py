"""What is said of weights that are not of the model that was named; prefixes through `load`."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from tiny_classifiers import GOLDEN, golden_tensors, write_weights
from tiny_clips import VIT, golden_weights

from vp_jax import backbones
from vp_jax.backbones import classifier
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.errors import UserError


@pytest.fixture
def registered():
    """The small models can be loaded by name, and are the only ones."""
    tables = ((CLASSIFIERS, GOLDEN), (SIZES, {"tiny_clip": VIT}))
    saved = [dict(table) for table, _ in tables]
    for table, models in tables:
        table.clear()
        table.update(models)
    yield
    for (table, _), before in zip(tables, saved, strict=True):
        table.clear()
        table.update(before)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "model.", "backbone."])
@pytest.mark.parametrize("name", [*GOLDEN, "tiny_clip"])
def test_prefixes_are_taken_off_and_said(name, prefix, tmp_path, registered, capsys):
    folder = tmp_path / "plain"
    folder.mkdir()
    tensors = golden_tensors("vit_openai" if name == "tiny_clip" else name)
    expected = backbones.load(name, write_weights(folder, tensors))
    assert "prefix" not in capsys.readouterr().err
    path = write_weights(tmp_path, {prefix + key: x for key, x in tensors.items()})
    assert backbones.load(name, path).fingerprint == expected.fingerprint
    said = capsys.readouterr().err
    assert said.count(f"the prefix '{prefix}' is taken off") == 1
    np.savez(tmp_path / "same.npz", **{prefix + key: x for key, x in tensors.items()})
    assert backbones.load(name, tmp_path / "same.npz").fingerprint == expected.fingerprint


def test_what_is_wrong_is_listed_without_the_prefix(tmp_path, registered):
    tensors = {f"module.{key}": x for key, x in golden_tensors("vit").items()}
    del tensors["module.cls_token"]
    tensors["module.mine"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as caught:
        backbones.load("vit", write_weights(tmp_path, tensors))
    assert "missing:\n  cls_token: needed is (1, 1, 32)\n" in str(caught.value)
    assert "unexpected:\n  mine: (3,)" in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", GOLDEN)
def test_classifiers_and_clips_are_told_apart(name, prefix, tmp_path, registered):
    path = write_weights(tmp_path, {prefix + key: x for key, x in golden_tensors(name).items()})
    for other in ("tiny_clip", "bit" if name != "bit" else "vit"):
        with pytest.raises(UserError, match=f"The file looks like {name}: is that the backbone"):
            backbones.load(other, path)
    path = write_weights(tmp_path, {prefix + key: x for key, x in golden_tensors("vit_hf").items()})
    with pytest.raises(UserError, match="The file looks like tiny_clip: is that the backbone"):
        backbones.load(name, path)


def test_a_model_that_would_not_load_either_is_no_hint(tmp_path, registered):
    whole = golden_tensors("vit")
    for change in (
        {"more": np.zeros(3, np.float32)},
        {"norm.bias": np.full(32, np.inf, np.float32)},
        {"norm.bias": np.zeros(31, np.float32)},
        {"norm.bias": np.zeros(32, np.int8)},
    ):
        path = write_weights(tmp_path, whole | change)
        for name in ("resnet_basic", "tiny_clip", "vit"):
            with pytest.raises(UserError) as caught:
                backbones.load(name, path)
            assert "looks like" not in str(caught.value)


def test_a_config_file_that_speaks_against_it_is_heard(tmp_path, registered):
    path = write_weights(tmp_path, golden_tensors("vit"))
    config = {"pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as caught:
        backbones.load("resnet_basic", path)
    assert "looks like" not in str(caught.value)
    path = write_weights(tmp_path, golden_tensors("vit_openai"))
    config = {"model_cfg": {"quick_gelu": False, "vision_cfg": {}, "text_cfg": {}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as caught:
        backbones.load("vit", path)
    assert "looks like" not in str(caught.value)


@pytest.mark.slow
def test_a_vit_of_another_number_of_classes_looks_like_both_that_have_its_tensors(tmp_path):
    shapes = classifier.layouts(CLASSIFIERS["vit_ti16"])[0]
    shapes |= {"head.weight": (37, 192), "head.bias": (37,)}
    path = write_weights(tmp_path, {n: np.zeros(s, np.float16) for n, s in shapes.items()})
    with pytest.raises(UserError, match="looks like vit_ti16 or deit_ti16: is that"):
        backbones.load("resnet18", path)


@pytest.mark.parametrize("name", ["vit_b16", "resnet50", "clip_vit_b16", "resnet20_cifar"])
@pytest.mark.parametrize(
    ("tensors", "what"),
    [
        (("logit_bias", "visual.trunk.attn_pool.latent"), "SigLIP"),
        (("blocks.0.attn.q_bias", "cls_token", "patch_embed.proj.weight"), "EVA"),
        (("text_decoder.resblocks.0.ln_1.weight", "visual.conv1.weight"), "CoCa"),
        (("stages.0.blocks.0.conv_dw.weight", "stem.0.weight"), "ConvNeXt"),
    ],
)
def test_other_models_are_named_in_one_sentence(name, tensors, what, tmp_path):
    path = write_weights(tmp_path, {key: np.zeros((2, 2), np.float32) for key in tensors})
    with pytest.raises(UserError) as caught:
        backbones.load(name, path)
    assert str(caught.value) == (
        f"{path} does not hold the weights of {name}: by its tensors it is {what}, which is none "
        "of the backbones here."
    )


def test_another_size_is_a_last_line_of_the_list(tmp_path):
    path = golden_weights("vit_openai")
    with pytest.raises(UserError) as caught:
        backbones.load("clip_tiny", path)
    assert str(caught.value).endswith(
        "\nBy its tensors it is a CLIP with a ViT of width 32, 2 blocks and patches of 8 x 8 for "
        "images of 24 x 24."
    )


@pytest.mark.slow
def test_chenyaofos_cifar_resnets_are_named(tmp_path):
    shapes = classifier.layouts(CLASSIFIERS["resnet20_cifar"])[0]
    shapes = {name.replace("linear.", "fc."): shape for name, shape in shapes.items()}
    shapes["layer2.0.downsample.0.weight"] = (32, 16, 1, 1)
    path = write_weights(tmp_path, {n: np.ones(s, np.float32) for n, s in shapes.items()})
    with pytest.raises(UserError, match=r"resnet20_cifar: .*option B, as in chenyaofo's"):
        backbones.load("resnet20_cifar", path)


def test_a_clip_without_a_config_file_says_what_it_is_taken_for(tmp_path, capsys):
    size = dataclasses.replace(VIT, hub="openai/released")
    path = shutil.copy(golden_weights("vit_openai"), tmp_path)
    backbones.load("mine", path, size=VIT)
    assert not capsys.readouterr().err
    backbones.load("mine", path, size=size)
    said = capsys.readouterr().err
    assert "no open_clip_config.json beside it" in said and "quick-GELU" in said
    config = {
        "model_cfg": {
            "quick_gelu": True,
            "vision_cfg": {"width": 32, "head_width": 16},
            "text_cfg": {"heads": 2},
        }
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    backbones.load("mine", path, size=size)
    assert not capsys.readouterr().err
