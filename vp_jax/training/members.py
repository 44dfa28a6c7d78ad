"""The members of a sweep as one: their states stacked and taken apart, the step that trains them.

A run is a sweep of one member; its state and its batches have no axis of members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.prompts import Chain
from vp_jax.prompts.images.canvas import Masks, canvas, differing, on_canvas
from vp_jax.step import step as step_lib
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Forward, Parts, make_forward, make_outputs
from vp_jax.step.fsdp import gather_on_use
from vp_jax.step.penalties import Penalties, make_change
from vp_jax.step.sharding import put, replicated
from vp_jax.step.step import EvalStep, State, StepMetrics, TrainStep
from vp_jax.training.experiment import Experiment

STATE_AXES = State._make(None if name == "step" else 0 for name in State._fields)
"""Where the axis of members is in a state; they all make their steps together."""

OWN_BATCHES = Batch._make([1, 1, None, 1, 1])
"""Where it is in batches `[B, N]` of examples that every member chooses; examples come first, so
that they can be split among devices."""


PROMPT = jax.tree_util.DictKey("prompt")

Tree = TypeVar("Tree")


class Traits(NamedTuple):
    """What several members have of their own in the program, beside their state.

    Attributes:
      rates: peak learning rates by part, float32 `[N]`.
      masks: of the stages that differ among prompts, which pixel values each covers, bool
        `[N, H, W, C]`; None for stages that are the same for all, or where all are.
      active: whether steps change the member, bool `[N]`.
    """

    rates: dict[str, Any]
    masks: Masks | None
    active: Any


class Members:
    """One run, or several that differ in their seeds, prompts or learning rates.

    Attributes:
      experiments: the runs, in order; they share backbone, images and devices.
      first: of them.
      canvases: how their prompts are drawn, where these differ in size or place.
      traits: what several have of their own, on the devices.
    """

    def __init__(self, experiments: Sequence[Experiment]):
        self.experiments, self.first = tuple(experiments), experiments[0]
        places = differing([e.prompt for e in experiments])
        drawn = experiments if places else ()
        self.canvases = [canvas(e.prompt, e.image_shape, places) for e in drawn]
        masks = self.stack([c.masks for c in self.canvases]) if places else None
        names = self.first.rates
        rates = {p: np.array([e.rates[p] for e in experiments], np.float32) for p in names}
        active = np.ones(len(experiments), bool)
        self.traits = put(Traits(rates, masks, active), replicated(self.first.mesh))

    def __len__(self) -> int:
        return len(self.experiments)

    def stack(self, trees: Sequence[Any]) -> Any:
        """A tree of each member as one of all."""
        if len(self) == 1:
            return trees[0]
        return jax.tree.map(lambda *each: jnp.stack(each), *trees)

    def unstack(self, tree: Any, number: int) -> Any:
        """The tree of one member."""
        return tree if len(self) == 1 else jax.tree.map(lambda x: x[number], tree)

    def fresh(self, heads: Sequence[Any] = ()) -> State:
        """All members before the first step, on the host; with heads of their own, if they have."""
        states = []
        for number, e in enumerate(self.experiments):
            tuned = {**e.tuned, **({"head": heads[number]} if heads else {})}
            if self.canvases:
                tuned["prompt"] = self.canvases[number].draw(tuned["prompt"])
            counts = None if e.counting is None else e.counting.zero()
            states.append(step_lib.init_state(tuned, e.optimizer, e.key, e.mapping, counts))
        return self.stack(states)._replace(step=states[0].step)

    def member(self, state: State, number: int) -> State:
        """The state of one member as its own run has it.

        Args:
          state: of all, on the host where there are several; `step` is a scalar, or `[N]`.
          number: which member.
        """
        if len(self) == 1:
            return state
        step = jnp.broadcast_to(state.step, (len(self),))
        own = self.unstack(state._replace(step=step), number)
        if not self.canvases:
            return own
        readers = dict(jax.tree_util.tree_leaves_with_path(self.canvases[number].readers))

        def read(path: tuple[Any, ...], x: jax.Array) -> Any:  # also what an optimiser keeps of it
            below = path[len(path) - path[::-1].index(PROMPT) :] if PROMPT in path else path
            return readers.get(below, lambda x: x)(x)

        return jax.tree_util.tree_map_with_path(read, own)

    def outputs(self, masks: Masks | None, *, augmented: bool = False) -> Forward:
        """From parts and images to what the head reads, for one member with these masks."""
        first, prompt = self.first, self._prompt(masks)
        augment, takes = first.augment if augmented else None, first.head.head.takes
        outputs = make_outputs(first.backbone, prompt, takes, augment, first.task.resized)
        return gather_on_use(outputs, first.mesh)

    def penalties(self, masks: Masks | None) -> Penalties | None:
        """What is added to the loss of one member with these masks."""
        first, prompt = self.first, self._prompt(masks)
        if not first.penalties:
            return None
        change = make_change(first.backbone, prompt, first.augment, first.task.resized)
        views = make_forward(self.outputs(masks, augmented=True), first.head.head)
        return Penalties(first.penalties, gather_on_use(change, first.mesh), views)

    def _prompt(self, masks: Masks | None) -> Chain:
        return self.first.prompt if masks is None else on_canvas(self.first.prompt, masks)

    @property
    def eval_argument(self) -> Any:
        """The argument of `eval_step` by which all prompts act."""
        return np.bool_(True) if len(self) == 1 else self.traits.masks

    def shared(self, frozen: Parts, active: np.ndarray) -> Any:
        """What a train step takes beside state and batch; `active` as in `Traits`."""
        if len(self) == 1:
            return frozen
        active = put(active, replicated(self.first.mesh))
        return frozen, self.traits._replace(active=active)

    def train_step(self) -> TrainStep:
        """A pure `train_step(state, shared, batch)` of all members at once.

        The batch of several is `[B, N]`, its mask `[B]`. Metrics are those of a single step, each
        `[N]`.
        """
        first, head = self.first, self.first.head.head
        if len(self) == 1:
            return step_lib.make_train_step(
                first.train_forward,
                first.optimizer,
                first.counting,
                first.mixing,
                self.penalties(None),
                first.loop.loss,
            )

        def of_member(
            state: State, traits: Traits, batch: Batch, frozen: Parts
        ) -> tuple[State, StepMetrics]:
            outputs = self.outputs(traits.masks, augmented=True)
            train_step = step_lib.make_train_step(
                make_forward(outputs, head, first.prompt.combine),
                first.make_optimizer(traits.rates),
                first.counting and first.counting._replace(outputs=outputs),
                first.mixing,
                self.penalties(traits.masks),
                first.loop.loss,
            )
            after, metrics = train_step(state, frozen, batch)
            kept = jax.tree.map(lambda a, b: jnp.where(traits.active, a, b), after, state)
            return kept._replace(step=after.step), metrics

        of_all = jax.vmap(of_member, (STATE_AXES, 0, OWN_BATCHES, None), (STATE_AXES, 0))
        return lambda state, shared, batch: of_all(state, shared[1], batch, shared[0])

    def eval_step(self) -> EvalStep:
        """A pure `eval_step(parts, keys, batch, argument)` of all members at once.

        For one `argument` says whether it is prompted. For several it is `eval_argument`, and parts
        that change, keys and batch have an axis of members.
        """
        first = self.first
        if len(self) == 1:
            return step_lib.make_eval_step(first.forward)

        def of_member(parts: Parts, key: jax.Array, batch: Batch, masks: Any) -> Any:
            forward = make_forward(self.outputs(masks), first.head.head, first.prompt.combine)
            return step_lib.make_eval_step(forward)(parts, key, batch)

        def eval_step(parts: Parts, keys: jax.Array, batch: Batch, masks: Any) -> Any:
            axes = {part: 0 if part in first.initial else None for part in parts}
            return jax.vmap(of_member, (axes, 0, OWN_BATCHES, 0))(parts, keys, batch, masks)

        return eval_step


@jax.jit
def pick(chosen: jax.Array, ones: Tree, others: Tree) -> Tree:
    """The members of `ones` where `chosen`, bool `[N]`, and of `others` elsewhere."""

    def choose(one: jax.Array, other: jax.Array) -> jax.Array:
        return jnp.where(chosen.reshape(-1, *(1,) * (other.ndim - 1)), one, other)

    return jax.tree.map(choose, ones, others)
