"""Pictures that nobody looks at: figures are laid out, and drawing them, which takes a third of a
short run, is left out; so are the pages of runs."""

import contextlib
import io

from matplotlib.figure import Figure
from PIL import Image
from pytest import MonkeyPatch

from vp_jax.report import finish, sweep

DRAW = Figure.savefig
PAGES = ((finish, "write_page"), (sweep, "write_comparison"))
WRITE = [getattr(module, name) for module, name in PAGES]


def grey():
    """A small picture that nobody looks at, as PNG."""
    Image.linear_gradient("L").convert("RGB").save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def leave_out(figure, file, format="png", **how):
    if format == "svg":
        file.write('<svg viewBox="0 0 9 9"></svg>')
        return
    file.write(grey())


@contextlib.contextmanager
def undrawn(laid_out=True):
    """Figures are saved without being drawn; or there are none of runs."""
    with MonkeyPatch.context() as patch:
        if not laid_out:
            patch.setattr(finish, "draw_run", lambda *run: None)
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
