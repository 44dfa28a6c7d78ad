import numpy as np
import pytest

from vp_jax.errors import UserError
from vp_jax.heads.fit import ridge

RNG = np.random.default_rng(0)


def data(count, spread, width=20):
    labels = np.arange(count) % 4
    centres = np.random.default_rng(1).normal(size=(4, width))
    return centres[labels] + spread * RNG.normal(size=(count, width)), labels


def test_answers_left_out_are_those_of_a_fit_without_the_image(monkeypatch):
    """The closed form against as many fits as there are images."""
    seen = {}
    monkeypatch.setattr(
        ridge, "fit_temperature", lambda z, y: seen.setdefault("z", np.array(z)) is None or 1.0
    )
    monkeypatch.setattr(ridge, "GRID", (0.1,))
    x, y = data(24, 1.0, width=5)
    ridge.ridge_score(x, y, x, y)
    mean = x.mean(axis=0)
    scaled = (x - mean) / np.sqrt(np.square(x - mean).sum(axis=1).mean())
    design = np.concatenate([scaled, np.ones((24, 1))], axis=1)
    penalty = np.diag([24 * 0.1] * 5 + [0])  # the mean is not penalised
    for i in range(24):
        others = np.arange(24) != i
        a, b = design[others], np.eye(4)[y[others]]
        weights = np.linalg.solve(a.T @ a + penalty, a.T @ b)
        np.testing.assert_allclose(seen["z"][i], design[i] @ weights, atol=1e-9)


def test_better_features_are_more_likely():
    scores = [ridge.ridge_score(*data(200, s), *data(100, s)) for s in (0.5, 2.0, 50.0)]
    assert [s.likelihood for s in scores] == sorted((s.likelihood for s in scores), reverse=True)
    assert scores[0].accuracy > 0.95 and scores[0].likelihood > -0.3
    assert scores[2].likelihood == pytest.approx(-np.log(4), abs=0.1)  # knows that it does not know


def test_mistakes():
    x, y = data(20, 1.0)
    with pytest.raises(UserError, match="not finite"):
        ridge.ridge_score(np.where(x > 0, np.nan, x), y, x, y)
    with pytest.raises(UserError, match="at least 2 classes"):
        ridge.ridge_score(x, 0 * y, x, y)
