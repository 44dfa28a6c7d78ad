"""The soak: what it calls growth, and that its bomb is one."""

import math

import pytest

pytest.importorskip("aiohttp", reason="of the extra 'load'")


def test_growth_is_of_the_longest_time_with_the_same_processes():
    import soak

    looks = [(0.0, (1, 2), 500), *((float(i), (1, 3), 100 + i) for i in range(40))]
    steady = soak.stretch([*looks, (99.0, (4, 3), 7)])
    assert steady == list(range(100, 140))
    assert soak.growth(steady) == pytest.approx(134.5 / 114.5 - 1)
    assert soak.growth([100] * 8) == 0 and math.isnan(soak.growth([1, 2]))
    assert soak.stretch([]) == []


def test_the_bomb_is_small_and_of_400_million_pixels():
    import soak

    from vp_jax.data.images.corrupt import CorruptImage
    from vp_jax.data.images.decode import check_size

    assert len(soak.BOMB) < 1_000_000
    with pytest.raises(CorruptImage, match="pixels"):
        check_size(soak.BOMB, 20_000_000)


def test_a_report_says_what_was_wrong():
    import soak

    seen = soak.Soak(None, 0)
    assert soak.report(seen, 1)[1]
    seen.memory = [(float(i), (1, 2), 100 + 2 * i) for i in range(40)]
    text, fine = soak.report(seen, 1)
    assert not fine and "NOT" in text and "growth" in text
    seen.memory = []
    seen._check(3, {"image": "3.png", "predictions": [{"class": "a"}]})
    assert not seen.wrong
    for one in (
        {"image": "3.png", "predictions": [{"class": "b"}]},
        {"image": "4.png", "predictions": [{"class": "a"}]},
        {"image": "3.png", "error": "it is gone"},
    ):
        seen._check(3, one)
    assert len(seen.wrong) == 3 and not soak.report(seen, 1)[1]
