import subprocess
import sys

import pytest

from vp_jax.host import memory as host_memory

OPTIMIZED = True  # sorts millions of numbers
PROGRAM = """
import resource, sys
from vp_jax.host.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
import jax, jax.numpy as jnp

@jax.jit
def f(x):
    return jnp.sort(jnp.outer(x, x).ravel())[::1000].sum()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    f(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

x = jnp.arange(2000.0)
print(min(faults() for _ in range(12)))
"""


@pytest.mark.slow(seconds=10)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc only")
def test_the_second_step_needs_no_new_pages(python):
    kept = int(python("-c", PROGRAM, "keep", check=True).stdout)
    given_back = int(python("-c", PROGRAM, "give back", check=True).stdout)
    assert given_back > 3000  # 16 MB and more, in pages of 4 kB
    assert kept < given_back / 10


@pytest.mark.parametrize(
    ("wanted", "expected"), [("cpu", True), ("cuda", False), ("tpu,cpu", False)]
)
def test_only_where_jax_computes_on_the_cpu(monkeypatch, wanted, expected):
    monkeypatch.setenv("JAX_PLATFORMS", wanted)
    assert host_memory.cpu_only() is expected


def test_an_installed_accelerator_counts(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "libtpu")
    assert not host_memory.cpu_only()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert host_memory.cpu_only()


def test_it_does_not_import_jax():
    code = "import sys, vp_jax.host.memory as h; h.keep_freed_memory(); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
