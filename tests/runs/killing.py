"""Runs in this process that die as by Ctrl-C, once they have saved a step."""

import contextlib

import pytest

from vp_jax.training.loop import Loop


@contextlib.contextmanager
def dies_after(step, monkeypatch):
    """What trains here must be killed after saving this step."""
    save = Loop.save

    def save_and_die(self):
        save(self)
        if self.step == step:
            self.checkpoints.wait()
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Loop, "save", save_and_die)
        yield
