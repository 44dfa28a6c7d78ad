"""Digests of traced programs."""

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.jaxprs import digest

X = jnp.arange(4.0)


def scaled(by):
    return lambda x: by * x + jax.nn.relu(x)


def test_it_is_of_what_is_computed_not_of_who_computes():
    assert digest(scaled(2.0), X) == digest(scaled(2.0), X)
    assert digest(scaled(2.0), X) == digest(scaled(2.0), jax.ShapeDtypeStruct((4,), jnp.float32))
    assert len(digest(scaled(2.0), X)) == 16


def test_numbers_arrays_shapes_and_keys_count():
    one, two = (np.full(4, value, np.float32) for value in (1.0, 2.0))
    programs = [
        digest(scaled(2.0), X),
        digest(scaled(3.0), X),
        digest(scaled(2.0), X[:3]),
        digest(scaled(jnp.asarray(one)), X),
        digest(scaled(jnp.asarray(two)), X),
    ]
    keys = [jax.random.key(0), jax.random.key(1)]
    programs += [digest(lambda x, key=key: x + jax.random.normal(key), X) for key in keys]
    assert len(set(programs)) == len(programs)
