"""A bounded number of images and bytes, and when to come again."""

import pytest

from vp_jax.errors import UserError
from vp_jax.serving.admission import LONGEST_WAIT, Admission, Rate
from vp_jax.serving.limits import Limits, Refusal

LIMITS = Limits(files=4, waiting=10, body=100, held=250)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_images_beyond_the_limit_are_refused_until_others_are_answered():
    held = []
    admission = Admission(LIMITS, on_change=lambda *now: held.append(now))
    with admission.of_images(4), admission.of_images(4):
        with pytest.raises(Refusal) as refusal, admission.of_images(3):
            pass
        assert refusal.value.status == 503 and refusal.value.retry_after >= 1
        with admission.of_images(2):
            assert admission.images == 10
    assert admission.images == 0
    assert held == [(n, 0) for n in (4, 8, 10, 8, 4, 0)]


def test_bytes_are_given_back_whatever_happens():
    admission = Admission(LIMITS)
    with admission.of_bytes() as one, admission.of_bytes() as other:
        one(100)
        other(150)
        with pytest.raises(Refusal) as refusal:
            one(1)
        assert refusal.value.status == 503 and admission.bytes == 250
    assert admission.bytes == 0
    with pytest.raises(KeyError), admission.of_bytes() as hold:
        hold(7)
        raise KeyError
    assert admission.bytes == 0


def test_the_rate_is_that_of_lately(clock):
    rate = Rate(clock, memory=10)
    assert rate.per_second() == 0
    for _ in range(600):
        clock.now += 0.1
        rate.add(5)
    assert rate.per_second() == pytest.approx(50, rel=0.02)
    for _ in range(600):
        clock.now += 0.1
        rate.add(1)
    assert rate.per_second() == pytest.approx(10, rel=0.05)


def test_from_its_first_second_the_rate_is_right(clock):
    rate = Rate(clock, memory=10)
    for _ in range(10):
        clock.now += 0.1
        rate.add(5)
    assert rate.per_second() == pytest.approx(50, rel=0.1)


@pytest.mark.parametrize(("per_second", "seconds"), [(0, 1), (100, 1), (1, 5), (0.001, 60)])
def test_when_to_come_again(clock, per_second, seconds):
    rate = Rate(clock)
    clock.now += 10_000
    rate.per_second = lambda: per_second
    admission = Admission(LIMITS, rate)
    with admission.of_images(10):
        assert admission.retry_after() == seconds <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"files": 0}, "'files'"),
        ({"answer_seconds": float("nan")}, "'answer_seconds'"),
        ({"waiting": 10, "files": 11}, "11 images"),
        ({"body": 1001, "held": 1000}, "1,001 bytes"),
    ],
)
def test_limits_that_contradict_each_other(changes, words):
    with pytest.raises(UserError, match=words):
        Limits(**changes)
