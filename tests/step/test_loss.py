import numpy as np
import pytest

from vp_jax.step.loss import PLAIN, Loss

RNG = np.random.default_rng(0)
LOGITS, TEACHER = (RNG.normal(size=(6, 4)).astype(np.float32) for _ in range(2))
LABEL = np.arange(6) % 4


def log_softmax(z):
    z = np.asarray(z, np.float64)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("share", "temperature"), [(0.0, 1.0), (0.3, 1.0), (0.3, 4.0), (1.0, 2.0)])
def test_against_the_definition(smoothing, share, temperature):
    target = (1 - smoothing) * np.eye(4)[LABEL] + smoothing / 4
    hard = -(target * log_softmax(LOGITS)).sum(axis=-1)
    soft = np.exp(log_softmax(TEACHER / temperature))
    said = -(soft * log_softmax(LOGITS / temperature)).sum(axis=-1)
    expected = (1 - share) * hard + share * temperature**2 * said
    found = Loss(smoothing, share, temperature).of(LOGITS, LABEL, teacher=TEACHER)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_teacher_that_is_sure_of_the_labels_is_no_teacher():
    sure = 200.0 * np.eye(4, dtype=np.float32)[LABEL]
    found = Loss(teacher_share=1.0).of(LOGITS, LABEL, teacher=sure)
    np.testing.assert_allclose(found, PLAIN.of(LOGITS, LABEL), rtol=1e-5)
