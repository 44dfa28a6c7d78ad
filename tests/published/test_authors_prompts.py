"""Prompts after 20 updates, against what the authors' own code makes of the same start.

`golden/README.md` says how each file was made, and where this is not all of the method.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from authors_runs import (
    CLIP,
    IMAGENET,
    NONE,
    SIDE,
    TOLERANCE,
    border,
    canvas,
    error,
    features,
    group,
    logits,
    read,
    run,
    settings,
    started,
)

from vp_jax import heads
from vp_jax.prompts import views
from vp_jax.prompts.routing import Routing
from vp_jax.step.margins import margins
from vp_jax.step.reptile import toward
from vp_jax.step.updates import optimizers, schedules
from vp_jax.training.fitting.centroids import centroids

EPOCHS = {"schedule.drop_at": (0.5, 0.7)}
"""Of 20 epochs the authors' 72 % are 14, rounded down."""
SGD = {
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "optimizer.gradient.prompt": "",
    "schedule.name": "warmup_cosine",
    "schedule.warmup_steps": 0,
}


def same(found, expected, start):
    errors = {name: error(found[name], value, start[name]) for name, value in expected.items()}
    assert max(errors.values()) <= TOLERANCE, errors


def learned(golden, config, start, normalization, end=None):
    """Of a prompt whose images need nothing but their pixels: the parameters at the end."""
    prompt, params = started(config, start)
    images = jnp.asarray(canvas(golden))

    def answer(params, rows, step):
        pixels = prompt.apply(params["prompt"], images[rows], normalization=normalization)
        return logits(golden, pixels)

    path = run(golden, config, {"prompt": params}, answer)
    (own,) = (stage for stage in path["prompt"] if jax.tree.leaves(stage))
    return jax.tree.map(lambda x: x[-1], own)


@pytest.mark.parametrize(
    ("name", "prompt"),
    [("padding", "normalize | pad(3)"), ("fixed_patch", "normalize | fixed_patch(5)")],
)
def test_bahng(name, prompt):
    golden = read(name)
    config = settings(
        None, prompt, **SGD | {"optimizer.learning_rate": 4.0, "schedule.warmup_steps": 5}
    )
    start = group(golden, "start")
    same(learned(golden, config, start, CLIP), group(golden, "end"), start)


def test_evp():
    golden = read("evp")
    config = settings("evp", "full(init='zeros') | normalize")
    config.optimizer.learning_rate = 0.5
    config.optimizer.gradient.prompt = "unit | frame(3)"
    start = group(golden, "start")
    same(learned(golden, config, start, CLIP), group(golden, "end"), start)


def test_ilm_vp_and_its_mapping_of_every_epoch():
    golden = read("ilm_vp")
    config = settings("ilm_frame", "frame(4) | normalize", **EPOCHS)
    start = border(group(golden, "start")["theta"], 4)
    prompt, params = started(config, start)
    images, mappings = jnp.asarray(canvas(golden)), jnp.asarray(golden["mappings"])

    def sources(params, rows):
        return logits(golden, prompt.apply(params, images[rows], normalization=IMAGENET))

    def answer(params, rows, step):
        return sources(params["prompt"], rows)[:, mappings[step]]

    path = run(golden, config, {"prompt": params}, answer)["prompt"]
    same(jax.tree.map(lambda x: x[-1], path[0]), border(golden["end/theta"], 4), start)
    head, labels = heads.iterative(), golden["labels"]
    every, found = jnp.arange(len(labels)), []
    predict = jax.jit(jax.vmap(lambda params: sources(params, every)))
    for of_epoch in predict(jax.tree.map(lambda x: x[:-1], path)):
        votes = head.votes(of_epoch, mappings.shape[1])
        counts = heads.add_votes(
            heads.zero_counts(of_epoch.shape[1], mappings.shape[1]), votes, labels, labels >= 0
        )
        found.append(head.fit(counts)["indices"])
    assert len(np.unique(found, axis=0)) > 1
    np.testing.assert_array_equal(found, mappings)


def test_ilm_vp_of_a_clip():
    golden = read("ilm_vp_clip")
    config = settings(None, "normalize | pad(3, init='zeros')", **SGD)
    config.optimizer.learning_rate = 4.0
    start = border(group(golden, "start")["delta"], 3)
    same(learned(golden, config, start, CLIP), border(golden["end/delta"], 3), start)


