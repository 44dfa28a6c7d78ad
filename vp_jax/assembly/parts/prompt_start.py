"""The parameters with which the prompt of a run begins."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vp_jax import prompts
from vp_jax.assembly.compose import keys_of
from vp_jax.assembly.parts.prompt import acting_prompt
from vp_jax.backbones import Backbone
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.prompts.images.transfer import transfer
from vp_jax.records.checkpoints.state_arrays import Mismatch, from_arrays
from vp_jax.records.finished import load_part


def draw_prompt(config: ConfigDict, backbone: Backbone) -> Any:
    """The parameters of the prompt as its key draws them; it has none where it does not train.

    Raises:
      UserError: the prompt does not fit the backbone's images.
    """
    shape = (backbone.image_size, backbone.image_size, 3)
    return acting_prompt(config).init(keys_of(config.seed).prompt, shape)


def start_prompt(config: ConfigDict, backbone: Backbone) -> Any:
    """The same, or those of `config.start.from_run`, resampled where they are for other images.

    Raises:
      UserError: as `draw_prompt`, or the other run has no such prompt.
    """
    drawn = draw_prompt(config, backbone)
    if config.start.from_run is None or "prompt" not in config.tune:
        return drawn
    workdir = files.expanded(config.start.from_run)
    arrays, identity = load_part(workdir, "prompt")
    text = identity["prompt"]
    if not isinstance(text, str):
        raise UserError(
            f"{workdir} holds several prompts: give --config.start.from_run the folder of one run"
        )
    try:
        other = prompts.parse(text)
    except UserError as error:
        raise UserError(
            f"the prompt of {config.start.from_run} is {text!r}, which is no text of stages: "
            "--config.start.from_run takes a run whose prompt is"
        ) from error
    side = _side(other, arrays, backbone.image_size, config.start.from_run)
    params = _params(other, arrays, side)
    here = (backbone.image_size, backbone.image_size, 3)
    return transfer(other, params, (side, side, 3), acting_prompt(config), here)


def _side(prompt: prompts.Chain, arrays: dict[str, Any], likely: int, run: str) -> int:
    shapes = {name: tuple(map(int, x.shape)) for name, x in arrays.items()}
    sides = (likely, *sorted({n for shape in shapes.values() for n in shape}, reverse=True))
    for side in sides:
        try:
            _params(prompt, arrays, side)
        except (UserError, Mismatch):
            continue
        return side
    raise UserError(
        f"it cannot be told for images of which size the prompt {prompt} of {run} is; begin with "
        "one of a stage that covers the image or its border"
    )


def _params(prompt: prompts.Chain, arrays: dict[str, Any], side: int) -> Any:
    like = jax.eval_shape(lambda: prompt.init(jax.random.key(0), (side, side, 3)))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)
    return from_arrays(arrays, zeros)
