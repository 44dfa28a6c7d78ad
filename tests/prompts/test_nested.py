"""Stages and chains as arguments of stages: their texts, parameters, needs and mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.prompts.base import Prompt
from vp_jax.prompts.images.canvas import differing
from vp_jax.prompts.parse import DEEPEST

KEY = jax.random.key(0)
IMAGES = jnp.full((2, 8, 8, 3), 0.5)


@prompts.stage
def scaled(prompt: Prompt, by: float = 1.0, *, other: Prompt | None = None) -> prompts.Formula:
    """A prompt whose change is multiplied; another one may come behind it."""

    def init_fn(rng, image_shape):
        own = prompt.init(rng, image_shape)
        return own if other is None else {"own": own, "other": other.init(rng, image_shape)}

    def apply_fn(params, images, **given):
        own = params if other is None else params["own"]
        images = images + by * (prompt.act(own, images, **given) - images)
        return images if other is None else other.act(params["other"], images, **given)

    return prompts.Formula(apply_fn, init_fn)


@prompts.stage
def shade(classes: int, *, tinted: bool = False) -> prompts.Formula:
    """A stage that needs labels, and may have features."""

    def apply(params, images, *, label, features=None):
        return images + params["shade"][label][..., None, None, None]

    return prompts.Formula(apply, lambda rng, shape: {"shade": jnp.arange(float(classes))})


SAME = {
    "scaled(pad(3)) | normalize": [
        "scaled(pad(3))",
        "scaled(prompt=pad(size=3, scale=1), by=1)",
        " scaled( (pad(3)) , ) | normalize()",
    ],
    "scaled(pad(3) | clip | full, by=2.0) | normalize": [
        "scaled(pad(3) | clip() | full(), 2)",
        "scaled(pad(3) | (clip | full), by=2.)",
        "(scaled(by=2, prompt=(pad(3) | clip) | full))",
    ],
    "normalize | scaled(scaled(full(init='zeros')), other=pad(1)) | pad(2)": [
        'normalize|scaled(scaled(full(init="zeros")),other=pad(1),by=1.0)|pad(2)',
    ],
}


@pytest.mark.parametrize("text", SAME)
def test_texts_that_mean_the_same_are_one(text):
    for other in [text, *SAME[text]]:
        assert str(prompts.parse(other)) == text


def test_in_python_chains_lie_flat_and_a_chain_of_one_is_its_stage():
    pad, full = prompts.pad(3), prompts.full()
    for one in (pad, prompts.chain(pad), prompts.chain(prompts.chain(), prompts.chain(pad))):
        made = scaled(one)
        assert str(made) == "scaled(pad(3))"
        assert sorted(made.init(KEY, (8, 8, 3))) == ["bottom", "left", "right", "top"]
    nested = scaled(prompts.chain(prompts.chain(pad, prompts.clip()), full))
    assert str(nested) == "scaled(pad(3) | clip | full)"
    assert [sorted(own) for own in nested.init(KEY, (8, 8, 3))][1:] == [[], ["delta"]]
    own = scaled(Prompt(lambda rng, shape: {}, lambda params, images: images + 1), 0.5)
    assert str(own) == "scaled(<custom prompt>, by=0.5)"
    np.testing.assert_array_equal(own.apply({}, IMAGES), IMAGES + 0.5)


def test_form_leaves_out_how_parameters_begin_at_any_depth():
    one = prompts.parse("scaled(pad(3, init='zeros') | scaled(full(scale=2)), other=pad(1))")
    assert one.form == "scaled(pad(3) | scaled(full), other=pad(1)) | normalize"
    two = prompts.parse("scaled(pad(3) | scaled(full), other=pad(1, scale=3))")
    assert differing([one, two]) == ()
    with pytest.raises(UserError, match="only stages that add each of their parameters to one"):
        differing([one, prompts.parse("scaled(pad(2) | scaled(full), other=pad(1))")])


def test_needs_pass_through():
    made = scaled(prompts.chain(shade(3), prompts.random_patch(2)), other=shade(2, tinted=True))
    assert made.keywords.required == {"label", "rng"} and not made.keywords.is_open
    assert made.keywords.optional == {"features"}
    params = made.init(KEY, (8, 8, 3))
    given = {"label": jnp.array([0, 1]), "rng": KEY, "normalization": ((0.5,) * 3,) * 2}
    found = jax.jit(made.apply)(params, IMAGES, **given)
    expected = made.arguments["prompt"].apply(params["own"], IMAGES, **given)
    expected += jnp.arange(2.0)[:, None, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(UserError, match=r"scaled\(.*\) needs label: pass"):
        made.apply(params, IMAGES, rng=KEY)
    with pytest.raises(UserError, match="needs a key"):
        made.apply(params, IMAGES, label=given["label"])
    whole = prompts.chain(made, prompts.full())
    assert whole.keywords.required == {"label", "rng"}
    assert scaled(shade(3)).keywords.required == {"label"}


def test_parameters_are_checked():
    made = scaled(prompts.pad(2))
    with pytest.raises(UserError, match=r"scaled\(pad\(2\)\): images of shape .* need parameters"):
        made.apply(prompts.pad(1).init(KEY, (8, 8, 3)), IMAGES)
    with pytest.raises(UserError, match=r"pad\(5\) does not fit images of height 8"):
        scaled(prompts.pad(5)).init(KEY, (8, 8, 3))
    assert scaled(prompts.pad(2)).has_parameters and not prompts.clip().has_parameters


MISTAKES = {
    "scaled(padd(3))": ("unknown stage 'padd'; did you mean 'pad'", "padd"),
    "scaled(pad(3) | padd(3), 2)": ("unknown stage 'padd'", "padd"),
    "scaled(pad(0) | full)": ("pad: size must be an int of at least 1, got 0", "0"),
    "scaled(3)": ("this is no stage", "3"),
    "scaled('pad(3)')": ("this is no stage", "'pad(3)'"),
    "scaled": ("scaled needs prompt, as in scaled", "scaled"),
    "scaled(full, full)": ("an argument is a number", "full"),
    "scaled(full, other=4)": ("this is no stage", "4"),
    "scaled(full, othr=pad(3))": ("an argument is a number", "pad(3)"),
    "scaled(full | normalize)": ("and cannot have it in its prompt", "normalize"),
    "scaled(other=pad(3) | normalize() | full, prompt=full)": (
        "scaled changes images before or behind normalize, and cannot have it in its other: write "
        r"it outside, as in scaled\(...\) | normalize",
        "normalize()",
    ),
    "scaled(normalize | clip)": ("clip needs pixel values .* behind normalize", "clip"),
    "scaled(clip)": ("prompt must have parameters that can be trained, and clip has none", "clip"),
    "full | scaled(shrink(4) | clip)": (
        r"must have parameters that can be trained, and shrink\(4\) | clip has none",
        "shrink(4) | clip",
    ),
    "normalize | scaled(pad(3) | clip)": (
        r"scaled\(pad\(3\) | clip\) needs pixel values .* stands behind normalize",
        "scaled(pad(3) | clip)",
    ),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_shown_where_they_are(text):
    message, place = MISTAKES[text]
    with pytest.raises(UserError, match=message) as error:
        prompts.parse(text)
    _, shown, marks = str(error.value).splitlines()
    start = marks.index("^")
    assert shown[start : len(marks)] == place
    if text == "scaled(full, full)":
        assert start > 10 + 4  # the second one


def test_what_is_no_prompt_is_refused_in_python():
    for wrong in (prompts.pad, "pad(3)", None, prompts.chain()):
        with pytest.raises(UserError, match="scaled: prompt must be a stage, as in pad"):
            scaled(wrong)
    with pytest.raises(UserError, match="needs pixel values in .0, 1., and stands behind"):
        prompts.chain(prompts.normalize(), scaled(prompts.chain(prompts.pad(1), prompts.clip())))


def test_texts_may_be_nested_to_some_depth():
    def nested(depth):
        return "scaled(" * depth + "pad(1)" + ")" * depth

    prompt = prompts.parse(nested(DEEPEST))
    params = prompt.stages[0].init(KEY, (8, 8, 3))
    assert prompt.stages[0].apply(params, IMAGES).shape == IMAGES.shape
    for depth in (DEEPEST + 1, 60, 90, 190):
        with pytest.raises(UserError, match="more than 8 deep|too many nested"):
            prompts.parse(nested(depth))