def test_autovp_and_its_mapping_that_learns():
    golden = read("autovp")
    config = settings("autovp", "frame(4) | normalize", **EPOCHS)
    given = group(golden, "start")
    layer = {"kernel": given["kernel"], "bias": given["bias"]}
    start = border(given["theta"], 4)
    prompt, params = started(config, start)
    images, head = jnp.asarray(canvas(golden)), heads.fully_connected()

    def answer(params, rows, step):
        pixels = prompt.apply(params["prompt"], images[rows], normalization=IMAGENET)
        return head.apply(params["head"], logits(golden, pixels))

    path = run(golden, config, {"prompt": params, "head": layer}, answer)
    last = jax.tree.map(lambda x: x[-1], path)
    same(last["prompt"][0], border(golden["end/theta"], 4), start)
    same(last["head"], {key: golden[f"end/{key}"] for key in layer}, layer)


def test_the_size_that_autovp_learns():
    golden = read("autovp_resize")
    config = settings("autovp", "resize(scale=1.0) | normalize", **SGD)
    config.tune = ("prompt",)
    config.optimizer.learning_rate = 0.02
    start = group(golden, "start")
    same(learned(golden, config, start, IMAGENET), group(golden, "end"), start)


def test_lor_vp():
    golden = read("lor_vp")
    config = settings("low_rank", "low_rank(3) | normalize")
    config.tune = ("prompt",)
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.5, 0.01
    start = group(golden, "start")
    same(learned(golden, config, start, IMAGENET), group(golden, "end"), start)


def convolutions(arrays, last):
    """The parameters of SMM's network as this library has them."""
    found = []
    for number in (1, 2, 3, 4, last):
        own = {
            "kernel": arrays[f"conv{number}.weight"].transpose(2, 3, 1, 0),
            "bias": arrays[f"conv{number}.bias"],
        }
        if number != last:
            own |= {"scale": arrays[f"bn{number}.weight"], "shift": arrays[f"bn{number}.bias"]}
        found.append(own)
    return tuple(found)


@pytest.mark.slow
def test_smm():
    golden = read("smm")
    config = settings("smm", "normalize | masked(full(init='zeros'))", **EPOCHS)
    config.schedule.name = "drops"
    given = group(golden, "start")
    given |= {key: x / 256 for key, x in given.items() if key.startswith("conv")}
    start = {"inner": {"delta": given["delta"]}, "mask": convolutions(given, last=6)}
    found = learned(golden, config, start, IMAGENET)
    same(found["inner"], {"delta": golden["end/delta"]}, start["inner"])
    for number, own in zip((1, 2, 3, 4, 6), found["mask"], strict=True):
        theirs = {f"conv{number}.weight": own["kernel"].transpose(3, 2, 0, 1)}
        theirs[f"conv{number}.bias"] = own["bias"]
        if number != 6:
            theirs |= {f"bn{number}.weight": own["scale"], f"bn{number}.bias": own["shift"]}
        sampled = {key: x.ravel()[::8] for key, x in theirs.items()}
        begun = {key: given[key].ravel()[::8] for key in theirs}
        same(sampled, {key: golden[f"end/{key}"] for key in theirs}, begun)


@pytest.mark.slow
def test_attrvr():
    golden = read("attrvr")
    config = settings("attrvr", "frame(3) | normalize")
    config.optimizer.learning_rate = 4.0
    start = border(group(golden, "start")["theta"], 3)
    prompt, params = started(config, start)
    images, texts = jnp.asarray(canvas(golden)), golden["texts"]
    head = heads.descriptions(list(texts), golden["logit_scale"])
    fixed = head.init(None, texts.shape[-1], texts.shape[1])

    def answer(params, rows, step):
        pixels = prompt.apply(params["prompt"], images[rows], normalization=CLIP)
        return head.apply(fixed, features(golden, pixels))

    path = run(golden, config, {"prompt": params}, answer)["prompt"]
    same(jax.tree.map(lambda x: x[-1], path[0]), border(golden["end/theta"], 3), start)
    found = answer({"prompt": jax.tree.map(lambda x: x[-1], path)}, np.arange(len(images)), 0)
    np.testing.assert_allclose(found, golden["logits"], rtol=TOLERANCE)


