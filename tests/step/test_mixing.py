"""Mixup and CutMix: what is drawn, what images and losses become, and who never takes part."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_model

from vp_jax import config as config_lib
from vp_jax.assembly import checks
from vp_jax.assembly.parts import augment as augment_lib
from vp_jax.data.augment import Mix, make_mixing, mix_images
from vp_jax.errors import UserError
from vp_jax.step import step as step_lib
from vp_jax.step.batch import Batch

SIZE = 32
OPTIMIZER = optax.sgd(0.1, 0.9)


def draws(mixing, count=2000, rows=8, seed=0):
    """`count` draws for full batches, stacked."""
    keys = jax.random.split(jax.random.key(seed), count)
    mask = jnp.ones(rows, bool)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(lambda key: mixing(key, mask)))(keys))


def area(mix):
    return (mix.box[..., 2] - mix.box[..., 0]) * (mix.box[..., 3] - mix.box[..., 1])


def test_off():
    assert make_mixing(0.0, 0.0, SIZE) is None
    assert make_mixing(0, 0, SIZE) is None


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_of_mixup_are_of_the_beta_distribution(alpha):
    mix = draws(make_mixing(alpha, 0.0, SIZE))
    assert mix.share.min() >= 0 and mix.share.max() <= 1
    assert mix.share.mean() == pytest.approx(0.5, abs=0.03)
    assert mix.share.var() == pytest.approx(1 / (8 * alpha + 4), rel=0.12)
    np.testing.assert_array_equal(mix.own, mix.share)
    assert (mix.box == [0, 0, SIZE, SIZE]).all()


@pytest.mark.slow
def test_boxes_of_cutmix():
    mix = draws(make_mixing(0.0, 1.0, SIZE), 4000)
    assert mix.box.min() == 0 and mix.box.max() == SIZE and (mix.box[:, :2] <= mix.box[:, 2:]).all()
    np.testing.assert_allclose(mix.share, 1 - area(mix) / SIZE**2, atol=1e-6)
    assert not mix.own.any()
    centres = (mix.box[:, :2] + mix.box[:, 2:]) / 2
    np.testing.assert_allclose(centres.mean(axis=0), SIZE / 2, atol=0.6)
    assert abs(np.corrcoef(centres.T)[0, 1]) < 0.05
    inside = (mix.box > 0).all(axis=1) & (mix.box < SIZE).all(axis=1)
    sides = mix.box[inside, 2:] - mix.box[inside, :2]
    np.testing.assert_array_equal(sides[:, 0], sides[:, 1])
    assert (sides % 2 == 0).all() and len(np.unique(sides)) > 8
    # Where nothing is cut off, the side is sqrt(1 - share), of a uniform share, in whole halves.
    assert (mix.share[~inside] <= 1).all() and inside.mean() == pytest.approx(0.17, abs=0.04)


@pytest.mark.slow
def test_both_take_turns():
    mix = draws(make_mixing(1.0, 1.0, SIZE))
    is_mixup = (mix.own == mix.share) & (area(mix) == SIZE**2)
    is_cutmix = (mix.own == 0) & np.isclose(mix.share, 1 - area(mix) / SIZE**2, atol=1e-6)
    assert (is_mixup | is_cutmix).all() and 0.45 < is_mixup.mean() < 0.55


@pytest.mark.slow
def test_partners_are_the_next_of_a_random_cycle():
    partners = draws(make_mixing(1.0, 0.0, SIZE), 700).partner
    assert partners.dtype == np.int32
    for partner in partners[:100]:
        row, seen = 0, []
        for _ in range(8):
            row = partner[row]
            seen.append(row)
        assert sorted(seen) == list(range(8))
    frequencies = np.stack([(partners == i).mean(axis=0) for i in range(8)])
    np.testing.assert_allclose(frequencies, (1 - np.eye(8)) / 7, atol=0.07)


@pytest.mark.parametrize("mask", ["11111000", "10110101", "01000000", "00000000"])
def test_masked_rows_are_nobodys_partner(mask):
    mask = np.array([m == "1" for m in mask])
    mixing = jax.jit(make_mixing(1.0, 1.0, SIZE))
    for seed in range(20):
        partner = np.asarray(mixing(jax.random.key(seed), mask).partner)
        assert mask[partner[mask]].all() and sorted(partner) == list(range(8))
        assert (partner[~mask] == np.flatnonzero(~mask)).all()
        if mask.sum() > 1:
            assert (partner[mask] != np.flatnonzero(mask)).all()


@pytest.mark.slow
def test_masked_rows_at_the_end_change_no_draw():
    mixing = make_mixing(1.0, 1.0, SIZE)
    for seed in range(5):
        key = jax.random.key(seed)
        few, many = mixing(key, jnp.ones(5, bool)), mixing(key, jnp.arange(8) < 5)
        np.testing.assert_array_equal(few.partner, many.partner[:5])
        jax.tree.map(np.testing.assert_array_equal, few[1:], many[1:])


def noise(count=4, size=6):
    return np.random.default_rng(0).uniform(size=(count, size, size, 3)).astype(np.float32)


PARTNER = np.int32([1, 2, 3, 0])


def test_mixup_adds_images():
    images = noise()
    mix = Mix(PARTNER, np.float32(0.3), np.int32([0, 0, 6, 6]), np.float32(0.3))
    expected = 0.3 * images + 0.7 * images[PARTNER]
    np.testing.assert_allclose(mix_images(images, mix), expected, atol=1e-6)


def test_cutmix_pastes_a_box():
    images = noise()
    mix = Mix(PARTNER, np.float32(0.8), np.int32([1, 2, 3, 6]), np.float32(0.0))
    expected = images.copy()
    expected[:, 1:3, 2:6] = images[PARTNER][:, 1:3, 2:6]
    np.testing.assert_array_equal(mix_images(images, mix), expected)


@pytest.mark.slow
def test_mixing_keeps_the_dtype():
    images = jnp.asarray(noise(), jnp.bfloat16)
    mix = make_mixing(1.0, 1.0, 6)(jax.random.key(0), jnp.ones(4, bool))
    assert mix_images(images, mix).dtype == jnp.bfloat16


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf"), "1"])
@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_bad_alphas(name, alpha):
    with pytest.raises(UserError, match=f"{name} is .*; it must be 0 or more and finite"):
        make_mixing(**{"mixup": 0.0, "cutmix": 0.0, name: alpha}, image_size=SIZE)


def forward(parts, images, *, rng=None, mix=None, **_):
    """The tiny model on mixed images."""
    x = images.astype(jnp.float32)
    return tiny_model.forward(parts, x if mix is None else mix_images(x, mix), rng=rng)


def fixed(share, box=(0, 0, 4, 4), own=None):
    """Draws always the same, with the next row as the partner."""

    def mixing(rng, mask):
        partner = jnp.roll(jnp.arange(len(mask), dtype=jnp.int32), -1)
        own_weight = share if own is None else own
        return Mix(partner, jnp.float32(share), jnp.int32(box), jnp.float32(own_weight))

    return mixing


@pytest.mark.slow
@pytest.mark.parametrize(
    "mixing",
    [fixed(0.7), fixed(0.2), fixed(0.5), fixed(0.75, box=(2, 0, 4, 2), own=0.0)],
    ids=["own", "partner", "half", "box"],
)
def test_loss_gradient_and_accuracy_by_hand(mixing):
    state, frozen, batch = tiny_model.state(OPTIMIZER), tiny_model.frozen(), tiny_model.batch()
    mix = mixing(None, batch.mask)
    share, other = float(mix.share), np.roll(batch.label, -1)
    images = batch.image.astype(np.float32)
    if share == 0.75:
        images[:, 2:, :2] = np.roll(images, -1, axis=0)[:, 2:, :2]
    else:
        images = share * images + (1 - share) * np.roll(images, -1, axis=0)

    def loss_fn(prompt):
        logits = tiny_model.forward({**frozen, "prompt": prompt}, images)
        log_p = jax.nn.log_softmax(logits)
        rows = jnp.arange(len(images))
        own, others = log_p[rows, batch.label], log_p[rows, other]
        return -(share * own + (1 - share) * others).mean(), logits

    (loss, logits), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.tuned["prompt"])
    train_step = step_lib.make_train_step(forward, OPTIMIZER, mixing=mixing)
    after, metrics = jax.jit(train_step)(state, frozen, batch)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.tuned["prompt"], grads)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.tuned["prompt"], expected
    )
    assert float(metrics["loss"]) == pytest.approx(float(loss), abs=1e-5)
    answer = batch.label if share >= 0.5 else other
    assert float(after.sums.correct) == (np.asarray(logits).argmax(-1) == answer).sum()
    assert float(after.sums.count) == len(answer)


@pytest.mark.slow
def test_masked_rows_never_leak():
    """Steps on a masked batch are those on its unmasked rows, whatever the others hold."""

    def with_glare(parts, images, *, rng=None, mix=None, **_):
        return forward(parts, jnp.where(images == 255, 1e6, images), rng=rng, mix=mix)

    train_step = jax.jit(
        step_lib.make_train_step(with_glare, OPTIMIZER, mixing=make_mixing(0.8, 1.0, 4))
    )
    one = two = tiny_model.state(OPTIMIZER)
    for seed in range(8):
        batch = tiny_model.batch(16, seed)
        image = np.minimum(batch.image, 254)
        whole = Batch(image[:11], batch.label[:11], np.ones(11, bool))
        image = np.concatenate([image[:11], np.full_like(image[11:], 255)])
        masked = Batch(image, batch.label, np.arange(16) < 11)
        one, first = train_step(one, tiny_model.frozen(), whole)
        two, second = train_step(two, tiny_model.frozen(), masked)
        assert np.isfinite(first["loss"]) and np.isfinite(first["grad_norm"])
        assert float(first["loss"]) == pytest.approx(float(second["loss"]), abs=1e-6)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), one.tuned, two.tuned)
    assert float(one.sums.correct) == float(two.sums.correct) and float(two.sums.count) == 88


@pytest.mark.slow
def test_each_step_draws_anew_and_the_same_again():
    seen = []

    def spy(parts, images, *, rng=None, mix=None, **_):
        jax.debug.callback(lambda *drawn: seen.append(drawn), *mix[:2])
        return forward(parts, images, rng=rng, mix=mix)

    train_step = jax.jit(step_lib.make_train_step(spy, OPTIMIZER, mixing=make_mixing(1.0, 0.0, 4)))
    for first in (0, 2):
        state = tiny_model.state(OPTIMIZER)._replace(step=jnp.int32(first))
        for i in range(first, 4):
            state, _ = train_step(state, tiny_model.frozen(), tiny_model.batch(seed=i))
    jax.effects_barrier()
    assert train_step._cache_size() == 1 and len(seen) == 6
    shares = [float(share) for _, share in seen]
    assert len(set(shares[:4])) == 4 and shares[4:] == shares[2:4]
    assert not np.array_equal(seen[0][0], seen[1][0])
    np.testing.assert_array_equal(seen[4][0], seen[2][0])


def test_mixing_and_counting_exclude_each_other():
    with pytest.raises(UserError, match="cannot be counted on mixed images"):
        step_lib.make_train_step(
            forward, OPTIMIZER, counting=object(), mixing=make_mixing(1.0, 0.0, 4)
        )


def settings(**changes):
    config = config_lib.default()
    config.update_from_flattened_dict({key.replace("__", "."): v for key, v in changes.items()})
    return config


def test_everything_is_off_by_default():
    config = settings()
    assert augment_lib.make_augment(config) is None
    assert augment_lib.make_mixing(config, 224) is None
    assert config.augment.color_jitter == 0.0 and config.augment.policy == ""


def test_settings_reach_the_functions():
    assert augment_lib.make_mixing(settings(augment__cutmix=1.0), 224) is not None
    for change in (
        {"augment__color_jitter": 0.4},
        {"augment__color_jitter": (0.4, 0.4, 0.4, 0.1)},
        {"augment__policy": "trivialaugment"},
        {"augment__flip": True},
    ):
        config = settings(**change)
        checks.check(config)
        assert augment_lib.make_augment(config) is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augment__mixup": -1.0}, "mixup is -1.0"),
        ({"augment__cutmix": float("nan")}, "cutmix is nan"),
        ({"augment__color_jitter": (1, 2)}, r"color_jitter is \(1, 2\)"),
        ({"augment__policy": "trivial"}, "unknown augmentation policy 'trivial'"),
        ({"augment__randaugment_ops": 0}, "randaugment_ops is 0"),
        ({"augment__randaugment_magnitude": 40}, "randaugment_magnitude is 40"),
        (
            {"augment__mixup": 0.2, "head__name": "iterative", "backbone__name": "resnet50"},
            "augment.mixup mixes.*'iterative' counts.*second_pass=True",
        ),
        (
            {"augment__cutmix": 1.0, "head__name": "bayesian", "backbone__name": "resnet50"},
            "augment.cutmix mixes.*turn cutmix off",
        ),
        (
            {"augment__cutmix": 1.0, "head__name": "linear", "tune": ("head",)},
            "config.augment.cutmix has no meaning for a linear probe",
        ),
        (
            {"augment__policy": "randaugment", "head__name": "linear", "tune": ("head",)},
            "config.augment has no meaning for a linear probe",
        ),
    ],
    ids=lambda x: ",".join(f"{k}={v}" for k, v in x.items()) if isinstance(x, dict) else "",
)
def test_settings_that_cannot_work_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        checks.check(settings(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"head__name": "frequency", "backbone__name": "resnet50"},
        {"head__name": "iterative", "backbone__name": "resnet50", "head__second_pass": True},
        {"head__name": "linear", "head__solver": "sgd", "tune": ("head",)},
        {"tune": ("prompt", "backbone")},
    ],
    ids=lambda x: ",".join(f"{k}={v}" for k, v in x.items()),
)
def test_mixing_goes_with(changes):
    checks.check(settings(augment__mixup=0.2, augment__cutmix=1.0, **changes))
