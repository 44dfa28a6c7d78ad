"""Figures of a page, as SVG: curves, classes, confusions, reliability."""
