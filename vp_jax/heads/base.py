"""What a head is: what it reads, how it starts, how it makes logits, how it is fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from vp_jax.prompts.checks import check_int

Params = dict[str, Any]
"""Arrays by name."""


class Head(NamedTuple):
    """An output transformation: it turns a backbone's output into logits over K classes.

    `init`, `apply` and `votes` are pure functions of arrays and may be jitted. A head with `fit` is
    not trained by gradients but fitted to counts: over a pass through the training images,
    `counts = add_votes(counts, head.votes(source_logits, classes), labels, mask)` from
    `zero_counts(sources, classes)`, and then `params = head.fit(counts)` on the host.

    Attributes:
      takes: `"features"` or `"logits"`, the output of the backbone that `apply` reads: features
        [B, D], or logits [B, Ks] over the backbone's own Ks source classes.
      init: `init(rng, inputs, classes) -> params`. `inputs` is D or Ks, `classes` is K. For a head
        with `fit` these are placeholders of the right shapes and dtypes.
      apply: `apply(params, x) -> logits`: [B, inputs], any floating dtype, to [B, K], float32.
      trainable: whether gradients can train `params`.
      refit: when `fit` is to run: `"never"`; `"once"`, before training, on images without a prompt;
        or `"epoch"`, before every epoch, on images with the prompt as it is.
      votes: `votes(source_logits, classes) -> (source classes, weights)`: [B, Ks] to [B, k], int32,
        and [B, k], float32, at least 0: what every image counts for. None for heads without `fit`.
      fit: `fit(counts) -> params`: [Ks, K], finite, at least 0, to numpy arrays. None for heads
        that need none.
      name: what results call it.
      own: names of the parameters that gradients train, of a head that stands on another one, see
        `heads.residual`; empty: all or none. `fit` then gives the others.
    """

    takes: str
    init: Callable[[jax.Array | None, int, int], Params]
    apply: Callable[[Params, jax.Array], jax.Array]
    trainable: bool
    refit: str = "never"
    votes: Callable[[jax.Array, int], tuple[jax.Array, jax.Array]] | None = None
    fit: Callable[[np.ndarray], Params] | None = None
    name: str = "custom"
    own: tuple[str, ...] = ()


def check_sizes(inputs: object, classes: object) -> tuple[int, int]:
    """Returns the sizes handed to `init` as ints; refuses what is not an int of at least 1."""
    return (
        check_int("the number of inputs of a head", inputs, 1),
        check_int("the number of classes of a head", classes, 1),
    )
