"""Why an image cannot be decoded."""

from __future__ import annotations

from vp_jax.errors import UserError


class CorruptImage(UserError):
    """A file that cannot be decoded; the message is the reason, on one line."""


class WiderRange(CorruptImage):
    """Numbers beyond what was taken for white, in a file that does not say what is."""
