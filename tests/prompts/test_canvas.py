"""Canvases: prompts of all sizes in arrays of one shape, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.prompts.canvas import canvas, canvas_apply

SHAPE = (8, 10, 3)
PROMPTS = {
    "thin frame": prompts.pad(1),
    "thick frame": prompts.pad(3),
    "a frame over the whole image": prompts.pad(4),
    "corner": prompts.fixed_patch(3),
    "patch": prompts.fixed_patch(2, top=5, left=7),
}


@pytest.fixture(params=PROMPTS)
def case(request):
    prompt = PROMPTS[request.param]
    params = prompt.init(jax.random.key(1), SHAPE)
    return prompt, params, canvas(prompt, SHAPE)


def images():
    return jax.random.uniform(jax.random.key(2), (4, *SHAPE))


def test_a_canvas_has_every_parameter_once(case):
    prompt, params, on_image = case
    drawn = on_image.draw(params)
    assert drawn.shape == on_image.mask.shape == SHAPE
    assert on_image.mask.dtype == bool and on_image.mask.sum() == prompts.count(params)
    assert not drawn[~on_image.mask].any()
    values = np.sort(np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)]))
    np.testing.assert_array_equal(np.sort(drawn[on_image.mask]), values)


def test_reading_gives_the_parameters_back(case):
    _, params, on_image = case
    found = on_image.read(on_image.draw(params))
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_applied_it_is_the_prompt_and_so_is_its_gradient(case):
    prompt, params, on_image = case
    apply, drawn, x = canvas_apply(on_image.mask, bounded=False), on_image.draw(params), images()
    np.testing.assert_array_equal(apply(drawn, x), prompt.apply(params, x))

    def loss(apply, params):
        return jnp.sum(apply(params, x) ** 3)

    found = jax.grad(lambda p: loss(apply, p))(drawn)
    assert not found[~on_image.mask].any()
    expected = jax.grad(lambda p: loss(prompt.apply, p))(params)
    for one, two in zip(*map(jax.tree.leaves, (on_image.read(found), expected)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


def test_bounded_it_is_the_bounded_prompt():
    bounded = prompts.pad(2, space="pixel", bounded=True)
    params, on_image = bounded.init(jax.random.key(0), SHAPE), canvas(prompts.pad(2), SHAPE)
    found = canvas_apply(on_image.mask, bounded=True)(on_image.draw(params), images())
    np.testing.assert_array_equal(found, bounded.apply(params, images()))


def test_one_program_for_all_sizes():
    chosen = [prompts.pad(1), prompts.pad(3), prompts.fixed_patch(5)]
    params = [p.init(jax.random.key(i), SHAPE) for i, p in enumerate(chosen)]
    all_canvases = [canvas(p, SHAPE) for p in chosen]
    drawn = jnp.stack([c.draw(p) for c, p in zip(all_canvases, params, strict=True)])
    masks = jnp.stack([c.mask for c in all_canvases])

    @jax.jit
    @jax.vmap
    def apply(mask, drawn):
        return canvas_apply(mask, bounded=False)(drawn, images())

    for found, prompt, own in zip(apply(masks, drawn), chosen, params, strict=True):
        np.testing.assert_array_equal(found, prompt.apply(own, images()))
