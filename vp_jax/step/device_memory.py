"""How many images the devices may hold."""

from __future__ import annotations

import os

import jax

from vp_jax import distributed

SHARE = 0.25
"""Of the devices' memory; the rest is for the model and its activations."""


def resident_limit() -> int:
    """Bytes of images that all devices together may hold.

    Host processors, whose devices share its memory, count as one. It depends on the machine only,
    not on what else runs there, so that a run that goes on takes the same way.
    """
    stats = [device.memory_stats() for device in jax.local_devices()]
    if jax.default_backend() != "cpu" and all(s and "bytes_limit" in s for s in stats):
        local = sum(s["bytes_limit"] for s in stats)
        return int(SHARE * distributed.least(local)[0] * jax.process_count())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(SHARE * distributed.least(memory)[0])
