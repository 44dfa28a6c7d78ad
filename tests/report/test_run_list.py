import io
import pathlib

import pytest

from vp_jax.records.listing.state import Run
from vp_jax.report import run_list
from vp_jax.report.run_list import Listed, as_table, in_order


def of(name, **fields):
    return Listed(name, Run(pathlib.Path(name), "run", fields.pop("state", "finished"), **fields))


RUNS = [
    of("b10", val=0.5, test=0.4, seconds=9.0, step=7),
    of("b9", val=0.9, test=0.3, seconds=20.0, step=5),
    of("a", state="stopped", val=0.7, step=6, steps=10),
]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("name", ["a", "b9", "b10"]),
        ("state", ["b9", "b10", "a"]),
        ("val", ["b9", "a", "b10"]),
        ("test", ["b10", "b9", "a"]),
        ("time", ["b10", "b9", "a"]),
        ("step", ["b10", "a", "b9"]),
    ],
)
def test_order(by, names):
    assert [one.name for one in in_order(RUNS, by)] == names


@pytest.mark.parametrize("width", [200, 80, 60, 10, None])
def test_tables_fit_where_names_are_all_that_is_too_wide(width):
    long = "a folder with ä lot of wörds in its name " * 3
    runs = [of(long, val=0.5), *RUNS]
    lines = as_table(runs, width).split("\n4 runs")[0].splitlines()
    assert len(lines) == 2 + len(runs)
    if width is None or width == 200:
        assert long.strip() in lines[2]
    if width is not None:
        assert max(map(len, lines)) <= max(width, 58)
        assert "…" in lines[2] or width == 200


def test_what_a_terminal_would_obey_is_shown_as_code():
    text = as_table([of("a\x1b[31m\nb\udcff", reason="c\r")])
    assert r"a\x1b[31m\nb\udcff" in text and r"c\r" in text and "\x1b" not in text


def test_no_run_is_a_head_only():
    run_list.write([], "csv", out := io.StringIO())
    assert out.getvalue().splitlines() == [
        "run,kind,task,state,reason,step,steps,val,test,seconds,go_on"
    ]
