"""Checkpoints of versions before a prompt was one text, read by rule.

A prompt was `pad`, `fixed_patch` or `random_patch` then. Its parameters had no place in a chain,
and checkpoints said whose they are by its name and shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_IDENTITY = re.compile(r"(pad|fixed_patch|random_patch), \{")
_PLACE = re.compile(r"(?<=prompt\.)\d+\.")


def identity(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a checkpoint says whose it is, with the prompt of the settings beside it where it was
    made by such a version; its arrays still have to fit."""
    prompt = saved.get("prompt")
    prompts = prompt if isinstance(prompt, list) else [prompt]  # of the members of a sweep
    if all(isinstance(text, str) and _IDENTITY.match(text) for text in prompts):
        return {**saved, "prompt": wanted.get("prompt")}
    return saved


def arrays(saved: Mapping[str, np.ndarray], wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Arrays of a checkpoint under the names that a state has for them now.

    >>> arrays({"tuned.prompt.top": np.zeros(2)}, ["tuned.prompt.1.top"])
    {'tuned.prompt.1.top': array([0., 0.])}
    """
    now = {_PLACE.sub("", name): name for name in wanted if name not in saved}
    return {now.get(name, name): array for name, array in saved.items()}