@pytest.mark.parametrize(("name", "weight"), [("class_wise", 0.0), ("class_wise_margins", 3.0)])
def test_a_prompt_for_every_class(name, weight):
    golden = read(name)
    config = settings("class_wise", "class_wise(pad(4, init='zeros') | clip, 5) | normalize")
    config.optimizer.learning_rate = 0.1 * 5  # their loss is the sum over the classes
    assert config.penalties.margins == 3
    start = border(group(golden, "start")["delta"], 4)
    prompt, params = started(config, (start, {}))
    images, labels = jnp.asarray(canvas(golden)), jnp.asarray(golden["labels"])

    def pixels(params, rows, **given):
        return prompt.apply(params, images[rows], normalization=NONE, **given)

    def answer(params, rows, step):
        return logits(golden, pixels(params["prompt"], rows, target=labels[rows]))

    def of_views(params, rows):
        return logits(golden, views.flat(pixels(params["prompt"], rows)))

    def owed(params, rows):
        by_image = of_views(params, rows).reshape(len(rows), 5, 5)
        return weight * margins(by_image, labels[rows]).mean()

    theirs = golden | {"losses": golden["losses"] / 5}
    more = {"more": owed} if weight else {}
    path = run(theirs, config, {"prompt": params}, answer, **more)
    last = jax.tree.map(lambda x: x[-1], path)
    same(last["prompt"][0][0], border(golden["end/delta"], 4), start)
    found = jax.jit(of_views)(last, jnp.arange(len(labels)))
    found = views.combined(found, len(labels), prompt.combine)
    np.testing.assert_array_equal(found.argmax(axis=1), golden["predictions"])


def test_dam_vp():
    golden = read("dam_vp")
    count = len(golden["centroids"])
    config = settings("dam_vp", f"normalize | cluster(pad(3), {count}, by='average')")
    config.optimizer.learning_rate, config.schedule.warmup_steps = 4.0, 4
    images = jnp.asarray(canvas(golden))
    plain = 10 * features(golden, (images - jnp.array(CLIP[0])) / jnp.array(CLIP[1]))
    means = centroids(np.asarray(plain), Routing(count, "average"), seed=0)
    apart = np.abs(means[:, None] - golden["centroids"]).max(axis=-1)
    order = apart.argmin(axis=0)  # ours of each of theirs
    assert sorted(order) == list(range(count)) and apart.min(axis=0).max() <= 1e-5
    one = group(golden, "start")
    start = {key: np.broadcast_to(x, (count, *x.shape)) for key, x in one.items()}
    prompt, params = started(config, start)

    def answer(params, rows, step):
        given = {"features": plain[rows], "centroids": jnp.asarray(means)}
        return logits(
            golden, prompt.apply(params["prompt"], images[rows], normalization=CLIP, **given)
        )

    path = run(golden, config, {"prompt": params}, answer)["prompt"]
    found = jax.tree.map(lambda x: x[-1][order], path[1])
    same(found, group(golden, "end"), start)


def test_the_start_of_dam_vp():
    golden = read("dam_vp_start")
    rounds = golden["rows"]  # of each round those of two tasks
    config = settings("dam_vp_start", "normalize | pad(3)")
    prompt, params = started(config, group(golden, "start"))
    rates = schedules.warmup_cosine(0.5, 0, len(rounds))
    images, labels = jnp.asarray(canvas(golden)), jnp.asarray(golden["labels"])

    @jax.jit
    def four_steps(params, rows, rate):
        optimizer = optimizers.by_name(config.optimizer.name, rate)

        def loss(params):
            pixels = prompt.apply(params, images[rows], normalization=CLIP)
            losses = optax.softmax_cross_entropy_with_integer_labels(
                logits(golden, pixels), labels[rows]
            )
            return losses.mean()

        def step(carry, _):
            params, state = carry
            value, slopes = jax.value_and_grad(loss)(params)
            changes, state = optimizer.update(slopes, state, params)
            return (optax.apply_updates(params, changes), state), value

        (end, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), length=4)
        return end, jnp.append(losses, loss(end))

    found = []
    for number, tasks in enumerate(rounds):
        ends, losses = zip(
            *(four_steps(params, rows, rates(number)) for rows in tasks), strict=True
        )
        params = toward(params, ends, 0.5)
        found.append(np.mean(losses, axis=0))
    np.testing.assert_allclose(found, golden["task_losses"][:, :5], rtol=TOLERANCE)
    same(params[1], group(golden, "end"), group(golden, "start"))


