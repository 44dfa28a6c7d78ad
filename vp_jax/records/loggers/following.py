"""The loggers of a run by their names: opened, known again at the next start, never in its way."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vp_jax import distributed
from vp_jax.errors import UserError, brief, unknown
from vp_jax.records.loggers.base import About, Conclusion, Logger
from vp_jax.records.loggers.mlflow_run import MlflowRun
from vp_jax.records.loggers.tensorboard import write_end
from vp_jax.records.loggers.weights_and_biases import WeightsAndBiases
from vp_jax.records.names import LOGGERS
from vp_jax.records.workdir import write_json

LOGGER_KINDS: dict[str, Callable[[About], Logger]] = {
    "wandb": WeightsAndBiases,
    "mlflow": MlflowRun,
}
"""By the names that settings have, which are those of the packages and of the extras."""


def check_loggers(names: Sequence[str], called: str = "logger") -> None:
    """Refuses loggers that do not exist, or whose package is not installed.

    Raises:
      UserError: names it, and the command that installs it.
    """
    for name in names:
        if name not in LOGGER_KINDS:
            raise unknown(f"name in {called}", name, LOGGER_KINDS)
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"{called} has {name!r}, and that package is not installed: pip install "
                f"'vp_jax[{name}]', or leave it out"
            )


class Followers:
    """The loggers of one run, of which none ever stops it.

    One that fails is told once, and left out from then on; `metrics.jsonl` has what it misses.

    Args:
      loggers: by their names.
    """

    def __init__(self, loggers: Mapping[str, Logger]):
        self._loggers = dict(loggers)

    def write(self, number: int, step: int, values: Mapping[str, float]) -> None:
        """Hands on a row of metrics, and which it is."""
        self._each(lambda logger: logger.write(number, step, values), f"step {step:,}")

    def conclude(self, end: Conclusion) -> None:
        """Hands on what the run came to."""
        self._each(lambda logger: logger.conclude(end), "the end")

    def close(self, finished: bool) -> None:
        """Ends all of them."""
        self._each(lambda logger: logger.close(finished), "the end")

    def _each(self, do: Callable[[Logger], None], when: str) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                do(logger)
            except Exception as error:
                del self._loggers[name]
                distributed.say(
                    f"{name} has failed at {when} and is left out from here on ({brief(error)}); "
                    "the run goes on, and its metrics.jsonl has all rows"
                )


NOBODY = Followers({})


@contextlib.contextmanager
def followed(
    names: Sequence[str],
    workdir: pathlib.Path,
    folders: Sequence[pathlib.Path],
    settings: Callable[[pathlib.Path], Mapping[str, Any]],
) -> Iterator[list[Followers]]:
    """The loggers of every run of a workdir, for as long as the context lasts.

    Of several processes only the main one has any.

    Args:
      names: of the loggers.
      workdir: of the run or the sweep, claimed.
      folders: of its members; of a run its own.
      settings: the hyper-parameters of the run in a folder.

    Raises:
      UserError: one of them cannot begin.
    """
    if not (names and distributed.is_main()):
        yield [NOBODY] * len(folders)
        return
    every: list[Followers] = []
    finished = False
    try:
        for folder in folders:
            every.append(_open(names, workdir, folder, settings(folder)))
        yield every
        finished = True
    finally:
        for followers in every:
            followers.close(finished)


def _open(
    names: Sequence[str],
    workdir: pathlib.Path,
    folder: pathlib.Path,
    settings: Mapping[str, Any],
) -> Followers:
    top = workdir.absolute().name
    name, group = (top, "") if folder == workdir else (f"{top}/{folder.name}", top)
    known, loggers = _known(folder), {}
    try:
        for kind in names:
            about = About(folder, name, group, settings, known.get(kind, ""))
            loggers[kind] = LOGGER_KINDS[kind](about)
    except BaseException:
        Followers(loggers).close(False)
        raise
    ids = {**known, **{kind: logger.id for kind, logger in loggers.items()}}
    if ids != known:
        write_json(folder / LOGGERS, ids)
    return Followers(loggers)


def _known(folder: pathlib.Path) -> dict[str, str]:
    """The ids that earlier starts have kept.

    Raises:
      UserError: they cannot be read.
    """
    path = folder / LOGGERS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(text) for name, text in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read ({brief(error)}): mend that, or delete it to begin new runs "
            "in the loggers"
        ) from error


def conclude(folder: pathlib.Path, followers: Followers, end: Conclusion) -> None:
    """Tells TensorBoard and all loggers what a run came to; of several processes the main one.

    Raises:
      OSError: there is no space for TensorBoard's files.
    """
    if distributed.is_main():
        write_end(folder, end)
        followers.conclude(end)
