"""Model cards: what they say, and names that Markdown or YAML would take for something else."""

import json

import numpy as np
import pytest

from vp_jax.exports.model_card import EXAMPLES, PROMPT, model_card
from vp_jax.records.bundle_file import Bundle

BUNDLE = Bundle(
    arrays={"prompt.1.top": np.zeros((2, 3)), "head.kernel": np.zeros((4, 2))},
    prompt="normalize | pad(2)",
    class_names=("a <b>", "c|d", "*e*"),
    head={"name": "linear", "base": "text", "reads": "features"},
    backbone={
        "name": "clip_vit_b32",
        "source": "vp_jax",
        "weights": None,
        "file": None,
        "where": "timm/vit_base_patch32_clip_224.openai on the Hugging Face Hub",
        "dtype": "float32",
        "fingerprint": "clip_vit_b32:sha256:00",
    },
    images={},
    temperature=1.0,
    training={"tune": ["prompt", "head"], "seed": 3, "batch_size": 4, "task": "my: #task"},
    metrics={"test_accuracy": 0.5, "zero_shot_test_accuracy": None, "test_examples": 1234},
    license="cc-by-4.0",
)


def metadata(card):
    """The lines between the first two rules, each of JSON, which is YAML."""
    head = card.split("---\n")[1]
    return {
        name: json.loads(value) for name, value in (x.split(": ", 1) for x in head.splitlines())
    }


def test_it_says_what_is_known():
    card = model_card(BUNDLE, "me/mine", (PROMPT, EXAMPLES))
    about = metadata(card)
    assert about["license"] == "cc-by-4.0" and about["tags"][-1] == "my: #task"
    assert about["base_model"] == "timm/vit_base_patch32_clip_224.openai"
    assert 'vp_jax.load("me/mine")' in card and "`normalize | pad(2)`" in card
    assert "| test accuracy | 50.0 % |" in card and "| test images | 1,234 |" in card
    assert "14 numbers" in card and "frozen, and not in here" in card
    assert f"]({PROMPT})" in card and f"]({EXAMPLES})" in card
    assert "zero-shot" not in card and "without prompt |" not in card


def test_names_are_shown_as_they_are():
    card = model_card(BUNDLE)
    assert r"a \<b\>, c\|d, \*e\*" in card and r"# my: \#task: a visual prompt" in card
    assert "OWNER/NAME" in card and "![" not in card


@pytest.mark.parametrize("text", ["", 'mine, all mine: "really"'])
def test_licences(text):
    card = model_card(BUNDLE._replace(license=text))
    about = metadata(card)
    if text:
        assert about["license"] == "other" and about["license_name"] == text
    else:
        assert "license" not in about and "None was stated" in card


def test_weights_that_nobody_else_has_are_named():
    origin = {"file": "mine.safetensors", "where": "mine.safetensors, a file of its maker"}
    card = model_card(BUNDLE._replace(backbone={**BUNDLE.backbone, **origin}))
    assert 'weights="mine.safetensors"' in card and "base_model" not in card
    own = {"where": "a model that its maker has in Python"}
    assert "backbone=backbone" in model_card(BUNDLE._replace(backbone={**BUNDLE.backbone, **own}))


def test_without_results_it_says_so():
    assert "| test accuracy | not measured |" in model_card(BUNDLE._replace(metrics={}))
