"""A prompt and a head in one file, without the frozen model."""

from __future__ import annotations

import pathlib

from vp_jax.exports.wanted import Wanted
from vp_jax.records import bundle_file


def write(wanted: Wanted, out: pathlib.Path) -> str:
    """Writes a bundle, as `vp_jax.records.bundle_file` describes it.

    Returns:
      A line that says what it holds.

    Raises:
      UserError: there is no run, or as `vp_jax.load`.
    """
    bundle = wanted.bundle()
    bundle_file.write(out, bundle)
    return (
        f"{out}: {out.stat().st_size:,} bytes, {len(bundle.class_names)} classes, prompt "
        f"{bundle.prompt!r}, for the backbone {bundle.backbone['fingerprint']}"
    )
