"""How processes find each other, and what they say when they cannot."""

import re
import socket
import time

import pytest

from vp_jax import distributed
from vp_jax.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"coordinator": "host:1234"}, "--processes and --process_id must be given too"),
        ({"processes": 2, "process_id": 0}, "--coordinator must be given too"),
        ({"coordinator": "host", "processes": 2, "process_id": 0}, "'host'; it must be HOST:PORT"),
        ({"coordinator": "host:x", "processes": 2, "process_id": 0}, "must be HOST:PORT"),
        ({"coordinator": "host:1", "processes": 2, "process_id": 2}, "2 of --processes=2"),
        ({"coordinator": "host:1", "processes": 2, "process_id": -1}, "at least 0 and below"),
        ({"processes": 1, "heartbeat": 0}, "--heartbeat_seconds is 0; it must be at least 1"),
    ],
)
def test_incomplete_and_impossible_flags(arguments, words):
    with pytest.raises(UserError, match=re.escape(words)):
        distributed.initialize(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"},  # a batch script, in which srun starts none
        {"OMPI_COMM_WORLD_SIZE": "1"},
    ],
    ids=["none", "slurm", "batch_script", "openmpi"],
)
def test_a_process_alone_goes_on_at_once(environment, monkeypatch, python):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    program = """if True:
        import time
        from vp_jax import distributed
        begun = time.monotonic()
        distributed.initialize()
        print(distributed.count(), distributed.is_main(), distributed.least(3, True))
        assert time.monotonic() - begun < 5
    """
    assert python("-c", program, check=True).stdout == "1 True (3, True)\n"


def test_one_process_asks_no_launcher(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    begun = time.monotonic()
    distributed.initialize(processes=1)
    assert time.monotonic() - begun < 1 and distributed.count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("process_id", [0, 1])
def test_others_that_do_not_come_end_in_one_message(process_id, python):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    program = f"""if True:
        from vp_jax import distributed
        distributed.initialize("{address}", 2, {process_id}, timeout=3)
    """
    done = python("-c", program, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
    assert f"process {process_id} and the others of 2 did not meet at {address}" in done.stderr
