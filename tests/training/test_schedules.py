import math

import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax.errors import UserError
from vp_jax.training import schedules


def paper_rate(step, peak, warmup, total):
    """The released code's rule, in Python's double precision."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) * peak


@pytest.mark.parametrize(("warmup", "total"), [(1000, 196_000), (7, 50), (0, 10)])
def test_the_papers_schedule_to_the_step(warmup, total):
    schedule = schedules.warmup_cosine(40.0, warmup, total)
    steps = sorted({0, 1, warmup - 1, warmup, warmup + 1, total // 2, total - 1} - {-1})
    expected = [paper_rate(step, 40.0, warmup, total) for step in steps]
    np.testing.assert_allclose([schedule(step) for step in steps], expected, rtol=1e-5, atol=1e-5)


def test_known_values():
    schedule = schedules.warmup_cosine(40.0, 1000, 196_000)
    assert schedule(0) == pytest.approx(0.04)
    assert schedule(999) == pytest.approx(40.0)
    assert schedule(1000) == pytest.approx(40.0)
    assert schedule(98_500) == pytest.approx(20.0)
    assert 0 <= float(schedule(195_999)) < 1e-4


def test_a_run_shorter_than_its_warm_up_is_finite():
    schedule = schedules.warmup_cosine(40.0, 1000, 10)
    assert jnp.isfinite(jnp.array([schedule(step) for step in range(12)])).all()
    assert schedule(9) == pytest.approx(0.4)


def test_mistakes():
    with pytest.raises(UserError, match="did you mean 'constant'"):
        schedules.by_name("constnat", 1.0, 0, 10)
    with pytest.raises(UserError, match="-1"):
        schedules.by_name("constant", 1.0, -1, 10)
