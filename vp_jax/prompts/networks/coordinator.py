"""The network that makes a prompt of features, of BlackVIP (Oh et al., arXiv 2303.14773)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from vp_jax.prompts.base import Params
from vp_jax.prompts.networks.convolutions import doubled, doubled_apart, normalized, uniform

BLOCKS = ((64, 64), (64, 32), (32, 32), (32, 16))
"""Channels behind both convolutions of every block."""

FIRST = 7
"""Pixels of the first canvas, at least."""


def grid(height: int, width: int) -> tuple[int, int, int]:
    """Doublings, rows and columns of the first canvas of an image."""
    doublings = min(max(int(math.log2(min(height, width) / FIRST)), 1), len(BLOCKS) + 1)
    return doublings, *(-(-side // 2**doublings) for side in (height, width))


def init_blocks(rng: jax.Array, channels: int, doublings: int) -> tuple[Params, int]:
    """Parameters of all blocks but the last doubling, and the channels that they end in."""
    blocks = BLOCKS[len(BLOCKS) + 1 - doublings :]
    drawn, keys = [], iter(jax.random.split(rng, 2 * len(BLOCKS)))
    for wanted, after in blocks:
        each = max(wanted // channels, 1)
        inner = channels * each
        apart = {"kernel": (2, 2, channels, each), "bias": (inner,)}
        mix = {"kernel": (inner, after), "scale": (after,), "shift": (after,)}
        drawn.append(
            {"apart": uniform(next(keys), apart, 1), "mix": uniform(next(keys), mix, inner)}
        )
        channels = after
    return tuple(drawn), channels


def canvas_of(params: Params, features: jax.Array, height: int, width: int) -> jax.Array:
    """The canvas `[N, height, width, C]` of features `[N, D]`.

    Args:
      params: `vector`, which is joined with the features, `blocks`, and `last`, the kernel of the
        last doubling.
    """
    _, rows, columns = grid(height, width)
    vector = jnp.broadcast_to(params["vector"], (features.shape[0], *params["vector"].shape))
    x = jnp.concatenate([features, vector], axis=1)
    x = x.reshape(x.shape[0], -1, rows, columns).transpose(0, 2, 3, 1)  # theirs has channels first
    for block in params["blocks"]:
        apart, mix = block["apart"], block["mix"]
        x = doubled_apart(x, apart["kernel"]) + apart["bias"]
        x = jax.nn.gelu(normalized(x @ mix["kernel"], mix["scale"], mix["shift"]), False)
    return doubled(x, params["last"])[:, :height, :width]
