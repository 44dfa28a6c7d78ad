"""Every mistake with a prompt is refused, in words that say what to do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError, unknown

KEY = jax.random.key(0)
MAKERS = {"pad": prompts.pad, "fixed_patch": prompts.fixed_patch, "random": prompts.random_patch}


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
        (prompts.shrink(33), (32, 48, 3), ("33", "32", "48", "largest size that fits is 32")),
        (prompts.shrink(10**30), (32, 48, 3), ("largest size that fits is 32",)),
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


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("size", [0, -1, True, 3.0, "3", None])
def test_sizes_are_positive_ints(make, size):
    with pytest.raises(UserError, match="must be an int of at least 1, got"):
        make(size)


@pytest.mark.parametrize("where", ["top", "left"])
@pytest.mark.parametrize("value", [-1, True, 0.5])
def test_places_are_ints_from_zero(where, value):
    with pytest.raises(UserError, match=f"{where} .* int of at least 0, got"):
        prompts.fixed_patch(2, **{where: value})


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init": "norml"}, "unknown init of .*: 'norml'; did you mean 'normal'"),
        ({"init": 3}, "unknown init of .*: 3"),
        ({"scale": "1"}, "scale must be a finite number of at least 0, got '1'"),
        ({"scale": True}, "scale must be a finite number"),
        ({"scale": float("nan")}, "scale must be a finite number"),
        ({"scale": 10**400}, "scale must be a finite number"),
        ({"scale": -1.0}, "scale must be a finite number of at least 0"),
        ({"space": "pixel"}, "unknown argument of .*: 'space'"),
        ({"size": 3}, "size is given twice"),
    ],
)
def test_bad_settings(make, settings, message):
    with pytest.raises(UserError, match=message):
        make(2, **settings)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_bad_images_and_parameters(make):
    prompt = make(2, init="zeros")
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
    with pytest.raises(UserError, match="need parameters of shapes .* got None"):
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


def test_pixel_values_behind_normalize():
    with pytest.raises(UserError, match="clip needs pixel values .* stands behind normalize"):
        prompts.chain(prompts.chain(prompts.normalize()), prompts.pad(1), prompts.clip())


def test_unknown_names():
    assert str(unknown("prompt", "PADD", ["pad"])) == (
        "unknown prompt 'PADD'; did you mean 'pad'? (valid: pad)"
    )
    many = [f"name{i}" for i in range(30)]
    assert "30 names are valid" in str(unknown("thing", "zzz", many))
    assert "valid" not in str(unknown("thing", "nam3", many))
    assert "(valid: none)" in str(unknown("thing", "x", []))
