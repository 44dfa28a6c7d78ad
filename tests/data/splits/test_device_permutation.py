"""The order that a device computes is the order that the host computes."""

import jax
import numpy as np
import pytest

from vp_jax.data.splits.device_permutation import device_permutation
from vp_jax.data.splits.permutation import permutation


@pytest.mark.parametrize(
    "count, seed, stream",
    [(1, 0, 0), (3, 1, 999), (5, 2**32 - 1, 7), (1000, 2**63 + 12345, 3), (50_000, 0, 2**32 - 1)],
)
def test_same_as_on_the_host(count, seed, stream):
    run = jax.jit(lambda stream: device_permutation(count, seed=seed, stream=stream))
    got = np.asarray(run(np.uint32(stream)))
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, permutation(count, seed=seed, stream=stream))
