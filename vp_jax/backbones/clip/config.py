"""Refuses CLIP weights that the config file beside them says are of another architecture.

Tensor shapes do not tell the activation (LAION's CLIPs were trained with GELU, OpenAI's with
quick-GELU), the number of heads or LayerNorm's epsilon: with another one the features are silently
wrong. The config files do tell.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

from vp_jax.backbones.clip.sizes import ClipSize
from vp_jax.backbones.layers.transformer import LAYER_NORM_EPSILON
from vp_jax.errors import UserError

FILES = {"openai": "open_clip_config.json", "hf": "config.json"}


def check(folder: pathlib.Path, layout: str, size: ClipSize, model: str) -> bool:
    """Compares the config file in `folder` with the model; no file, no comparison.

    Args:
      folder: where the weights are.
      layout: of the weights, `"openai"` (open_clip's config) or `"hf"` (transformers').
      size: of the model.
      model: its name, for the message.

    Returns:
      Whether there is such a file.

    Raises:
      UserError: the file cannot be read, or it asks for something else than the model computes.
    """
    path = folder / FILES[layout]
    if not path.is_file():
        return False
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        found = _open_clip(config, size) if layout == "openai" else _transformers(config)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is not a readable config of a CLIP ({type(error).__name__}: {error}). Fetch "
            "it again, or move it away if the weights beside it are OpenAI's."
        ) from error
    expected = _expected(size)
    differing = [
        f"  {key}: the file says {value}, {model} has {expected[key]}"
        for key, value in found.items()
        if key in expected and value != expected[key]
    ]
    if differing:
        raise UserError(
            f"The weights in {folder} are not for {model}: {path.name} says otherwise, and the "
            "features would be silently wrong.\n" + "\n".join(differing)
        )
    return True


def _expected(size: ClipSize) -> dict[str, object]:
    common = {
        "text activation": "quick_gelu",
        "text heads": size.text_heads,
        "text layer_norm_eps": LAYER_NORM_EPSILON,
    }
    if size.patch_size is None:
        return common
    return common | {
        "vision activation": "quick_gelu",
        "vision heads": size.vision_heads,
        "vision layer_norm_eps": LAYER_NORM_EPSILON,
    }


def _open_clip(config: dict[str, Any], size: ClipSize) -> dict[str, object]:
    """What `open_clip_config.json` says; what it leaves out has open_clip's default."""
    config = config["model_cfg"]
    vision, text = config["vision_cfg"], config["text_cfg"]
    activation = "quick_gelu" if config.get("quick_gelu", False) else "gelu"
    return {
        "text activation": activation,
        "text heads": text.get("heads", 8),
        "vision activation": activation,
        "vision heads": vision.get("width", size.vision_width) // vision.get("head_width", 64),
    }


def _transformers(config: dict[str, Any]) -> dict[str, object]:
    """What transformers' `config.json` says; what it leaves out has `CLIPConfig`'s default."""
    found = {}
    for tower, heads in (("text", 8), ("vision", 12)):
        # Old files have a second dict, which takes precedence where it is there.
        tower_config = (config.get(f"{tower}_config") or {}) | (
            config.get(f"{tower}_config_dict") or {}
        )
        found[f"{tower} activation"] = tower_config.get("hidden_act", "quick_gelu")
        found[f"{tower} heads"] = tower_config.get("num_attention_heads", heads)
        found[f"{tower} layer_norm_eps"] = tower_config.get("layer_norm_eps", 1e-5)
    return found
