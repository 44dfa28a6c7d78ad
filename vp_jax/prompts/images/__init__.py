"""Prompts as images: drawn on a canvas, shown, resampled."""
