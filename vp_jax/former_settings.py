"""The settings of a prompt as versions before the one-line text had them, read as that text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DEFAULTS: dict[str, Any] = {
    "name": "pad",
    "size": 30,
    "top": 0,
    "left": 0,
    "init": "normal",
    "scale": 1.0,
    "space": "normalized",
    "bounded": False,
}
"""Of the settings under `config.prompt`."""


def prompt_text(settings: Mapping[str, Any]) -> str:
    """The text of the prompt that these settings made; those left out have their defaults.

    >>> prompt_text({"size": 10, "init": "zeros"})
    "normalize | pad(10, init='zeros')"
    >>> prompt_text({"name": "fixed_patch", "top": 3, "space": "pixel", "bounded": True})
    'fixed_patch(30, top=3) | clip'
    """
    given = {**DEFAULTS, **settings}
    named = (
        ["init", "scale"] if given["name"] != "fixed_patch" else ["top", "left", "init", "scale"]
    )
    further = [f"{key}={given[key]!r}" for key in named if given[key] != DEFAULTS[key]]
    stage = f"{given['name']}({', '.join([repr(given['size']), *further])})"
    if given["space"] == "normalized":
        return f"normalize | {stage}"
    return f"{stage} | clip" if given["bounded"] is True else stage


def refusal(given: Mapping[str, Any]) -> str:
    """What to say to somebody who gives such settings, by their names below `prompt`.

    >>> refusal({"size": 10, "space": "pixel"})
    'prompt.size and prompt.space are no settings: a prompt is one text, --config.prompt="pad(10)"'
    """
    names = " and ".join(f"prompt.{name}" for name in given)
    what = "is no setting" if len(given) == 1 else "are no settings"
    text = prompt_text({k: v for k, v in given.items() if k in DEFAULTS})
    return f"{names} {what}: a prompt is one text, --config.prompt={json.dumps(text)}"
