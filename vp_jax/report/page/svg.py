"""Figures of matplotlib as SVG within a page, in its own colours, light or dark."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that stand for those of the page; they are no greys, so that none is met by chance.
INK = "#010203"
FAINT = "#010204"
LINE = "#010205"
BEFORE = "#010206"
TUNED = "#010207"
THIRD = "#010208"
GOOD = "#010209"
BAD = "#01020a"
PAPER = "#01020b"
MORE = tuple(f"#0102{n:02x}" for n in range(0x10, 0x18))
"""Of several runs on one page."""

VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    LINE: "--line",
    BEFORE: "--before",
    TUNED: "--tuned",
    THIRD: "--third",
    GOOD: "--good",
    BAD: "--bad",
    PAPER: "--paper",
    **{colour: f"--run-{n}" for n, colour in enumerate(MORE)},
}
"""The variables of the page's style sheet that they become."""

TEXT = 10.5
SMALL = 9.5
WIDTH = 4.9
"""Inches of a figure, of 72 units each: about as many pixels as a phone is wide."""


def inline(figure: Figure, label: str) -> str:
    """The figure as an `<svg>` element as wide as its place, texts as texts.

    Args:
      figure: made by `matplotlib.figure.Figure`, in the colours of this module.
      label: what it shows, for those who cannot see it; without markup.
    """
    import matplotlib
    from markupsafe import escape

    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # Whoever shows the page has fonts.
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.find("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', text))
    text = re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1inherit-family", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r"font: ([\d.]+px) inherit-family", r"font-size: \1", text)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var({name})")
    text = re.sub(r">\s+<", "><", text)
    view = re.search(r'viewBox="[^"]*"', text)
    head = f'<svg {view[0] if view else ""} role="img" aria-label="{escape(label)}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1)
