"""Signals: acted on at once, or at the end of what must not be cut; what a command ends with."""

import os
import signal

import pytest

from vp_jax.host.interrupts import Interrupted, Interrupts


@pytest.fixture
def interrupts():
    kept = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    made = Interrupts()
    made.install()
    yield made
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_at_once(interrupts, number, status):
    with pytest.raises(Interrupted, match=number.name) as stop:
        os.kill(os.getpid(), number)
    assert stop.value.status == status
    assert (interrupts.received, interrupts.number) == (number.name, number)


def test_deferred_to_the_end_at_the_latest(interrupts):
    reached = False
    with pytest.raises(Interrupted) as stop, interrupts.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        reached = interrupts.received == "SIGTERM"
    assert reached and stop.value.status == 143


def test_a_second_one_does_not_wait(interrupts):
    with pytest.raises(Interrupted), interrupts.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it went on")


def test_at_the_very_end_the_work_is_finished(interrupts):
    interrupts.let_finish()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted):  # and what comes next is not begun
        interrupts.begin()


PROGRAM = """
import os, signal, sys, time
from vp_jax import cli
from vp_jax.host.interrupts import INTERRUPTS

def main(argv):
    INTERRUPTS.begin(lambda: "it goes on")
    if sys.argv[2] == "end":
        INTERRUPTS.let_finish()
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    time.sleep(0.1)
    print("finished")

cli.run(main)
"""


@pytest.mark.parametrize(
    ("name", "when", "status", "said"),
    [
        ("SIGTERM", "middle", 143, "stopped by SIGTERM; it goes on"),
        ("SIGINT", "middle", 130, "stopped by SIGINT; it goes on"),
        ("SIGTERM", "end", 0, "finished"),
        ("SIGINT", "end", 0, "finished"),
    ],
)
def test_what_a_command_ends_with(python, name, when, status, said):
    done = python("-c", PROGRAM, name, when)
    assert done.returncode == status and said in done.stdout
    assert not done.stderr


PREPARE = """
import os, signal, sys
from vp_jax import cli
from vp_jax.data import __main__
from vp_jax.data.sources import tfds as tfds_source

def read(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)

tfds_source.read = read
cli.run(__main__.main)
"""


@pytest.mark.slow
def test_preparing_data(python):
    done = python("-c", PREPARE, "prepare", "dtd", "--data_dir=/nowhere")
    assert done.returncode == 130 and "stopped by SIGINT" in done.stdout
    assert "checkpoint" not in done.stdout and not done.stderr
