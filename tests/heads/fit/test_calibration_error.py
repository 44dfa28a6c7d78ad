import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError

RNG = np.random.default_rng(0)


def test_against_a_loop_over_bins():
    p = RNG.dirichlet(np.full(4, 0.4), size=500)
    labels = RNG.integers(0, 4, 500)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert heads.calibration_error(p, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("labels", "expected"), [([0, 1], 0.0), ([1, 0], 1.0), ([0, 0], 0.5)])
def test_of_one_who_is_always_sure(labels, expected):
    assert heads.calibration_error(np.eye(2), labels) == expected


def test_one_who_says_how_often_it_is_right_has_none():
    p = np.full((10, 2), 0.5) + [[0.3, -0.3]]
    assert heads.calibration_error(p, [0] * 8 + [1] * 2) == pytest.approx(0, abs=1e-12)


def test_shapes_are_checked():
    for p, labels in ((np.zeros(3), np.zeros(3)), (np.zeros((2, 3)), np.zeros(3))):
        with pytest.raises(UserError, match="probabilities .N, K. and labels"):
            heads.calibration_error(p, labels)
