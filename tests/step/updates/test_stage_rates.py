import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.step.updates import optimizers, stage_rates

STAGES = ("normalize", "pad", "fixed_patch")
PARAMS = {
    "prompt": prompts.parse("normalize | pad(1) | fixed_patch(2)").init(
        jax.random.key(0), (6, 6, 3)
    )
}


def factors(rates):
    scale = stage_rates.scale(rates, STAGES)
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    found, _ = scale.update(ones, scale.init(PARAMS))
    _, frame, patch = found["prompt"]
    return {name: float(x.mean()) for name, x in {**frame, **patch}.items()}


def test_stages_by_name_and_number_and_parameters_by_name():
    sides = dict.fromkeys(("top", "bottom", "left", "right"), 2.0)
    assert factors({"pad": 2.0}) == {**sides, "patch": 1.0}
    assert factors({"1": 2.0, "patch": 3.0}) == {**sides, "patch": 3.0}
    assert factors({"pad": 2.0, "top": 0.5}) == {**sides, "top": 0.5, "patch": 1.0}


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_stage_learns_as_it_would_at_that_rate(name):
    """Its own optimiser with this rate makes the same steps."""
    gradients = jax.tree.map(lambda x: 0.3 + jnp.cos(x), PARAMS)
    make = lambda rate: optimizers.by_name(name, rate, momentum=0.9)  # noqa: E731
    ours = optax.chain(make(0.5), stage_rates.scale({"pad": 0.2 / 0.5}, STAGES))
    alone = make(0.2)
    states = ours.init(PARAMS), alone.init(PARAMS)
    for _ in range(3):
        found, first = ours.update(gradients, states[0], PARAMS)
        expected, second = alone.update(gradients, states[1], PARAMS)
        states = first, second
    for side, wanted in expected["prompt"][1].items():
        np.testing.assert_allclose(found["prompt"][1][side], wanted, rtol=1e-6)


def test_mistakes():
    with pytest.raises(UserError, match=r"unknown stage or parameter .*'pat'; did you mean"):
        factors({"pat": 1.0})
    for text in ("pad", "pad=", "pad=-1", "pad=1, pad=2", "=2", "pad=nan"):
        with pytest.raises(UserError, match="NAME=RATE"):
            stage_rates.parse(text)
