"""Pages from templates."""

from __future__ import annotations

import functools
import pathlib
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from absl import logging

from vp_jax import distributed
from vp_jax.host import files
from vp_jax.records.names import PAGE

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = "vp_jax.report.page"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 as people read it; a dash where there is none.

    >>> percent(0.8664), percent(None)
    ('86.6 %', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of shares.

    >>> points(-0.0123)
    '−1.2 points'
    """
    return f"{100 * difference:+.1f} points".replace("-", "−")


def chance(p: float) -> str:
    """A probability: how small it is does not matter below a ten-thousandth.

    >>> chance(0.0214), chance(1e-9)
    ('p = 0.021', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def setting(value: Any) -> str:
    """A setting as people read it.

    >>> setting(["prompt", "head"]), setting(None), setting(True)
    ('prompt, head', '–', 'True')
    """
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "()"
    return "–" if value is None else str(value)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": percent,
        "points": points,
        "chance": chance,
        "number": "{:,}".format,
        "setting": setting,
    }
    return made


def render(template: str, **values: Any) -> str:
    """A page; texts among the values are escaped, unless they are `markupsafe.Markup`."""
    return _environment().get_template(template).render(**values)


def write(path: pathlib.Path, page: str) -> None:
    """Writes a page whole or not at all.

    Raises:
      OSError: the file cannot be written.
    """
    content = page.encode("utf-8", "replace")
    files.write(path, lambda file: file.write(content))


def write_safely(workdir: pathlib.Path, draw: Callable[[], str]) -> None:
    """Writes the page of a run that is about to end: what goes wrong in drawing is told, and ends
    no run.

    Args:
      workdir: of the run.
      draw: makes the page.

    Raises:
      OSError: the file cannot be written.
    """
    try:
        text = draw()
    except Exception as error:
        logging.debug("%s", traceback.format_exc())
        distributed.say(
            f"{PAGE} could not be made ({type(error).__name__}: {error}); all else of the run is "
            f"there, and python -m vp_jax.report --workdir={workdir} tries again"
        )
        return
    write(workdir / PAGE, text)
