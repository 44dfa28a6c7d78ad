"""A run before anything of it is loaded: what its folder keeps of it, and how it is set up."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from ml_collections import ConfigDict

from vp_jax.assembly import own_parts
from vp_jax.assembly import settings as settings_lib
from vp_jax.assembly.checks import check
from vp_jax.assembly.parts.backbone import mesh_of
from vp_jax.assembly.setup import setup
from vp_jax.backbones import Backbone
from vp_jax.errors import UserError
from vp_jax.records import workdir as workdir_lib
from vp_jax.step.sharding import check_batch_size
from vp_jax.training.experiment import Experiment


class Plan(NamedTuple):
    """A run that may go on in a folder.

    Attributes:
      settings: what the folder keeps of it.
      complete: makes what an earlier start has kept comparable.
      setup: loads and makes its parts; the folder may have some of them.
    """

    settings: workdir_lib.Settings
    complete: workdir_lib.Complete
    setup: Callable[[pathlib.Path], Experiment]

    def check(self, workdir: pathlib.Path) -> None:
        """Refuses a folder that holds another run.

        Raises:
          UserError: names everything that differs, with both values.
        """
        workdir_lib.check_settings(workdir, self.settings, self.complete)

    def claim(self, workdir: pathlib.Path) -> contextlib.AbstractContextManager[None]:
        """Makes the folder this run's for as long as the context lasts, as `records.workdir.claim`
        does."""
        return workdir_lib.claim(workdir, self.settings, self.complete)


def plan(run: ConfigDict | Experiment, backbone: Backbone | None = None) -> Plan:
    """What is to be done for a run, checked as far as nothing has to be loaded for it.

    Args:
      run: its settings, or all of its parts.
      backbone: one of the user's own, instead of the one that the settings name.

    Raises:
      UserError: settings that cannot work.
    """
    if isinstance(run, Experiment):
        if backbone is not None:
            raise UserError("the run has its backbone already: leave backbone=... out")
        here = own_parts.describe(run)
        return Plan(here, lambda there, path: own_parts.comparable(there, here), lambda _: run)
    config = settings_lib.settled(run, backbone)
    check(config, backbone)
    check_batch_size(config.batch_size, mesh_of(config))
    return Plan(
        settings_lib.plain(config),
        settings_lib.complete,
        lambda workdir: setup(config, workdir, backbone),
    )
