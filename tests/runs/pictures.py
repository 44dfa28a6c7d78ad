"""Pictures that nobody looks at: figures are laid out, and drawing them, which takes a third of a
short run, is left out; so are the pages of runs."""

import contextlib

from matplotlib.figure import Figure
from pytest import MonkeyPatch

from vp_jax.report import finish, sweep

DRAW = Figure.savefig
PAGES = ((finish, "write_page"), (sweep, "write_comparison"))
WRITE = [getattr(module, name) for module, name in PAGES]


def leave_out(figure, file, **how):
    file.write(b"a picture that nobody looks at\n" * 8)


@contextlib.contextmanager
def undrawn():
    """Figures are saved without being drawn."""
    with MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", leave_out)
        for module, name in PAGES:
            patch.setattr(module, name, lambda *run: None)
        yield


@contextlib.contextmanager
def drawn():
    """They are drawn, within `undrawn`."""
    with MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", DRAW)
        for (module, name), write in zip(PAGES, WRITE, strict=True):
            patch.setattr(module, name, write)
        yield
