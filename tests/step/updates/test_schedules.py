import math

import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax.errors import UserError
from vp_jax.step.updates import schedules

LONGEST = 5000
"""All schedules are asked for as many steps: each shape is compiled anew."""


def rates_of(schedule, total):
    """Of the steps of a run."""
    return np.asarray(schedule(np.arange(LONGEST)))[:total]


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


@pytest.mark.parametrize("total", [1, 2, 3, 4, 10, 280, 1000, 1001, 3999])
@pytest.mark.parametrize("wanted", [1, 4, 1000])
def test_a_warm_up_is_at_most_a_quarter_of_the_run(wanted, total):
    """The rate reaches its peak and goes down to nearly nothing, however short the run is."""
    schedule = schedules.by_name("warmup_cosine", 40.0, wanted, total)
    rates = rates_of(schedule, total)
    warmup = min(wanted, total // 4)
    expected = rates_of(schedules.warmup_cosine(40.0, warmup, total), total)
    np.testing.assert_array_equal(rates, expected)
    assert rates.max() == pytest.approx(40.0)
    assert rates.argmax() <= total // 4
    assert (np.diff(rates[warmup:]) <= 0).all()
    if total > 20:
        assert rates[-1] < 0.4


@pytest.mark.parametrize(("wanted", "total"), [(0, 1), (0, 7), (1000, 4000), (1000, 196_000)])
def test_a_warm_up_that_fits_is_left_as_it_is(wanted, total):
    schedule = schedules.by_name("warmup_cosine", 40.0, wanted, total)
    steps = np.unique(np.linspace(0, total - 1, 99).astype(int))
    expected = [schedules.warmup_cosine(40.0, wanted, total)(step) for step in steps]
    np.testing.assert_array_equal([schedule(step) for step in steps], expected)


def test_the_share_is_a_setting():
    assert schedules.fitting_warmup(150, 280, 0.25) == 70
    assert schedules.fitting_warmup(150, 280, 1.0) == 150
    assert schedules.fitting_warmup(1000, 280, 1.0) == 280
    assert schedules.fitting_warmup(150, 280, 0.0) == 0
    with pytest.raises(UserError, match=r"warmup_share is 1.5; it must be in \[0, 1\]"):
        schedules.by_name("warmup_cosine", 1.0, 1, 10, 1.5)


@pytest.mark.parametrize("total", [1, 7, 40, 280, 5000])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("warmup_cosine", {}),
        ("restarts", {"cycles": 1}),
        ("restarts", {"cycles": 4}),
        ("restarts", {"cycles": 3, "growth": 2.0}),
    ],
)
def test_schedules_end_when_the_run_ends(name, settings, total):
    """However long it is, the last rate is the smallest of the last cycle, and next to zero."""
    rates = rates_of(schedules.by_name(name, 1.0, 1000, total, **settings), total)
    assert len(rates) == total
    assert rates.max() <= 1 and (rates > -1e-6).all()
    if total >= 280:
        assert rates[-1] < 0.005
        peaks = np.flatnonzero(np.diff(rates) > 0.5) + 1
        assert len(peaks) == settings.get("cycles", 1) - 1
        np.testing.assert_allclose(rates[peaks], 1, atol=0.01)


def test_one_cycle_is_the_cosine_and_cycles_grow():
    expected = rates_of(schedules.warmup_cosine(2.0, 20, 500), 500)
    found = rates_of(schedules.restarts(2.0, 20, 500, 1), 500)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    rates = rates_of(schedules.restarts(1.0, 0, 700, 3, 2.0), 700)
    assert (np.flatnonzero(np.diff(rates) > 0.5) + 1).tolist() == [100, 300]
    np.testing.assert_allclose(rates[[0, 50, 100, 200, 300, 500]], [1, 0.5] * 3, atol=1e-3)


def test_drops_are_those_of_the_epochs_of_the_authors():
    """MultiStepLR with milestones at 50 and 72 % of 200 epochs, 5 steps each."""
    rates = rates_of(schedules.by_name("drops", 0.01, 1000, 1000), 1000)
    expected = 0.01 * np.where(np.arange(1000) < 500, 1, np.where(np.arange(1000) < 720, 0.1, 0.01))
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_mistakes():
    with pytest.raises(UserError, match="did you mean 'constant'"):
        schedules.by_name("constnat", 1.0, 0, 10)
    with pytest.raises(UserError, match="-1"):
        schedules.by_name("constant", 1.0, -1, 10)
    for wrong in (
        {"cycles": 0},
        {"growth": 0.0},
        {"drop_at": (1.5,)},
        {"drop_at": ("a",)},
        {"drop": 0.0},
    ):
        with pytest.raises(UserError, match=f"schedule.{next(iter(wrong))} is"):
            schedules.by_name("constant", 1.0, 1, 10, **wrong)
