"""Heads that gradients train: one linear layer on features or on source logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.weights import times


def linear() -> Head:
    """A linear layer on the backbone's features: `features @ kernel + bias`.

    The layer of the linear-probe and full fine-tuning baselines of Bahng et al., "Exploring Visual
    Prompts for Adapting Large-Scale Models" (2022).

    Returns:
      The head. It reads features [B, D]. Its parameters, float32: `kernel`, [D, K], drawn from a
      truncated normal of variance 1 / D (LeCun), since a zero kernel would leave the prompt without
      a gradient; and `bias`, [K], zeros.

    Raises:
      UserError: in `init` for no key; in `apply` for features of another width.
    """
    return _layer("linear", "features")


def fully_connected() -> Head:
    """A linear layer on the backbone's source logits: `source_logits @ kernel + bias`.

    The fully connected mapping of Tsao et al., "AutoVP: An Automated Visual Prompting Framework and
    Benchmark" (ICLR 2024, arXiv 2310.08381).

    Returns:
      The head. It reads logits [B, Ks]. Its parameters are those of `linear`, with Ks for D.

    Raises:
      UserError: in `init` for no key; in `apply` for another number of source classes.
    """
    return _layer("fully_connected", "logits")


def _layer(name: str, takes: str) -> Head:
    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        inputs, classes = check_sizes(inputs, classes)
        if rng is None:
            raise UserError(f"head {name!r} needs a key: pass rng=jax.random.key(0), or another")
        draw = jax.nn.initializers.lecun_normal()
        return {
            "kernel": draw(rng, (inputs, classes), jnp.float32),
            "bias": jnp.zeros(classes, jnp.float32),
        }

    def apply_fn(params: Params, x: jax.Array) -> jax.Array:
        return times(x, params["kernel"]) + params["bias"]

    return Head(takes, init_fn, apply_fn, trainable=True, name=name)
