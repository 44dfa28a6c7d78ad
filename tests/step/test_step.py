import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_model

from vp_jax import backbones, prompts
from vp_jax.data.augment import Mix
from vp_jax.step import step as step_lib
from vp_jax.step.batch import Batch
from vp_jax.step.forward import make_outputs
from vp_jax.step.loss import Loss

OPTIMIZER = optax.sgd(0.1, 0.9)


def run(steps=3, masked=0, **changes):
    train_step = jax.jit(step_lib.make_train_step(tiny_model.forward, OPTIMIZER))
    state, frozen = tiny_model.state(OPTIMIZER), tiny_model.frozen() | changes
    for i in range(steps):
        state, metrics = train_step(state, frozen, tiny_model.batch(seed=i, masked=masked))
    return state, metrics


@pytest.mark.slow
def test_one_step_is_gradient_descent_on_the_mean_loss():
    state, frozen, batch = tiny_model.state(), tiny_model.frozen(), tiny_model.batch()

    def loss_fn(prompt):
        logits = tiny_model.forward({**frozen, "prompt": prompt}, batch.image)
        losses = -jax.nn.log_softmax(logits)[jnp.arange(len(batch.label)), batch.label]
        return losses.mean()

    loss, grads = jax.value_and_grad(loss_fn)(state.tuned["prompt"])
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.tuned["prompt"], grads)
    after, metrics = step_lib.make_train_step(tiny_model.forward, OPTIMIZER)(state, frozen, batch)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.tuned["prompt"], expected
    )
    assert metrics["loss"] == pytest.approx(float(loss), abs=1e-6)
    assert metrics["grad_norm"] == pytest.approx(float(optax.tree.norm(grads)), abs=1e-6)
    assert int(after.step) == 1


@pytest.mark.slow(seconds=4)
def test_masked_rows_count_for_nothing():
    small = tiny_model.batch(16)
    whole = Batch(small.image[:11], small.label[:11], np.ones(11, bool))
    masked = Batch(small.image, small.label, np.arange(16) < 11)
    train_step = step_lib.make_train_step(tiny_model.forward, OPTIMIZER)
    one, _ = train_step(tiny_model.state(), tiny_model.frozen(), whole)
    two, _ = train_step(tiny_model.state(), tiny_model.frozen(), masked)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), one.tuned, two.tuned)
    assert float(two.sums.count) == 11
    assert float(two.sums.correct) == float(one.sums.correct)


def test_only_the_tuned_part_is_differentiated():
    """The gradient of the backbone is not even part of the program: it may be an integer."""
    state, _ = run(1)
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(
        OPTIMIZER.init(tiny_model.state().tuned)
    )
    text = str(
        jax.make_jaxpr(step_lib.make_train_step(tiny_model.forward, OPTIMIZER))(
            tiny_model.state(), tiny_model.frozen(), tiny_model.batch()
        )
    )
    assert "f32[48,8] = dot_general" not in text  # what the backbone's gradient would be


def test_the_first_step_with_a_loss_that_is_not_finite_is_remembered():
    state, _ = run(3)
    assert int(state.failed_step) == -1
    state, _ = run(3, head=jnp.full((8, tiny_model.CLASSES), jnp.nan))
    assert int(state.failed_step) == 0


def test_sums_add_up_over_steps():
    state, _ = run(3, masked=5)
    assert float(state.sums.count) == 33
    means = step_lib.means(state.sums)
    assert means["loss"] == pytest.approx(float(state.sums.loss) / 33)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_labels_give_their_cross_entropy(smoothing):
    """Against the cross-entropy of a distribution, written out."""
    batch, logits = tiny_model.batch(8, masked=2), np.random.default_rng(0).normal(size=(8, 3))
    soft = (1 - smoothing) * np.eye(3)[batch.label] + smoothing / 3
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = -(soft * log_p).sum(axis=-1)[:6].sum()
    sums = step_lib.batch_sums(jnp.float32(logits), batch, loss=Loss(smoothing))
    assert float(sums.loss) == pytest.approx(expected, rel=1e-5)


