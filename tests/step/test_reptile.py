import numpy as np

from vp_jax.step.reptile import toward

RNG = np.random.default_rng(0)


def tree():
    return {"prompt": ({"top": RNG.normal(size=(3, 4)).astype(np.float32)}, {})}


def test_it_goes_a_share_of_the_way_and_all_or_none_of_it_exactly():
    start, one, two = tree(), tree(), tree()
    at = lambda ends, share: toward(start, ends, share)["prompt"][0]["top"]  # noqa: E731
    x, a, b = (t["prompt"][0]["top"] for t in (start, one, two))
    np.testing.assert_allclose(at([one, two], 0.25), x + 0.25 * ((a + b) / 2 - x), rtol=1e-5)
    np.testing.assert_array_equal(at([one, two], 0.0), x)
    np.testing.assert_array_equal(at([one], 1.0), a)
    assert at([one, two], 0.5).dtype == np.float32
