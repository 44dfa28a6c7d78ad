"""Pictures that nobody looks at: figures are laid out, and drawing them, which takes a third of a
short run, is left out."""

import contextlib

from matplotlib.figure import Figure
from pytest import MonkeyPatch

DRAW = Figure.savefig


def leave_out(figure, file, **how):
    file.write(b"a picture that nobody looks at\n" * 8)


@contextlib.contextmanager
def undrawn():
    """Figures are saved without being drawn."""
    with MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", leave_out)
        yield


@contextlib.contextmanager
def drawn():
    """They are drawn, within `undrawn`."""
    with MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", DRAW)
        yield
