"""Operations are counted as by hand, for whatever a model is made of."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import backbones
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.flops import Flops, count, image_flops, model_flops
from vp_jax.errors import UserError

W = jax.ShapeDtypeStruct((8, 8), jnp.float32)
X = jax.ShapeDtypeStruct((3, 8), jnp.float32)
ONE = 2 * 3 * 8 * 8  # X @ W


def zeros(name, **settings):
    """A backbone without weights worth the name."""
    shapes = jax.eval_shape(lambda: backbones.init_params(name, jax.random.key(0)))
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    return backbones.from_params(name, params, **settings)


def transformer(tokens, width, layers):
    """Of all blocks, the last for one query, with the usual 24 T W^2 + 4 T^2 W of a whole one."""
    whole = Flops(24 * tokens * width**2, 4 * tokens**2 * width)
    last = Flops(2 * width**2 * (2 * tokens + 10), 4 * tokens * width)
    return whole.times(layers - 1) + last


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip_vit_b32", "clip_vit_b16", "clip_vit_l14", "clip_tiny"])
def test_a_clip_is_its_closed_formula(name):
    size = SIZES[name]
    patches, width = (size.image_size // size.patch_size) ** 2, size.vision_width
    embedding = Flops(2 * patches * 3 * size.patch_size**2 * width)
    projection = Flops(2 * width * size.embed_dim)
    blocks = transformer(patches + 1, width, size.vision_layers)
    assert model_flops(name) == embedding + blocks + projection


def test_a_larger_image_has_more_patches():
    base, large = model_flops("vit_b16"), model_flops("vit_b16", image_size=384)
    patches, width = 24**2, 768
    embedding = Flops(2 * patches * 3 * 16**2 * width)
    assert large == embedding + transformer(patches + 1, width, 12) != base


def test_a_resnet_by_hand():
    """ResNet-20 of He et al. 2016: its published 41 M multiply-adds, without the classifier."""
    stem = 32 * 32 * 9 * 3 * 16
    first = 6 * 32 * 32 * 9 * 16 * 16
    second = 16 * 16 * (9 * 16 * 32 + 5 * 9 * 32 * 32)
    third = 8 * 8 * (9 * 32 * 64 + 5 * 9 * 64 * 64)
    assert model_flops("resnet20_cifar") == Flops(2 * (stem + first + second + third))


@pytest.mark.parametrize(
    ("name", "published"), [("resnet18", 1.82), ("resnet50", 4.09), ("resnext101_32x8d_wsl", 16.4)]
)
def test_published_multiply_adds(name, published):
    """In 10^9, with the classifier, as torchvision's documentation has them for 224 x 224."""
    assert model_flops(name).forward / 2e9 == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("name", backbones.names())
def test_every_model_is_counted(name):
    flops = model_flops(name)
    assert flops.weights > flops.activations >= 0
    assert (flops.activations > 0) == ("vit" in name or "clip" in name or "deit" in name)


def test_of_a_backbone_with_its_classifier():
    backbone = zeros("resnet20_cifar")
    features = image_flops(backbone)
    assert features == model_flops("resnet20_cifar")
    assert image_flops(backbone, "logits") == features + Flops(2 * 64 * 10)


def test_of_a_function_of_your_own():
    def apply(params, images):
        return images.reshape(len(images), -1) @ params

    mine = backbones.from_fn(
        apply, jnp.ones((4 * 4 * 3, 5)), image_size=4, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    assert image_flops(mine) == image_flops(mine, "logits") == Flops(2 * 48 * 5)


def test_passes_follow_from_the_kinds_of_products():
    flops = Flops(weights=100, activations=10)
    assert (flops.forward, flops.backward, flops.step, flops.full_step) == (110, 120, 230, 330)
    assert flops + flops == flops.times(2) == Flops(200, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip_tiny", "resnet20_cifar"])
@pytest.mark.parametrize("remat", ["none", "blocks"])
def test_the_gradient_has_the_products_that_the_formula_says(name, remat):
    """Counted in the gradient's own jaxpr; what is computed again comes on top."""
    backbone = zeros(name, remat=remat)
    image = jnp.zeros((1, backbone.image_size, backbone.image_size, 3))

    def loss(params, image):
        return (backbone.apply(params, image) ** 2).sum()

    flops = image_flops(backbone)
    assert flops == model_flops(name)
    frozen = count(jax.grad(loss, argnums=1), backbone.params, image).forward
    whole = count(jax.grad(loss, argnums=(0, 1)), backbone.params, image).forward
    if remat == "none":
        assert (frozen, whole) == (flops.step, flops.full_step)
    else:
        assert flops.step < frozen <= flops.step + flops.forward


def test_xla_counts_the_same_products():
    """XLA adds element-wise work, a few percent of a ResNet's."""
    backbone = zeros("clip_tiny")
    images = jnp.zeros((2, 32, 32, 3))
    cost = jax.jit(backbone.apply).lower(backbone.params, images).cost_analysis()
    assert 1 <= cost["flops"] / image_flops(backbone).times(2).forward < 1.1


def test_sides_decide_what_a_product_is():
    assert count(lambda w, x: x @ w, W, X) == Flops(weights=ONE)
    assert count(lambda w, x: x @ x.T, W, X) == Flops(activations=2 * 3 * 3 * 8)
    assert count(lambda w, x: (x @ w) @ (w @ w), W, X) == Flops(weights=2 * ONE)
    assert count(lambda w, x: x @ jnp.ones((8, 2)), W, X) == Flops(weights=2 * 3 * 8 * 2)
    assert count(lambda w, x, y: x @ w + y @ w, W, X, X) == Flops(weights=2 * ONE)


def own_jvp(function):
    made = jax.custom_jvp(function)
    made.defjvp(lambda primals, tangents: (function(*primals), function(*tangents)))
    return made


def own_vjp(function):
    made = jax.custom_vjp(function)
    made.defvjp(lambda w, x: (function(w, x), None), lambda saved, gradient: (None, None))
    return made


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, own_jvp, own_vjp])
def test_calls_are_looked_into(wrap):
    assert count(wrap(lambda w, x: x @ w), W, X) == Flops(weights=ONE)


