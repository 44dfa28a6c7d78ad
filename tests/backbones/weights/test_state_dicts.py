"""Weights inside other things and under longer names; plain numpy, no torch."""

import numpy as np
import pytest

from vp_jax.backbones.weights.state_dicts import find, without_prefix

X = np.zeros(2)
OPTIMIZER = {"state": {0: {"exp_avg": X}}, "param_groups": [{"lr": 0.1}]}


def _is_tensor(x):
    return isinstance(x, np.ndarray)


@pytest.mark.parametrize(
    ("loaded", "path", "left_out"),
    [
        ({"a": X}, [], []),
        ({"a": X, "epoch": 3}, [], ["epoch"]),
        ({"state_dict": {"a": X}}, ["state_dict"], []),
        ({"model": {"a": X}, "optimizer": OPTIMIZER}, ["model"], ["optimizer"]),
        ({"model": {"a": X}, "best": X}, ["model"], ["best"]),
        ({"model": {"a": X}, "model_ema": {"a": X + 1}}, ["model"], ["model_ema"]),
        ({"model": {"state_dict": {"a": X}}}, ["model", "state_dict"], []),
        ({"module": {"a": X}, "global_step": 1}, ["module"], ["global_step"]),
        ({"my_own_name": {"a": X}, "epoch": 1}, ["my_own_name"], ["epoch"]),
        ({"model_state_dict": {"a": X}, "loss": 0.1}, ["model_state_dict"], ["loss"]),
        ({"state_dict": {"a": X, "note": "x"}}, ["state_dict"], ["note"]),
    ],
)
def test_find(loaded, path, left_out):
    tensors, *found = find(loaded, _is_tensor)
    assert tensors.keys() == {"a"} and tensors["a"] is X
    assert found == [path, left_out]


@pytest.mark.parametrize(
    ("loaded", "words"),
    [
        ([X], "a list"),
        (X, "a ndarray"),
        ({}, "no dict of tensors: its entries are nothing"),
        ({"epoch": 1}, "no dict of tensors: its entries are epoch"),
        ({"student": {"a": X}, "teacher": {"a": X}}, "several models: its entries are student, t"),
        ({"optimizer": OPTIMIZER}, "no dict of tensors: its entries are optimizer"),
    ],
)
def test_what_has_no_weights(loaded, words):
    with pytest.raises(ValueError, match=words):
        find(loaded, _is_tensor)


def test_a_dict_that_holds_itself():
    loaded = {"x": X}
    loaded["model"] = loaded
    with pytest.raises(ValueError, match="deep"):
        find(loaded, _is_tensor)


LAYOUT = {"conv1.weight": (2,), "bn1.bias": (2,), "fc.weight": (2,)}


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "model.", "_orig_mod.", "_orig_mod.module.", "module.model.backbone.", "a/b/"],
)
def test_prefixes(prefix):
    tensors = {prefix + name: X for name in LAYOUT}
    found, taken = without_prefix(tensors, [{"other": (2,)}, LAYOUT])
    assert taken == prefix and found.keys() == LAYOUT.keys()


def test_a_prefix_that_is_part_of_the_names_stays():
    layout = {"visual.conv1.weight": (2,), "visual.proj": (2,)}
    tensors = dict.fromkeys(layout, X)
    assert without_prefix(tensors, [layout]) == (tensors, "")


def test_a_prefix_that_not_all_share_stays():
    tensors = {"module.conv1.weight": X, "module.bn1.bias": X, "fc.weight": X}
    assert without_prefix(tensors, [LAYOUT]) == (tensors, "")


def test_a_prefix_without_which_nothing_fits_stays():
    tensors = {f"module.{name}": np.zeros(3) for name in LAYOUT}
    assert without_prefix(tensors, [LAYOUT]) == (tensors, "")
    assert without_prefix({}, [LAYOUT]) == ({}, "")


def test_the_counter_of_averaged_weights_is_left_out():
    tensors = {f"module.{name}": X for name in LAYOUT} | {"n_averaged": np.zeros((), int)}
    found, taken = without_prefix(tensors, [LAYOUT])
    assert taken == "module." and found.keys() == LAYOUT.keys()
