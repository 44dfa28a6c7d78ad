"""What a result depends on beside its settings: versions and the machine."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("vp_jax", "jax", "jaxlib", "flax", "optax", "numpy")


def versions() -> dict[str, str]:
    """Of Python and of the packages that compute, by name."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
