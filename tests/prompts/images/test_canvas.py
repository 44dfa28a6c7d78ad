"""Canvases: prompts of all sizes in arrays of one shape, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.prompts.images.canvas import canvas, differing, on_canvas

SHAPE = (8, 10, 3)
NORMALIZATION = {"normalization": ((0.5, 0.4, 0.3), (0.2, 0.3, 0.25))}
PROMPTS = {
    "thin frame": ("pad(1)", [0]),
    "thick frame": ("normalize | pad(3)", [1]),
    "a frame over the whole image": ("pad(4)", [0]),
    "corner": ("fixed_patch(3)", [0]),
    "patch": ("shrink(5) | fixed_patch(2, top=5, left=7) | clip", [1]),
    "every pixel": ("full(scale=0.1) | clip | normalize | pad(2)", [0, 3]),
}


@pytest.fixture(params=PROMPTS)
def case(request):
    text, positions = PROMPTS[request.param]
    prompt = prompts.parse(text)
    params = prompt.init(jax.random.key(1), SHAPE)
    return prompt, params, canvas(prompt, SHAPE, positions)


def images():
    return jax.random.uniform(jax.random.key(2), (4, *SHAPE))


def masked(on_image, drawn):
    """The drawn stages with their masks."""
    return [(d, m) for d, m in zip(drawn, on_image.masks, strict=True) if m is not None]


def test_a_canvas_has_every_parameter_once(case):
    _, params, on_image = case
    drawn = masked(on_image, on_image.draw(params))
    own = [p for p, m in zip(params, on_image.masks, strict=True) if m is not None]
    assert sum(map(prompts.count, own)) == prompts.count(params)
    for (canvas_, mask), stage in zip(drawn, own, strict=True):
        assert canvas_.shape == mask.shape == SHAPE
        assert mask.dtype == bool and mask.sum() == prompts.count(stage)
        assert not canvas_[~mask].any()
        values = np.sort(np.concatenate([np.ravel(x) for x in jax.tree.leaves(stage)]))
        np.testing.assert_array_equal(np.sort(canvas_[mask]), values)


def test_reading_gives_the_parameters_back(case):
    _, params, on_image = case
    found = on_image.read(on_image.draw(params))
    assert jax.tree.structure(found) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_applied_it_is_the_prompt_and_so_is_its_gradient(case):
    prompt, params, on_image = case
    drawn, x = on_image.draw(params), images()
    apply = lambda p: on_canvas(prompt, on_image.masks).apply(p, x, **NORMALIZATION)  # noqa: E731
    own = lambda p: prompt.apply(p, x, **NORMALIZATION)  # noqa: E731
    np.testing.assert_array_equal(apply(drawn), own(params))

    found = jax.grad(lambda p: jnp.sum(apply(p) ** 3))(drawn)
    for gradient, mask in masked(on_image, found):
        assert not gradient[~mask].any()
    expected = jax.grad(lambda p: jnp.sum(own(p) ** 3))(params)
    for one, two in zip(*map(jax.tree.leaves, (on_image.read(found), expected)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


def test_one_program_for_all_sizes_and_designs():
    texts = ["pad(1) | clip", "pad(3) | clip", "fixed_patch(5) | clip", "full | clip"]
    chosen = [prompts.parse(text) for text in texts]
    assert differing(chosen) == (0,)
    params = [p.init(jax.random.key(i), SHAPE) for i, p in enumerate(chosen)]
    all_canvases = [canvas(p, SHAPE, [0]) for p in chosen]
    drawn = [c.draw(p) for c, p in zip(all_canvases, params, strict=True)]
    stack = lambda *each: jnp.stack(each)  # noqa: E731
    drawn, masks = (
        jax.tree.map(stack, *drawn),
        jax.tree.map(stack, *[c.masks for c in all_canvases]),
    )

    @jax.jit
    @jax.vmap
    def apply(masks, drawn):
        return on_canvas(chosen[0], masks).apply(drawn, images(), **NORMALIZATION)

    for found, prompt, own in zip(apply(masks, drawn), chosen, params, strict=True):
        expected = jax.jit(prompt.apply)(own, images(), **NORMALIZATION)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def of(*texts):
    return differing([prompts.parse(text) for text in texts])


def test_which_stages_differ():
    assert of("pad(3)") == of("pad(3)", "pad(3, init='zeros')", "pad(3, scale=2)") == ()
    assert of("normalize | pad(3)", "normalize | pad(3)", "normalize | pad(2)") == (1,)
    assert of("full | clip | fixed_patch(1)", "pad(2) | clip | fixed_patch(1, top=2)") == (0, 2)


def test_what_cannot_share_a_program_is_refused():
    with pytest.raises(UserError, match="shrink.4. is none"):
        of("shrink(4) | pad(1)", "shrink(6) | pad(1)")
    with pytest.raises(UserError, match="random_patch.2. is none"):
        of("random_patch(2)", "random_patch(3)")
    with pytest.raises(UserError, match="normalize is none"):
        of("pad(2) | normalize", "normalize | pad(2)")
    with pytest.raises(UserError, match="different numbers of stages"):
        of("pad(2)", "pad(2) | clip")
