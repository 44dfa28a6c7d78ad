"""Every mistake with a prompt is refused, in words that say what to do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError, unknown

KEY = jax.random.key(0)
MAKERS = ["pad", "fixed_patch", "random_patch"]


@pytest.mark.parametrize(
    ("prompt", "image_shape", "numbers"),
    [
        (prompts.pad(17), (32, 48, 3), ("17", "32", "48")),
        (prompts.pad(17), (48, 33, 3), ("17", "48", "33", "16")),
        (prompts.fixed_patch(33), (32, 48, 3), ("33", "32", "48")),
        (prompts.fixed_patch(8, top=25), (32, 48, 3), ("8", "25", "32", "48")),
        (prompts.fixed_patch(8, left=41), (32, 48, 3), ("8", "41", "32", "48")),
        (prompts.random_patch(32), (32, 48, 3), ("32", "48", "31")),
        (prompts.random_patch(40), (48, 40, 3), ("40", "48", "39")),
    ],
)
def test_impossible_sizes_name_the_numbers(prompt, image_shape, numbers):
    with pytest.raises(UserError) as init_error:
        prompt.init(KEY, image_shape)
    with pytest.raises(UserError) as apply_error:
        prompt.apply({}, jnp.zeros((2, *image_shape)), rng=KEY)
    assert str(init_error.value) == str(apply_error.value)
    for number in numbers:
        assert number in str(init_error.value)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("size", [0, -1, True, 3.0, "3", None])
def test_sizes_are_positive_ints(make, size):
    with pytest.raises(UserError, match="must be an int of at least 1, got"):
        prompts.by_name(make, size=size)


@pytest.mark.parametrize("where", ["top", "left"])
@pytest.mark.parametrize("value", [-1, True, 0.5])
def test_places_are_ints_from_zero(where, value):
    with pytest.raises(UserError, match=f"{where} .* int of at least 0, got"):
        prompts.fixed_patch(2, **{where: value})


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init": "norml"}, "unknown init 'norml'; did you mean 'normal'"),
        ({"init": 3}, "unknown init 3"),
        ({"space": "pixels"}, "unknown space 'pixels'; did you mean 'pixel'"),
        ({"bounded": True}, "bounded=True needs space='pixel'"),
        ({"bounded": 1}, "bounded must be True or False, got 1"),
        ({"scale": "1"}, "scale must be a number, got '1'"),
        ({"scale": True}, "scale must be a number"),
        ({"scale": float("nan")}, "scale must be finite"),
        ({"scale": -1.0}, "scale must be finite and at least 0"),
    ],
)
def test_bad_settings(make, settings, message):
    with pytest.raises(UserError, match=message):
        prompts.by_name(make, size=2, **settings)


@pytest.mark.parametrize("make", MAKERS)
def test_bad_images_and_parameters(make):
    prompt = prompts.by_name(make, size=2, init="zeros")
    params = prompt.init(KEY, (8, 8, 3))
    with pytest.raises(UserError, match=r"uint8 of shape \(8, 8, 3\): cast and normalise"):
        prompt.apply(params, jnp.zeros((8, 8, 3), jnp.uint8), rng=KEY)
    with pytest.raises(UserError, match=r"got shape \(8, 8\)"):
        prompt.apply(params, jnp.zeros((8, 8)), rng=KEY)
    with pytest.raises(UserError) as error:
        jax.jit(prompt.apply)(params, jnp.zeros((5, 9, 9, 1)), rng=KEY)
    assert "(5, 9, 9, 1)" in str(error.value)
    for leaf in params.values():
        assert str(leaf.shape) in str(error.value)
    with pytest.raises(UserError, match="params must be a dict"):
        prompt.apply(None, jnp.zeros((8, 8, 3)), rng=KEY)
    with pytest.raises(UserError, match="need parameters of shapes"):
        prompt.apply({"other": jnp.zeros(3)}, jnp.zeros((8, 8, 3)), rng=KEY)
    with pytest.raises(UserError, match="init needs a key"):
        prompt.init(None, (8, 8, 3))
    with pytest.raises(UserError, match=r"must be \(height, width, channels\)"):
        prompt.init(KEY, (8, 8))
    with pytest.raises(UserError, match="image height must be an int"):
        prompt.init(KEY, (8.0, 8, 3))


def test_chain_mistakes():
    with pytest.raises(UserError, match="argument 0 is"):
        prompts.chain([prompts.pad(1), prompts.pad(2)])
    chain = prompts.chain(prompts.pad(1), prompts.pad(2))
    with pytest.raises(UserError, match="init needs a key"):
        chain.init(None, (8, 8, 3))
    with pytest.raises(UserError, match="a chain of 2 prompts needs a tuple of 2"):
        chain.apply((), jnp.zeros((8, 8, 3)))
    with pytest.raises(UserError, match="a chain of 2 prompts needs a tuple of 2"):
        chain.apply(prompts.pad(1).init(KEY, (8, 8, 3)), jnp.zeros((8, 8, 3)))


def test_by_name():
    prompt = prompts.by_name("fixed_patch", size=2, top=3, init="zeros")
    assert isinstance(prompt, prompts.Prompt) and prompt._fields == ("init", "apply")
    with pytest.raises(UserError, match="unknown prompt 'padd'; did you mean 'pad'"):
        prompts.by_name("padd", size=2)
    with pytest.raises(UserError, match="unknown prompt 3 "):
        prompts.by_name(3, size=2)
    with pytest.raises(UserError, match="'pad': 'sise'; did you mean 'size'"):
        prompts.by_name("pad", sise=2)
    with pytest.raises(UserError, match="prompt 'pad' needs the setting 'size'"):
        prompts.by_name("pad")


def test_unknown_names():
    assert str(unknown("prompt", "PADD", ["pad"])) == (
        "unknown prompt 'PADD'; did you mean 'pad'? (valid: pad)"
    )
    many = [f"name{i}" for i in range(30)]
    assert "30 names are valid" in str(unknown("thing", "zzz", many))
    assert "valid" not in str(unknown("thing", "nam3", many))
    assert "(valid: none)" in str(unknown("thing", "x", []))