def test_evaluation_counts_every_example_once():
    frozen, batch = tiny_model.frozen(), tiny_model.batch(16, masked=3)
    eval_step = step_lib.make_eval_step(tiny_model.forward)
    sums, predictions, logits = eval_step(frozen, jax.random.key(0), batch, np.bool_(True))
    np.testing.assert_array_equal(predictions, tiny_model.forward(frozen, batch.image).argmax(-1))
    np.testing.assert_array_equal(logits, tiny_model.forward(frozen, batch.image))
    right = np.asarray(tiny_model.forward(frozen, batch.image).argmax(-1)) == batch.label
    assert float(sums.count) == 13
    assert float(sums.correct) == right[:13].sum()


@pytest.mark.slow
@pytest.mark.parametrize("text", ["pad(1) | normalize", "normalize | pad(1)"])
def test_images_are_augmented_then_mixed_then_prompted(text):
    """Each act is seen in what the backbone gets: doubled, then mixed, then moved by the prompt."""
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.5, 1.0)
    backbone = backbones.from_fn(
        lambda params, images: images.reshape(len(images), -1), {}, image_size=4, mean=mean, std=std
    )
    images = np.random.default_rng(0).integers(0, 128, (4, 4, 4, 3), np.uint8)
    mix = Mix(np.int32([1, 2, 3, 0]), np.float32(0.3), np.int32([0, 0, 4, 4]), np.float32(0.3))
    prompt = prompts.parse(text)
    parts = {"backbone": backbone.params, "prompt": prompt.init(jax.random.key(0), (4, 4, 3))}
    outputs = make_outputs(backbone, prompt, "features", lambda rng, x: 2 * x)
    result = outputs(parts, images, rng=jax.random.key(1), mix=mix)

    x = 2 * images / 255
    x = 0.3 * x + 0.7 * np.roll(x, -1, axis=0)
    normalize = lambda x: (x - np.array(mean)) / np.array(std)  # noqa: E731
    pad = next(params for params in parts["prompt"] if params)
    act = lambda x: prompts.pad(1).apply(pad, jnp.float32(x))  # noqa: E731
    expected = normalize(act(x)) if text.endswith("normalize") else act(normalize(x))
    np.testing.assert_allclose(result, expected.reshape(4, -1), atol=1e-5)


PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
import jax, jax.numpy as jnp, numpy as np, optax, tiny_model
from vp_jax.data.augment import make_augment, make_mixing, mix_images
from vp_jax.step import sharding, step as step_lib
assert jax.device_count() == {devices}
mesh = sharding.make_mesh()
everywhere, rows = sharding.replicated(mesh), sharding.by_example(mesh)
optimizer = optax.sgd(0.1, 0.9)
augment = make_augment(flip=True, policy="trivialaugment")
def augmented(parts, images, *, rng, mix, **_):
    images = mix_images(augment(rng, images.astype(jnp.float32) / 255), mix)
    return tiny_model.forward(parts, images * 255)
results = []
for forward, mixing in ((tiny_model.forward, None), (augmented, make_mixing(0.8, 1.0, 4))):
    step = step_lib.make_train_step(forward, optimizer, mixing=mixing)
    step = jax.jit(step, donate_argnums=0, in_shardings=(everywhere, everywhere, rows),
                   out_shardings=everywhere)
    state = sharding.put(tiny_model.state(optimizer), everywhere)
    frozen = sharding.put(tiny_model.frozen(), everywhere)
    for i in range(10):
        state, _ = step(state, frozen, sharding.put(tiny_model.batch(seed=i, masked=3), rows))
    assert step._cache_size() == 1
    results += [*map(np.asarray, jax.tree.leaves(state.tuned)), *state.sums]
np.savez({out!r}, *results)
"""


@pytest.mark.slow
def test_eight_devices_do_what_one_does(python, cpu_devices, tmp_path):
    import pathlib

    results = []
    for devices in (1, 8):
        out = tmp_path / f"{devices}.npz"
        code = PROGRAM.format(
            folder=str(pathlib.Path(__file__).parent), devices=devices, out=str(out)
        )
        if devices == 1:
            exec(code, {})
        else:
            python("-c", code, env=cpu_devices(devices), check=True)
        with np.load(out) as file:
            results.append(list(file.values()))
    for one, eight in zip(*results, strict=True):
        np.testing.assert_allclose(one, eight, atol=1e-5)
