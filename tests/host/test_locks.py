"""Only another process's lock keeps a run out of its folder."""

import errno
import fcntl
import logging
import os

import pytest

from vp_jax import config
from vp_jax.assembly.settings import claim
from vp_jax.errors import UserError
from vp_jax.host import locks


@pytest.fixture
def refused(monkeypatch):
    """Lets `flock` fail with an error number."""

    def set_to(number):
        def flock(file, operation):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)
        locks._warn_of_no_locks.cache_clear()

    return set_to


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EIO", "EACCES"])
def test_a_disk_without_locks_is_said_once(refused, tmp_path, name, caplog):
    refused(getattr(errno, name))
    settings = config.default()
    with caplog.at_level(logging.WARNING, logger="absl"):
        for run in ("one", "two"):
            with claim(tmp_path / run, settings):
                assert (tmp_path / run / "config.json").exists()
    assert caplog.text.count("cannot be locked on this disk") == 1
    assert os.strerror(getattr(errno, name)) in caplog.text


def test_another_process_is_told_from_that(refused, tmp_path):
    refused(errno.EWOULDBLOCK)
    with (
        pytest.raises(UserError, match="another process is training in"),
        claim(tmp_path / "run", config.default()),
    ):
        pass


def test_two_claims_of_one_folder(tmp_path):
    settings = config.default()
    with (
        claim(tmp_path, settings),
        pytest.raises(UserError, match="another process is training in"),
        claim(tmp_path, settings),
    ):
        pass
    with claim(tmp_path, settings):  # which is free again
        pass
