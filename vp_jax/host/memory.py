"""Keeps freed memory for the next step, where JAX computes on the CPU.

XLA's CPU client allocates all temporary buffers of a program anew at every call, about a gigabyte
for a CLIP ViT-B/32 and 32 images. glibc maps blocks of that size from the kernel and returns them
when they are freed, so that each step pays for having every page zeroed again.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys

# Of glibc's <malloc.h>; see mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8

_ACCELERATOR_PACKAGES = ("jax_plugins", "libtpu", "jax_cuda13_plugin", "jax_cuda12_plugin")


def cpu_only() -> bool:
    """Whether JAX can only compute on the CPU: no accelerator's package is installed or wanted.

    JAX is not imported.
    """
    wanted = os.environ.get("JAX_PLATFORMS", "")
    if wanted:
        return wanted == "cpu"
    return not any(importlib.util.find_spec(name) for name in _ACCELERATOR_PACKAGES)


def keep_freed_memory() -> bool:
    """Makes malloc take large blocks from one heap, and keep there what is freed.

    A process then holds on to the most it ever needed. It has an effect only before other threads
    have allocated memory, so call it before JAX is used.

    Returns:
      Whether it was done: on Linux with glibc, if `cpu_only()`.
    """
    if not sys.platform.startswith("linux") or not cpu_only():
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1))
    return all([mallopt(name, value) == 1 for name, value in settings])
