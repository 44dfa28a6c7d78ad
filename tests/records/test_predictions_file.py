"""What a run answered on test comes back as it was kept; what is damaged is not there."""

import numpy as np
import pytest

from vp_jax.records import predictions_file
from vp_jax.records.names import PREDICTIONS
from vp_jax.records.predictions_file import Answers, OnTest


def answers(seed):
    rng = np.random.default_rng(seed)
    return Answers(rng.integers(0, 9, 50), *rng.random((2, 50), np.float32))


@pytest.mark.parametrize("before", [None, answers(1)])
def test_round_trip(tmp_path, before):
    kept = OnTest(np.arange(50), answers(0), before)
    predictions_file.write(tmp_path, kept)
    found = predictions_file.read(tmp_path)
    np.testing.assert_array_equal(found.labels, kept.labels)
    assert found.labels.dtype == np.int32 and found.tuned.confidence.dtype == np.float32
    for read, wrote in ((found.tuned, kept.tuned), (found.before, before)):
        for x, y in zip(read or (), wrote or (), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("part", [0, 1, 30, 200, -1])
def test_half_a_file_is_none(tmp_path, part):
    predictions_file.write(tmp_path, OnTest(np.arange(50), answers(0), None))
    path = tmp_path / PREDICTIONS
    path.write_bytes(path.read_bytes()[:part])
    assert predictions_file.read(tmp_path) is None


def test_columns_of_several_lengths_are_none(tmp_path):
    short = answers(0)._replace(confidence=np.zeros(7))
    predictions_file.write(tmp_path, OnTest(np.arange(50), short, None))
    assert predictions_file.read(tmp_path) is None
    assert predictions_file.read(tmp_path / "nowhere") is None
