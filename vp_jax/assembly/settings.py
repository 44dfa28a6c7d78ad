"""Settings of runs as their folders keep them."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from vp_jax.assembly.parts.prompt import with_canonical_prompt
from vp_jax.backbones import Backbone
from vp_jax.config import default, from_json
from vp_jax.errors import UserError
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.names import CONFIG, MADE_IN


def settled(config: ConfigDict, backbone: Backbone | None) -> ConfigDict:
    """The settings as they are recorded: with the name of the user's own backbone, and the prompt
    in the one text of its meaning."""
    config = with_canonical_prompt(config)
    if backbone is not None:
        with config.unlocked():
            config.backbone.name = backbone.name
    return config


def plain(config: ConfigDict) -> dict[str, Any]:
    """Settings as JSON holds them."""
    return json.loads(config.to_json())


def read_config(workdir: pathlib.Path) -> ConfigDict:
    """The settings of the run in a folder, with the defaults of those that are newer.

    Raises:
      UserError: there is no run in it, or many, or it was made of parts, or its settings cannot be
        read.
    """
    settings = workdir_lib.read_settings(workdir)
    if MADE_IN in settings:
        raise UserError(
            f"the run in {workdir} was made in Python, of parts that no settings can make again: "
            "give them, as in runs.evaluate(workdir, experiment=runs.experiment(...)) or "
            "vp_jax.load(workdir, experiment=...)"
        )
    return from_json(settings, workdir / CONFIG)


def check_settings(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Refuses a folder that holds another run.

    Raises:
      UserError: names every setting that differs, with both values.
    """
    workdir_lib.check_settings(workdir, plain(config), complete)


def claim(workdir: pathlib.Path, config: ConfigDict) -> contextlib.AbstractContextManager[None]:
    """Makes the folder this run's, as `records.workdir.claim` does."""
    return workdir_lib.claim(workdir, plain(config), complete)


def complete(settings: workdir_lib.Settings, path: pathlib.Path) -> workdir_lib.Settings:
    """Settings that were written to a file with the defaults of those that are newer.

    Raises:
      UserError: one has a value of another type than it takes.
    """
    return plain(from_json(settings, path))


ALWAYS = (
    *("seed", "task.name", "backbone.name", "prompt", "head.name", "tune"),
    *("batch_size", "epochs", "optimizer.name", "optimizer.learning_rate"),
)
"""Hyper-parameters that are shown whether or not they are the default."""
_OF_PARTS = ("parts.", "programs.", MADE_IN)


def differing(settings: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """The names of settings that others have not, or not with the same value."""
    return [name for name, x in settings.items() if name not in others or others[name] != x]


def hyper_parameters(workdir: pathlib.Path) -> dict[str, Any]:
    """What tells the run in a folder from others, by dotted names: the settings that are not the
    default, without those that may change from start to start, and those of `ALWAYS`."""
    found = workdir_lib.flatten(workdir_lib.read_settings(workdir))
    usual = workdir_lib.flatten(plain(default()))
    changed = {
        name
        for name in differing(found, usual)
        if name not in workdir_lib.MAY_CHANGE and not name.startswith(_OF_PARTS)
    }
    return {name: x for name, x in found.items() if name in ALWAYS or name in changed}
