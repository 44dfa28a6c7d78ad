"""Waits are named when they are long, and only then."""

import time

import pytest

from vp_jax.host import progress_bar
from vp_jax.host.progress_bar import waiting


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(progress_bar, "PATIENCE_SECONDS", 0.1)


def test_a_long_wait_is_named_once_while_it_lasts(capsys):
    with waiting("loading a model"):
        deadline = time.monotonic() + 20
        while not (said := capsys.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert said == "loading a model ...\n"
        time.sleep(0.3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_short_one_is_not(capsys, error, monkeypatch):
    monkeypatch.setattr(progress_bar, "PATIENCE_SECONDS", 5.0)
    try:
        with waiting("loading a model"):
            if error:
                raise error
    except ValueError:
        pass
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_of_several_processes_the_main_one_says_it(capsys, monkeypatch):
    monkeypatch.setattr("vp_jax.distributed.is_main", lambda: False)
    with waiting("loading a model"):
        time.sleep(0.3)
    assert capsys.readouterr().err == ""
