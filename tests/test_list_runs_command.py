"""`python -m vp_jax.list_runs` as users call it, with nonsense too."""

import pytest

COMMAND = ("-m", "vp_jax.list_runs")


def test_help(python):
    done = python(*COMMAND, "--help")
    assert done.returncode == 0 and "--[no]" not in done.stdout.split("--sort")[0]
    for text in ("python -m vp_jax.list_runs runs", "--format", "--sort", "damaged"):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give one folder to look for runs in"),
        (("a", "b"), "give one folder to look for runs in"),
        (("not there",), "not there is not there: give the folder that the workdirs"),
        (("README.md",), "README.md is no folder"),
        ((".", "--sort=size"), "--sort"),
        ((".", "--filter=a"), "Unknown command line flag 'filter'"),
    ],
)
def test_mistakes_are_one_sentence(python, arguments, message):
    done = python(*COMMAND, *arguments)
    assert done.returncode == 2 and not done.stdout
    assert message in done.stderr and "Traceback" not in done.stderr


def test_it_needs_no_accelerator_library(python, tmp_path):
    """It is there at once: nothing that takes seconds to import is imported."""
    code = """
import runpy, sys
sys.argv = ["list_runs", sys.argv[1], "--format=table"]
try:
    runpy.run_module("vp_jax.list_runs", run_name="__main__")
finally:
    print(sorted({"jax", "flax", "orbax", "tensorstore", "matplotlib"} & sys.modules.keys()))
"""
    done = python("-c", code, tmp_path, check=True)
    assert done.stdout.splitlines() == [f"no run of vp_jax below {tmp_path}", "[]"]
