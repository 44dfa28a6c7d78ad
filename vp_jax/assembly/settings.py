"""Settings of runs as their folders keep them."""

from __future__ import annotations

import contextlib
import json
import pathlib
from typing import Any

from ml_collections import ConfigDict

from vp_jax.config import from_json
from vp_jax.records import workdir as workdir_lib


def plain(config: ConfigDict) -> dict[str, Any]:
    """Settings as JSON holds them."""
    return json.loads(config.to_json())


def read_config(workdir: pathlib.Path) -> ConfigDict:
    """The settings of the run in a folder, with the defaults of those that are newer.

    Raises:
      UserError: there is no run in it, or many, or its settings cannot be read.
    """
    return from_json(workdir_lib.read_settings(workdir), workdir / workdir_lib.CONFIG)


def check_settings(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Refuses a folder that holds another run.

    Raises:
      UserError: names every setting that differs, with both values.
    """
    workdir_lib.check_settings(workdir, plain(config), _complete)


def claim(workdir: pathlib.Path, config: ConfigDict) -> contextlib.AbstractContextManager[None]:
    """Makes the folder this run's, as `records.workdir.claim` does."""
    return workdir_lib.claim(workdir, plain(config), _complete)


def _complete(settings: workdir_lib.Settings, path: pathlib.Path) -> workdir_lib.Settings:
    return plain(from_json(settings, path))
