"""Output mappings against what the authors' own code makes of the same logits.

`golden/README.md` says how the file was made.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from authors_runs import read

from vp_jax import heads

GOLDEN = read("mappings")
LOGITS, LABELS = GOLDEN["logits"], GOLDEN["labels"]
CLASSES = LABELS.max() + 1


def fitted(head):
    votes = head.votes(jnp.asarray(LOGITS), int(CLASSES))
    none = heads.zero_counts(LOGITS.shape[1], int(CLASSES))
    return head.fit(heads.add_votes(none, votes, LABELS, np.ones(len(LABELS))))


@pytest.mark.parametrize(
    ("name", "head"), [("blm", heads.bayesian()), ("blm_plus", heads.bayesian_plus())]
)
def test_bayesian_label_mapping(name, head):
    expected = GOLDEN[name]
    assert np.count_nonzero(expected) > 100 and (expected != GOLDEN["blm"]).any() == (name != "blm")
    np.testing.assert_allclose(fitted(head)["weights"], expected, rtol=1e-6)


@pytest.mark.parametrize("head", [heads.frequency(), heads.iterative()])
def test_the_greedy_mapping_of_ilm_vp(head):
    np.testing.assert_array_equal(fitted(head)["indices"], GOLDEN["one_to_one"])


def test_the_shared_mapping_of_evp():
    assert len(set(GOLDEN["evp"])) < CLASSES
    found = fitted(heads.frequency(many_to_one=True))
    np.testing.assert_array_equal(found["indices"], GOLDEN["evp"])


def test_the_frequency_map_of_autovp():
    head, taken = heads.mean_frequency(2), GOLDEN["autovp"]
    params = fitted(head)
    expected = np.zeros(params["weights"].shape)
    np.put_along_axis(expected, taken.T, 0.5, axis=0)
    np.testing.assert_array_equal(params["weights"], expected)
    np.testing.assert_allclose(head.apply(params, LOGITS), GOLDEN["autovp_logits"], atol=1e-6)
    shared = fitted(heads.mean_frequency(2, many_to_one=True))["weights"]
    assert (shared != expected).any()
