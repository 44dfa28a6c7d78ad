from __future__ import annotations

import pytest

from vp_jax.errors import UserError
from vp_jax.report import table


def test_columns_are_aligned_numbers_to_the_right():
    text = table([("a", "9.5 %", 3), ("longer", "10.0 %", 12000)], ("name", "accuracy", "steps"))
    assert text.splitlines() == [
        "name    accuracy  steps",
        "------  --------  -----",
        "a          9.5 %      3",
        "longer    10.0 %  12000",
    ]


def test_text_is_left_and_missing_values_are_dashes():
    text = table([("10 of 20", None), ("x", 0.25)], ("a", "b"))
    assert text.splitlines()[2:] == ["10 of 20     -", "x         0.25"]


def test_wide_characters_and_newlines_do_not_break_the_columns():
    lines = table([("画像", 1), ("a\nb", 2)], ("name", "n")).splitlines()
    assert lines[2:] == ["画像  1", "a b   2"]


def test_no_rows_and_no_columns():
    assert table([], ("a", "bb")) == "a  bb\n-  --"
    assert table([], ()) == "\n"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(UserError, match="row 1 .* has 1 cells for 2 headers"):
        table([("a", "b"), ("c",)], ("x", "y"))
