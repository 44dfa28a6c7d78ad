"""Runs of versions before a prompt was one text are read by rule, and can be gone on with."""

import json
import re

import jax
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.config import default, from_json
from vp_jax.errors import UserError
from vp_jax.former_settings import DEFAULTS, prompt_text
from vp_jax.records.checkpoints.manager import Checkpoints, to_arrays
from vp_jax.step.step import init_state
from vp_jax.step.updates.optimizers import by_name

FORMER = {
    "normalize | pad(30)": {},
    "normalize | pad(10, init='zeros')": {"size": 10, "init": "zeros"},
    "normalize | pad(4, init='uniform', scale=0.5)": {"size": 4, "init": "uniform", "scale": 0.5},
    "pad(4) | normalize": {"size": 4, "space": "pixel"},
    "pad(4) | clip | normalize": {"size": 4, "space": "pixel", "bounded": True},
    "normalize | fixed_patch(30, left=5)": {"name": "fixed_patch", "left": 5},
    "normalize | random_patch(2)": {"name": "random_patch", "size": 2},
}


@pytest.mark.parametrize("text", FORMER)
def test_former_settings_are_read_as_a_text(text):
    assert str(prompts.parse(prompt_text(FORMER[text]))) == text
    settings = json.loads(default().to_json()) | {"prompt": {**DEFAULTS, **FORMER[text]}}
    assert str(prompts.parse(from_json(settings, "config.json").prompt)) == text


@pytest.mark.parametrize(
    "settings", [{"name": "padd"}, {"size": "x"}, {"init": 3}, {"scale": None}]
)
def test_damaged_former_settings_are_refused_in_a_sentence(settings):
    found = from_json({"prompt": {**DEFAULTS, **settings}}, "config.json").prompt
    with pytest.raises(UserError):
        prompts.parse(found)


def state_of(params, optimizer):
    state = init_state({"prompt": params}, optimizer, jax.random.key(0))
    return jax.tree.map(np.asarray, state._replace(step=np.int32(3)))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("text", ["normalize | pad(2)", "pad(4) | clip", "random_patch(2)"])
def test_former_checkpoints_are_read_as_the_stage_with_parameters(text, optimizer, tmp_path):
    """`pad(4)` covers the image, so that two of its arrays hold no number."""
    optimizer, chain = by_name(optimizer, 0.1, momentum=0.9), prompts.parse(text)
    now = state_of(chain.init(jax.random.key(1), (8, 8, 3)), optimizer)
    (alone,) = (params for params in now.tuned["prompt"] if params)
    before = state_of(alone, optimizer)
    (name,) = (s.name for s in chain.stages if s.formula.init)
    shapes = {key: list(value.shape) for key, value in alone.items()}
    identity = {"backbone": "b", "prompt": f"{name}, {shapes}"}
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(3, before, {"identity": identity, "progress": {}}, 0)
    checkpoints.wait()
    wanted = {"backbone": "b", "prompt": str(chain)}
    found, _ = checkpoints.restore_latest(jax.tree.map(np.zeros_like, now), wanted)
    expected, there = to_arrays(now), to_arrays(found)
    assert expected.keys() == there.keys() and any(re.search(r"prompt\.\d", x) for x in there)
    for key, array in expected.items():
        np.testing.assert_array_equal(there[key], array)

    with pytest.raises(UserError, match="backbone is b there and c here$|backbone is b there"):
        checkpoints.restore_latest(now, {**wanted, "backbone": "c"})
    other = state_of(prompts.parse("pad(1)").init(jax.random.key(1), (8, 8, 3)), optimizer)
    with pytest.raises(UserError, match="is of another run or version"):
        checkpoints.restore_latest(other, wanted)
    checkpoints.close()
