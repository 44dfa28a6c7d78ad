"""The train step and the evaluation step: pure functions of state, frozen parts and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vp_jax.data.augment import Mix, Mixing
from vp_jax.errors import UserError
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Forward, Parts
from vp_jax.step.loss import PLAIN, Loss
from vp_jax.step.penalties import Penalties
from vp_jax.step.tally import Tally
from vp_jax.step.updates.averaging import moving


class Sums(NamedTuple):
    """Totals over examples, float32 scalars; means are taken from them when they are read."""

    loss: jax.Array
    correct: jax.Array
    count: jax.Array  # type: ignore[assignment] # hides that of tuples; checkpoints have the name


class State(NamedTuple):
    """All that training changes.

    Attributes:
      step: number of updates made, int32.
      tuned: parameters of the parts that train, by part; their means over steps where these are
        wanted, and the optimiser's state has those that it moves.
      mapping: parts that are found, not trained by gradients: `{"head": parameters}` of an output
        mapping, `"base"` where a head that they train stands on it, `"centroids"` by which a prompt
        tells images apart; else empty.
      opt_state: of the optax optimiser.
      key: data of the random key of the run, uint32; constant, the step is folded into it.
      sums: totals since they were last read and reset.
      failed_step: first step whose loss was not finite, or -1.
      counts: of source classes against classes, `[K_src, K]` float32, since the mapping was last
        fitted; `[0, 0]` where it is not refitted.
    """

    step: jax.Array
    tuned: Parts
    mapping: Parts
    opt_state: optax.OptState
    key: jax.Array
    sums: Sums
    failed_step: jax.Array
    counts: jax.Array


MIXING_STREAM = 10_000  # of the key of a step, which augmentation and prompts split into a few

StepMetrics = dict[str, jax.Array]
TrainStep = Callable[[State, Any, Batch], tuple[State, StepMetrics]]
EvalStep = Callable[..., tuple[Sums, jax.Array, jax.Array]]


def zero_metrics(state: State, penalties: Iterable[str] = ()) -> StepMetrics:
    """Metrics with the names, shapes and types of those that a step from this state returns.

    Args:
      state: before the step.
      penalties: the names of those that the step has.
    """
    names = ("loss", "grad_norm", *(f"grad_norm/{part}" for part in state.tuned))
    names += tuple(f"penalty/{name}" for name in penalties)
    return {name: jnp.zeros_like(state.sums.loss) for name in names}


def init_state(
    tuned: Parts,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    mapping: Parts | None = None,
    counts: jax.Array | None = None,
) -> State:
    """The state before the first step; `key` is a typed key, `jax.random.key(seed)`."""
    return State(
        step=jnp.zeros((), jnp.int32),
        tuned=tuned,
        mapping=mapping or {},
        opt_state=optimizer.init(tuned),
        key=jax.random.key_data(key),
        sums=Sums(*(jnp.zeros((), jnp.float32) for _ in Sums._fields)),
        failed_step=jnp.full((), -1, jnp.int32),
        counts=jnp.zeros((0, 0), jnp.float32) if counts is None else counts,
    )


def batch_sums(logits: jax.Array, batch: Batch, mix: Mix | None = None, loss: Loss = PLAIN) -> Sums:
    """Losses (nats), right answers and examples, each summed over the unmasked rows.

    The right answer of mixed images is the label with the larger share.
    """
    losses = loss.of(logits, batch.label, mix, batch.teacher)
    answer = batch.label
    if mix is not None:
        answer = jnp.where(mix.share >= 0.5, batch.label, batch.label[mix.partner])
    right = logits.argmax(axis=-1) == answer
    return Sums(
        loss=jnp.sum(jnp.where(batch.mask, losses, 0.0)),
        correct=jnp.sum(jnp.where(batch.mask, right, False).astype(jnp.float32)),
        count=jnp.sum(batch.mask.astype(jnp.float32)),
    )


def make_train_step(
    forward: Forward,
    optimizer: optax.GradientTransformation,
    counting: Tally | None = None,
    mixing: Mixing | None = None,
    penalties: Penalties | None = None,
    of_image: Loss = PLAIN,
) -> TrainStep:
    """A pure `train_step(state, frozen, batch) -> (state, metrics)`.

    The loss is the mean over the unmasked rows, of cross-entropies by default, plus penalties,
    differentiated with respect to `state.tuned` alone; `frozen` holds the parameters of all other
    parts and is an argument, not a constant of the program. The metrics are scalars of this step:
    `loss`, `grad_norm`, and `grad_norm/PART` of every tuned part.

    Args:
      forward: from parts and images to logits.
      optimizer: of `state.tuned`.
      counting: counts the source logits of the batch in `state.counts`; its outputs and head then
        stand for `forward`.
      mixing: draws how images and labels of a batch are mixed, from the step's key.
      penalties: what is added to the loss, not to that of `state.sums`; the metrics have
        `penalty/NAME` of each, without its weight.
      of_image: how the loss of an image is made.

    Raises:
      UserError: `counting` and `mixing` together: an image of two labels is no vote for either.
    """
    if counting is not None and mixing is not None:
        raise UserError("a mapping cannot be counted on mixed images; turn mixup and cutmix off")

    def train_step(state: State, frozen: Parts, batch: Batch) -> tuple[State, StepMetrics]:
        rng = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)

        mix = None
        if mixing is not None:
            mix = mixing(jax.random.fold_in(rng, MIXING_STREAM), batch.mask)

        def loss_fn(tuned: Parts) -> tuple[jax.Array, Any]:
            parts = {**frozen, **state.mapping, **tuned}
            known: dict[str, Any] = {"label": batch.label, "features": batch.features}
            counts = state.counts
            if counting is None:
                logits = forward(parts, batch.image, rng=rng, mix=mix, **known)
            else:
                source_logits = counting.outputs(parts, batch.image, rng=rng, **known)
                logits = counting.logits(parts, source_logits, batch)
                counts = counting.add(counts, jax.lax.stop_gradient(source_logits), batch)
            sums = batch_sums(logits, batch, mix, of_image)
            loss, values = sums.loss / jnp.maximum(sums.count, 1.0), {}
            if penalties is not None:
                values = penalties.of(parts, batch, rng=rng, mix=mix, **known)
                loss += penalties.total(values)
            return loss, (sums, counts, values)

        gradient = jax.value_and_grad(loss_fn, has_aux=True)
        (loss, (sums, counts, values)), grads = gradient(moving(state.opt_state, state.tuned))
        updates, opt_state = optimizer.update(grads, state.opt_state, state.tuned)
        first_failure = (state.failed_step < 0) & ~jnp.isfinite(loss)
        state = state._replace(
            step=state.step + 1,
            tuned=optax.apply_updates(state.tuned, updates),
            opt_state=opt_state,
            sums=jax.tree.map(jnp.add, state.sums, sums),
            failed_step=jnp.where(first_failure, state.step, state.failed_step),
            counts=counts,
        )
        norms = {part: optax.tree.norm(grads[part]) for part in grads}
        each = {f"grad_norm/{part}": norm for part, norm in norms.items()}
        each |= {f"penalty/{name}": x for name, x in values.items()}
        return state, {"loss": loss, "grad_norm": optax.tree.norm(norms), **each}

    return train_step


def make_eval_step(forward: Forward) -> EvalStep:
    """A pure `eval_step(parts, key, batch, prompted=None) -> (sums, predictions, logits)`.

    The key places random patches; predictions are the most likely classes, int `[B]`. Where
    `prompted`, a bool scalar, is False, the prompt among the parts does not act.
    """

    def eval_step(
        parts: Parts, key: jax.Array, batch: Batch, prompted: jax.Array | None = None
    ) -> tuple[Sums, jax.Array, jax.Array]:
        logits = forward(  # of labels a prompt knows nothing here
            parts, batch.image, rng=key, prompted=prompted, features=batch.features
        )
        return batch_sums(logits, batch), logits.argmax(axis=-1), logits

    return eval_step


def means(sums: Sums) -> dict[str, Any]:
    """Mean loss and accuracy as Python floats; brings the totals to the host."""
    loss, correct, count = (float(x) for x in jax.device_get(sums))
    return {"loss": loss / max(count, 1.0), "accuracy": correct / max(count, 1.0)}
