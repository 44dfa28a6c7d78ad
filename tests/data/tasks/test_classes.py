"""Whether classes are the same, and which label is which."""

import pytest

from vp_jax.data.tasks.classes import Classes, order, same_names
from vp_jax.errors import UserError


def of(keys, names=None, shown=None):
    """Classes with keys and names of the data, as texts of words."""
    own = tuple((names or keys).split())
    return Classes(tuple(shown.split()) if shown else own, tuple(keys.split()), own)


def places(run, data):
    return order(run, data, "RUN", "DATA").tolist()


NUMBERS_ONLY = Classes(("cat", "dog", "eel"))


@pytest.mark.parametrize(
    ("run", "data", "expected"),
    [
        (of("a b c"), of("a b c"), [0, 1, 2]),
        (of("a b c"), of("c a b"), [2, 0, 1]),
        # Renamed for people, in a file or by a setting: the folders are the same.
        (of("a b c", "cat dog eel"), of("a b c", "Cat Dog Eel"), [0, 1, 2]),
        (of("a b c"), of("b a c", "dog cat eel"), [1, 0, 2]),
        (of("a b", shown="b a"), of("a b", shown="b a"), [0, 1]),
        # Renamed folders that are called what they were.
        (of("a b c", "cat dog eel"), of("b c z", "dog eel cat"), [1, 2, 0]),
        (of("a b c"), of("b c z", "b c a"), [1, 2, 0]),
        (of("a b c", "cat dog eel"), of("eel cat dog"), [2, 0, 1]),
        # Numbers are no names where there are names.
        (of("0 1 2", "cat dog eel"), of("0 1 2", "eel cat dog"), [2, 0, 1]),
        (of("0 1 2"), of("0 1 2", "eel cat dog"), [0, 1, 2]),
        (of("cat dog eel"), of("0 1 2", "eel cat dog"), [2, 0, 1]),
        # Arrays without names, whose names are from the settings.
        (NUMBERS_ONLY, NUMBERS_ONLY, [0, 1, 2]),
        (NUMBERS_ONLY, Classes(("dog", "cat", "eel")), [1, 0, 2]),
        (of("a b c", shown="cat dog eel"), NUMBERS_ONLY, [0, 1, 2]),
        # A name that several classes have, as in ImageNet.
        (of("crane crane ox"), of("crane crane ox"), [0, 1, 2]),
        (of("n1 n2 n3", "crane crane ox"), of("n3 n2 n1", "ox crane crane"), [2, 1, 0]),
        # Other compositions of the same letters.
        (of("Caf\u00e9 tea"), of("tea Cafe\u0301"), [1, 0]),
    ],
)
def test_the_same_classes(run, data, expected):
    assert places(run, data) == expected


@pytest.mark.parametrize(
    ("run", "data", "named"),
    [
        (of("a b c"), of("b c z"), "only of RUN: 'a'; only of DATA: 'z'"),
        (of("a b c"), of("a b"), "only of RUN: 'c'. The classes of RUN (3): 'a', 'b', 'c'"),
        (of("a b"), of("a b c"), "only of DATA: 'c'"),
        (of("0 1", "cat dog"), of("0 1", "car van"), "only of RUN: 'cat', 'dog'"),
        (of("0 1", "cat dog"), of("2 3", "car van"), "of DATA (2): 'car', 'van'"),
        (of("crane crane ox"), of("ox crane crane"), "a name stands for several of them"),
        (of("a b", "cat dog"), of("a b", "dog cat"), "'a' is called 'dog' here and 'cat' there"),
        (of("a b c", shown="cat dog eel"), of("b c z", shown="cat dog eel"), "of DATA: 'z'"),
    ],
)
def test_other_classes_are_refused_with_both_lists(run, data, named):
    with pytest.raises(UserError) as error:
        places(run, data)
    assert named in str(error.value)


def test_of_many_classes_the_differences_come_first():
    run = of(" ".join(f"c{i:03}" for i in range(100)))
    data = of(" ".join(f"c{i:03}" for i in range(1, 101)))
    with pytest.raises(UserError, match="only of RUN: 'c000'; only of DATA: 'c100'") as error:
        places(run, data)
    assert "and 80 more" in str(error.value) and len(str(error.value)) < 1200


def test_a_reordered_list_keeps_given_names():
    run, data = of("a b c", shown="cat dog eel"), of("c a b", shown="cat dog eel")
    found = data.reordered(order(run, data, "", ""), also_names=False)
    assert found == Classes(("cat", "dog", "eel"), ("a", "b", "c"), ("a", "b", "c"))
    assert data.reordered(order(run, data, "", ""), also_names=True).names == ("dog", "eel", "cat")


def test_heads_that_read_names_need_the_same_ones():
    same_names(("a", "b"), ("a", "b"), "RUN", "DATA")
    with pytest.raises(UserError, match="'b' is 'B' now"):
        same_names(("a", "b"), ("a", "B"), "RUN", "DATA")
