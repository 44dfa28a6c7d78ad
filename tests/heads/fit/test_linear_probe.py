"""The linear probe: both solvers against scikit-learn on its handwritten digits."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError
from vp_jax.heads.fit import linear_probe
from vp_jax.heads.fit.linear_probe import accuracy, fit, sweep

FEW, MANY, VAL = slice(0, 200), slice(0, 900), slice(900, 1797)
SOLVERS = ["sklearn", "optax"]


@functools.cache
def digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images.astype(np.float32), labels


def data(classes=10, images=FEW):
    pixels, labels = (array[images] for array in digits())
    return pixels[labels < classes], labels[labels < classes]


def gradient(params, features, labels, c):
    """Of 0.5 * |kernel|^2 + c * sum of cross entropies, in float64."""
    kernel = params["kernel"].astype(np.float64)
    logits = features @ kernel + params["bias"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return np.concatenate([kernel + c * features.T @ p, c * p.sum(0)[None]])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("c", [1e-4, 1e-2])
def test_the_gradient_of_the_stated_objective_vanishes(solver, classes, c):
    features, labels = data(classes)
    features = features.astype(np.float64)
    probe = fit(features, labels, classes, c, solver=solver)
    zeros = {"kernel": np.zeros((64, classes)), "bias": np.zeros(classes)}
    start = np.linalg.norm(gradient(zeros, features, labels, c))
    end = np.linalg.norm(gradient(probe.params, features, labels, c))
    assert probe.converged and 1 < probe.iterations < 1000
    assert end < 1e-3 * start
    assert {k: v.dtype for k, v in probe.params.items()} == {"kernel": "f4", "bias": "f4"}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 10])
def test_coefficients_are_those_of_scikit_learn(solver, classes):
    from sklearn.linear_model import LogisticRegression

    features, labels = data(classes)
    c = 1e-3
    model = LogisticRegression(C=(2 if classes == 2 else 1) * c, tol=1e-6, max_iter=10_000)
    model.fit(features.astype(np.float64), labels)
    kernel, bias = model.coef_.T, model.intercept_
    probe = fit(features, labels, classes, c, solver=solver)
    if classes == 2:
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.hstack([-bias, bias]) / 2
    np.testing.assert_allclose(probe.params["kernel"], kernel, atol=1e-3 * np.abs(kernel).max())
    np.testing.assert_allclose(probe.params["bias"], bias - bias.mean(), atol=1e-3)


@pytest.mark.parametrize("c", [1e-5, 1e-1])
def test_the_solvers_agree_on_accuracy(c):
    features, labels = data(images=MANY)
    scores = [
        accuracy(fit(features, labels, 10, c, solver=s).params, *data(images=VAL)) for s in SOLVERS
    ]
    assert abs(scores[0] - scores[1]) <= 1e-3 + 1e-9
    assert min(scores) > (0.8 if c < 1e-4 else 0.88)


@pytest.mark.parametrize("solver", SOLVERS)
def test_badly_scaled_and_far_off_features_have_the_same_minimum(solver):
    features, labels = data(4)
    plain = fit(features, labels, 4, 1e-3, solver=solver)
    factor = 256.0  # exact in float32
    scaled = fit(features * factor, labels, 4, 1e-3 / factor**2, solver=solver)
    kernel = plain.params["kernel"]
    close = {"atol": 1e-4 * np.abs(kernel).max()}
    np.testing.assert_allclose(scaled.params["kernel"] * factor, kernel, **close)
    shifted = fit(features + 4096, labels, 4, 1e-3, solver=solver)
    np.testing.assert_allclose(shifted.params["kernel"], kernel, **close)
    assert shifted.converged and shifted.iterations < plain.iterations + 5


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("missing", [[0, 9], list(range(2, 10))])
def test_classes_without_training_images(solver, missing):
    features, labels = data()
    keep = ~np.isin(labels, missing)
    probe = fit(features[keep], labels[keep], 10, 1e-2, solver=solver)
    assert probe.params["kernel"].shape == (64, 10) and probe.params["bias"].shape == (10,)
    logits = np.asarray(heads.linear().apply(probe.params, jnp.asarray(digits()[0])))
    assert np.isfinite(logits).all() and not np.isin(logits.argmax(1), missing).any()
    present = np.setdiff1d(np.arange(10), missing)
    dense = fit(features[keep], np.searchsorted(present, labels[keep]), len(present), 1e-2)
    np.testing.assert_allclose(
        probe.params["kernel"][:, present], dense.params["kernel"], atol=2e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS)
def test_features_that_say_nothing(solver):
    labels = np.array([0, 1, 1, 2, 2, 2])
    probe = fit(np.ones((6, 3)), labels, 3, 1.0, solver=solver)
    assert not probe.params["kernel"].any()
    odds = np.exp(probe.params["bias"])
    np.testing.assert_allclose(odds / odds.sum(), [1 / 6, 1 / 3, 1 / 2], rtol=1e-3)
    assert fit(np.ones((6, 3)), labels * 0 + [0, 1] * 3, 2, 1.0, solver=solver).converged


@pytest.mark.parametrize("solver", SOLVERS)
def test_running_out_of_iterations_is_said(solver, caplog):
    features, labels = data()
    probe = fit(features, labels, 10, 1.0, solver=solver, max_iterations=3)
    assert (probe.iterations, probe.converged) == (3, False)
    assert "c = 1 has not converged after 3 iterations" in caplog.text
    caplog.clear()
    assert fit(features, labels, 10, 1e-5, solver=solver).converged and not caplog.text


def test_the_automatic_solver_depends_on_the_size(monkeypatch):
    used = []
    for solver in SOLVERS:
        found = getattr(linear_probe, f"by_{solver}")
        monkeypatch.setattr(
            linear_probe,
            f"by_{solver}",
            lambda *args, run=found, name=solver, **kw: used.append(name) or run(*args, **kw),
        )
    features, labels = data(3)
    for limit in (features.size * 3, features.size * 3 - 1):
        monkeypatch.setattr(linear_probe, "SKLEARN_UP_TO", limit)
        fit(features, labels, 3, 1e-4)
    assert used == SOLVERS


def fake_fits(monkeypatch, score):
    """Lets a probe of strength c have the accuracy `score(c)`; returns the list of c fitted."""
    fitted = []

    def solve(problem, c, max_iterations):
        fitted.append(c)
        return linear_probe.Probe({"c": c}, 1, True)

    monkeypatch.setattr(linear_probe, "_solve", solve)
    monkeypatch.setattr(linear_probe, "accuracy", lambda params, *_: score(params["c"]))
    return fitted


def exponents(cs):
    return np.log10(cs)


def test_a_sweep_halves_its_steps_around_the_peak(monkeypatch):
    features, labels = data(3)
    fitted = fake_fits(monkeypatch, lambda c: -abs(np.log10(c) - 1.4))
    _, best, tried = sweep(features, labels, features, labels, 3)
    expected = [-6, -4, -2, 0, 2, 4, 6, 1, 3, 0.5, 1.5, 1.25, 1.75, 1.375, 1.625]
    np.testing.assert_allclose(exponents(fitted), expected, atol=1e-12)
    assert np.log10(best) == pytest.approx(1.375)
    assert [c for c, _ in tried] == sorted(fitted)
    assert all(score == -abs(np.log10(c) - 1.4) for c, score in tried)


@pytest.mark.parametrize(("peak", "last"), [(-9, -6), (9, 6)])
def test_a_peak_at_the_end_of_the_grid(monkeypatch, peak, last):
    features, labels = data(3)
    fitted = fake_fits(monkeypatch, lambda c: -abs(np.log10(c) - peak))
    _, best, _ = sweep(features, labels, features, labels, 3)
    assert np.log10(best) == pytest.approx(last) and len(fitted) == 7 + 4
    assert exponents(fitted).min() > -6.0001 and exponents(fitted).max() < 6.0001


def test_of_equal_accuracies_the_smallest_c_is_the_best(monkeypatch):
    features, labels = data(3)
    fitted = fake_fits(monkeypatch, lambda c: float(c >= 0.01))
    probe, best, _ = sweep(features, labels, features, labels, 3, grid=(10, 1e-3, 1), refinements=2)
    np.testing.assert_allclose(exponents(fitted), [-3, 0, 1, -1.5, 0.5, -2.25, -0.75])
    assert best == pytest.approx(10**-1.5) and probe.params["c"] == best


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_sweep_of_noisy_features_prefers_regularisation(solver):
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 1120)
    features = random.normal(size=(1120, 40)).astype(np.float32)
    features[:, :3] += 1.5 * np.eye(3)[truth]
    labels = np.where(random.random(1120) < 0.3, random.integers(0, 3, 1120), truth)
    seen = []
    arguments = (features[:120], labels[:120], features[120:], truth[120:], 3)
    settings = {"grid": (1e-5, 1e-3, 1e-1, 10), "refinements": 1, "solver": solver}
    probe, best, tried = sweep(*arguments, **settings, progress=lambda *at: seen.append(at))
    assert sorted(seen) == tried and len(tried) in (5, 6)
    top = max(score for _, score in tried)
    assert best == min(c for c, score in tried if score == top) < 1
    assert dict(tried)[best] == accuracy(probe.params, features[120:], truth[120:])
    again, c, same = sweep(*arguments, **settings)
    assert (c, same) == (best, tried)
    np.testing.assert_array_equal(again.params["kernel"], probe.params["kernel"])


GOOD = {"features": np.eye(4), "labels": np.array([0, 1, 2, 1]), "classes": 3, "c": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.ones(4)}, r"training features .*got shape \(4,\)"),
        ({"features": np.ones((0, 4)), "labels": np.array([], int)}, "training features"),
        ({"features": np.diag([1, np.inf, 1, 1])}, "training features of image 1 are not finite"),
        ({"labels": np.array([0, 1, 2])}, "each of the 4 images, .*(3,)"),
        ({"labels": np.array([0.0, 1, 2, 1])}, "one integer.*float64"),
        ({"labels": np.array([0, 1, 3, 1])}, "from 0 to 2.*from 0 to 3"),
        ({"labels": np.array([0, 1, -1, 1])}, "from 0 to 2.*from -1 to 1"),
        ({"labels": np.array([1, 1, 1, 1])}, "at least 2 classes, but all 4 are of class 1"),
        ({"classes": 1}, "at least 2, got 1"),
        ({"c": 0}, "c of a linear probe.*got 0"),
        ({"c": np.nan}, "got nan"),
        ({"c": "1"}, "got '1'"),
        ({"solver": "sklear"}, "unknown solver.*did you mean 'sklearn'"),
        ({"max_iterations": 0}, "max_iterations"),
    ],
)
def test_mistakes(change, message):
    with pytest.raises(UserError, match=message):
        fit(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": ()}, "grid"),
        ({"grid": (1, 1.0)}, "grid.*different"),
        ({"grid": (1, -1)}, "got -1"),
        ({"refinements": -1}, "refinements"),
        ({"val_features": np.eye(3), "val_labels": np.arange(3)}, "width 3, .*training features 4"),
        ({"val_labels": np.array([0, 1, 2, 3])}, "validation labels"),
    ],
)
def test_mistakes_in_a_sweep(change, message):
    good = {k: v for k, v in GOOD.items() if k != "c"}
    good |= {"val_features": GOOD["features"], "val_labels": GOOD["labels"]}
    with pytest.raises(UserError, match=message):
        sweep(**{**good, **change})
