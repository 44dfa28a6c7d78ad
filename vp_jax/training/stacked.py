"""Many runs in one state: arrays with an axis of members, and the steps that train them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vp_jax.data.augment import Augment
from vp_jax.prompts.canvas import Masks, canvas, differing, on_canvas
from vp_jax.step import step as step_lib
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Forward, Parts, make_forward, make_outputs
from vp_jax.step.fsdp import gather_on_use
from vp_jax.step.step import State, StepMetrics, Sums, TrainStep
from vp_jax.training.experiment import Experiment

STATE_AXES = State(
    step=None, tuned=0, mapping=0, opt_state=0, key=0, sums=0, failed_step=0, counts=0
)
"""Where the axis of members is in a state; they all make their steps together."""

OWN_BATCHES = Batch(image=1, label=1, mask=None)
"""Where it is in batches `[B, N]` of examples that every member chooses; examples come first, so
that they can be split among devices."""


class Traits(NamedTuple):
    """What members have of their own in the program, beside their state.

    Attributes:
      rate: the highest learning rate, float32 `[N]`.
      masks: of the stages that differ among prompts, which pixel values each covers, bool
        `[N, H, W, C]`; None for stages that are the same for all.
      active: whether steps change the member, bool `[N]`.
    """

    rate: jax.Array
    masks: Masks
    active: jax.Array


class Stack:
    """The members of a sweep as one: how their states are stacked, taken apart and trained.

    Attributes:
      experiments: the runs, in order.
      rate, masks: as in `Traits`, on the host.
    """

    def __init__(self, experiments: Sequence[Experiment]):
        self.experiments = experiments
        self._first = experiments[0]
        positions = differing([e.prompt for e in experiments])
        self._canvases = [canvas(e.prompt, e.image_shape, positions) for e in experiments]
        rates = [e.rates["prompt"] for e in experiments]
        self.rate = np.array(rates, np.float32)
        masks = [c.masks for c in self._canvases]
        self.masks: Masks = jax.tree.map(lambda *each: np.stack(each), *masks)

    def fresh(self) -> State:
        """All members before the first step, on the host."""
        states = []
        for number, experiment in enumerate(self.experiments):
            tuned = {"prompt": self._canvases[number].draw(experiment.tuned["prompt"])}
            states.append(
                step_lib.init_state(tuned, experiment.optimizer, experiment.key, experiment.mapping)
            )
        stacked = jax.tree.map(lambda *each: np.stack(each), *states)
        return stacked._replace(step=states[0].step)

    def member(self, state: State, number: int) -> State:
        """The state of one member as its own run would have it, on the host.

        Args:
          state: of all, on the host; `step` is a scalar, or `[N]`.
          number: which member.
        """
        own = jax.tree.map(lambda x: x[number], state._replace(step=()))
        step = np.broadcast_to(state.step, (len(self.experiments),))[number]
        own = own._replace(step=np.asarray(step))
        if not jax.tree.leaves(self.masks):
            return own
        drawn, optimizer = self._canvases[number], self.experiments[number].optimizer
        return own._replace(
            tuned={"prompt": drawn.read(own.tuned["prompt"])},
            opt_state=optax.tree.map_params(
                optimizer, lambda x, read: read(x), own.opt_state, {"prompt": drawn.readers}
            ),
        )

    def forward(self, masks: Masks, augment: Augment | None = None) -> Forward:
        """From parts and images to logits, for one member with these masks."""
        first = self._first
        head, prompt = first.head.head, on_canvas(first.prompt, masks)
        outputs = make_outputs(first.backbone, prompt, head.takes, augment, first.task.resized)
        return make_forward(gather_on_use(outputs, first.mesh), head)

    def train_step(self) -> TrainStep:
        """A pure `train_step(state, (frozen, traits), batch)` of all members at once.

        The batch is `[B, N]`, its mask `[B]`. Metrics are those of a single step, each `[N]`.
        """
        experiment = self._first

        def of_member(
            state: State, traits: Traits, batch: Batch, frozen: Parts
        ) -> tuple[State, StepMetrics]:
            train_step = step_lib.make_train_step(
                self.forward(traits.masks, experiment.augment),
                experiment.make_optimizer({"prompt": traits.rate}),
                mixing=experiment.mixing,
            )
            after, metrics = train_step(state, frozen, batch)
            kept = jax.tree.map(lambda a, b: jnp.where(traits.active, a, b), after, state)
            return kept._replace(step=after.step), metrics

        of_all = jax.vmap(
            of_member, in_axes=(STATE_AXES, 0, OWN_BATCHES, None), out_axes=(STATE_AXES, 0)
        )

        def train_step(
            state: State, shared: tuple[Parts, Traits], batch: Batch
        ) -> tuple[State, StepMetrics]:
            frozen, traits = shared
            return of_all(state, traits, batch, frozen)

        return train_step

    def eval_step(self, batch_axes: Batch | None) -> Any:
        """A pure `eval_step(parts, masks, keys, batch, frozen) -> (sums, predictions, logits)`.

        Args:
          batch_axes: `OWN_BATCHES`, or None where all members look at the same examples.

        Returns:
          The step. Its parts, masks and keys have an axis of members first, and so have the sums,
          the most likely classes, int `[N, B]`, and the logits, float32 `[N, B, K]`.
        """

        def of_member(
            parts: Parts, masks: Masks, key: jax.Array, batch: Batch, frozen: Parts
        ) -> tuple[Sums, jax.Array, jax.Array]:
            logits = self.forward(masks)({**frozen, **parts}, batch.image, rng=key)
            return step_lib.batch_sums(logits, batch), logits.argmax(axis=-1), logits

        return jax.vmap(of_member, in_axes=(0, 0, 0, batch_axes, None))


def pick(chosen: jax.Array, ones: State, others: State) -> State:
    """The members of `ones` where `chosen`, bool `[N]`, and of `others` elsewhere."""

    def choose(one: jax.Array, other: jax.Array) -> jax.Array:
        return jnp.where(chosen.reshape(-1, *(1,) * (other.ndim - 1)), one, other)

    return jax.tree.map(choose, ones, others)
