import pytest

from vp_jax.errors import UserError, unknown


def test_near_names_come_first():
    message = str(unknown("prompt", "padd", ["pad", "fixed_patch"]))
    assert message == "unknown prompt 'padd'; did you mean 'pad'? (valid: fixed_patch, pad)"


def test_case_does_not_matter():
    assert "did you mean 'CIFAR10'" in str(unknown("task", "cifar10", ["CIFAR10", "dtd"]))


def test_nothing_near_lists_what_is_valid():
    assert str(unknown("head", "xyz", ["text"])) == "unknown head 'xyz' (valid: text)"
    assert "(valid: none)" in str(unknown("head", "xyz", []))


def test_long_lists_are_cut():
    names = [f"name_{i:02}" for i in range(50)]
    message = str(unknown("thing", "qqq", names))
    assert "50 names are valid" in message and "name_19" in message and "name_20" not in message


@pytest.mark.parametrize("name", [None, 3, ("pad",)])
def test_names_that_are_no_text(name):
    assert isinstance(unknown("prompt", name, ["pad"]), UserError)
    assert repr(name) in str(unknown("prompt", name, ["pad"]))