def test_vptta():
    golden = read("vptta")
    config = settings(None, "normalize | fourier(0.25)")
    config.optimizer.name, config.optimizer.learning_rate = "adam", 0.05
    config.schedule.name = "constant"
    with config.unlocked():
        config.optimizer.settings.b2 = 0.99
    start, end = group(golden, "start"), group(golden, "end")
    end["amplitude"] = np.roll(end["amplitude"], -1, axis=-1)  # they shift channels as well
    same(learned(golden, config, start, IMAGENET), end, start)


def test_the_kernel_of_cvp():
    golden = read("cvp3")
    config = settings(None, "conv(3) | clip | normalize", **SGD)
    config.optimizer.momentum, config.optimizer.learning_rate = 0.0, 0.1
    config.optimizer.gradient.prompt = "sign"
    config.optimizer.learning_rates.stages = f"mix={1.15 * 0.25 / 20}"
    config.schedule.name = "constant"
    start = group(golden, "start")
    same(learned(golden, config, start, NONE), group(golden, "end"), start)


def decoder(arrays):
    """The parameters of BlackVIP's decoder as this library has them."""
    blocks = []
    for first in range(0, 16, 4):
        apart, mix = arrays[f"body.{first}.weight"], arrays[f"body.{first + 1}.weight"]
        norm = f"body.{first + 2}"
        blocks.append(
            {
                "apart": {
                    "kernel": apart.transpose(2, 3, 0, 1),
                    "bias": arrays[f"body.{first}.bias"],
                },
                "mix": {
                    "kernel": mix[:, :, 0, 0],
                    "scale": arrays[f"{norm}.weight"],
                    "shift": arrays[f"{norm}.bias"],
                },
            }
        )
    last = arrays["body.16.weight"].transpose(2, 3, 0, 1)
    return {"vector": arrays["p_trigger"][0], "blocks": tuple(blocks), "last": last}


def of_decoder(params):
    """The other way round."""
    found = {"p_trigger": params["vector"][None]}
    for first, block in zip(range(0, 16, 4), params["blocks"], strict=True):
        apart, mix = block["apart"], block["mix"]
        found[f"body.{first}.weight"] = apart["kernel"].transpose(2, 3, 0, 1)
        found[f"body.{first}.bias"] = apart["bias"]
        found[f"body.{first + 1}.weight"] = mix["kernel"][:, :, None, None]
        found[f"body.{first + 2}.weight"] = mix["scale"]
        found[f"body.{first + 2}.bias"] = mix["shift"]
    return found | {"body.16.weight": params["last"].transpose(2, 3, 0, 1)}


@pytest.mark.slow
def test_the_decoder_of_blackvip():
    golden = read("blackvip")
    config = settings("blackvip_generator", "normalize | generator(12, 0.5)")
    config.schedule.name = "constant"
    given = group(golden, "start")
    is_norm = {f"body.{i}.{name}" for i in range(2, 16, 4) for name in ("weight", "bias")}
    given = {key: x if key in is_norm else x / 128 for key, x in given.items()}
    prompt, params = started(config, decoder(given), (224, 224, 3))
    images = jnp.asarray(golden["images"] / 255.0)
    inputs = jnp.asarray(golden["features"] / 64.0)

    def answer(params, rows, step):
        large = jnp.repeat(jnp.repeat(images[rows], 14, axis=1), 14, axis=2)
        drawn = prompt.apply(
            params["prompt"], large, features=inputs[rows], normalization=CLIP
        ).reshape(-1, SIDE, 14, SIDE, 14, 3)
        return logits(golden, jnp.einsum("nrycxk,yx->nrck", drawn, golden["weights"] / 512.0))

    path = run(golden, config, {"prompt": params}, answer)["prompt"]
    found = of_decoder(jax.tree.map(lambda x: x[-1], path[1]))
    sampled = {key: x.ravel()[::4] for key, x in found.items()}
    begun = {key: x.ravel()[::4] for key, x in given.items()}
    same(sampled, group(golden, "end"), begun)