def test_loops_are_multiplied():
    def scanned(w, x):
        return jax.lax.scan(lambda carry, _: (carry @ w, None), x, length=5)[0]

    def stacked(w, x):
        return jax.lax.scan(lambda carry, one: (carry @ one, None), x, jnp.stack([w, w]))[0]

    def late(w, x):  # the carry depends on the input from the second turn on
        carries = (jnp.ones((3, 8)), jnp.ones((3, 8)))
        return jax.lax.scan(lambda c, _: ((c[1] @ w, x), None), carries, length=4)[0]

    assert count(scanned, W, X) == Flops(weights=5 * ONE)
    assert count(stacked, W, X) == Flops(weights=2 * ONE)
    assert count(late, W, X) == Flops(weights=4 * ONE)
    assert count(lambda w, x: jax.lax.fori_loop(0, 3, lambda _, y: y @ w, x), W, X).weights == (
        3 * ONE
    )


def test_what_is_not_known_is_refused():
    def until(w, x):
        return jax.lax.while_loop(lambda y: y.sum() > 0, lambda y: y @ w, x)

    def branch(w, x):
        return jax.lax.cond(x.sum() > 0, lambda: x @ w, lambda: x)

    def called(w, x):
        return jax.pure_callback(lambda y: y, x, x) @ w

    for function, said in ((until, "loop"), (branch, "branches"), (called, "pure_callback")):
        with pytest.raises(UserError, match=said):
            count(function, W, X)
    with pytest.raises(UserError, match="clip_vit_b32"):
        model_flops("clip_vit")


def test_loops_and_branches_without_products_cost_nothing():
    def halved(w, x):
        return jax.lax.while_loop(lambda y: y.sum() > 1, lambda y: y / 2, x) @ w

    def same(w, x):
        return jax.lax.cond(x.sum() > 0, lambda: x @ w, lambda: -x @ w)

    assert count(halved, W, X) == count(same, W, X) == Flops(weights=ONE)


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "outputs"),
    [(1, 1, "SAME", 64), (1, 2, "SAME", 16), (2, 1, "SAME", 64), (1, 1, "VALID", 36)],
)
def test_convolutions_count_all_of_the_kernel_everywhere(groups, stride, padding, outputs):
    kernel, images = jnp.zeros((3, 3, 4 // groups, 6)), jnp.zeros((2, 8, 8, 4))

    def convolve(kernel, images):
        return jax.lax.conv_general_dilated(
            images,
            kernel,
            (stride, stride),
            padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    assert count(convolve, kernel, images).weights == 2 * 2 * outputs * 9 * 4 * 6 // groups


@pytest.mark.parametrize("causal", [False, True])
def test_fused_attention_counts_as_the_plain_one(causal):
    """cuDNN's kernel is traced as if it were there; nothing of it runs."""
    fused = "jax._src.cudnn.fused_attention_stablehlo"
    query, key = jnp.zeros((2, 1, 4, 8), jnp.bfloat16), jnp.zeros((2, 5, 4, 8), jnp.bfloat16)

    def attend(kernel):
        def attention(scale, query, key):
            return jax.nn.dot_product_attention(
                query, key, scale * key, is_causal=causal, implementation=kernel
            )

        return count(attention, jnp.bfloat16(2), query, key)

    with (
        mock.patch(f"{fused}.check_cudnn_version", lambda: 91000),
        mock.patch(f"{fused}.check_compute_capability", lambda capability: True),
    ):
        assert attend("cudnn") == attend("xla") == Flops(activations=2 * 2 * 2 * 4 * 5 * 8)
