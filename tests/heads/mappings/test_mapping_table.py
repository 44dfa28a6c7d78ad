"""Mappings as tables of names, written and read back."""

import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError
from vp_jax.heads.mappings.names import distinct

SOURCES = ["crane", 'the "owl", a bird', "crane", "Straße", "e"]
TARGETS = ["x", "y, z", "w"]


def test_indices_round_trip(tmp_path):
    path = tmp_path / "new" / "mapping.csv"
    rows = heads.mapping_rows({"indices": np.array([2, 3, 1])}, SOURCES, TARGETS)
    assert rows == [("crane #2", "x", 1), ("Straße", "y, z", 1), (SOURCES[1], "w", 1)]
    heads.write_csv(path, rows)
    assert heads.read_table(path, SOURCES, TARGETS) == [2, 3, 1]
    assert [p.name for p in path.parent.iterdir()] == ["mapping.csv"]
    assert path.read_bytes().startswith(b"source class,target class,weight\r\ncrane #2,x,1\r\n")
    heads.write_csv(path, rows[::-1])  # any order
    head = heads.fixed(heads.read_table(str(path), SOURCES, TARGETS))
    assert head.init(None, 5, 3)["indices"].tolist() == [2, 3, 1]


def test_a_spreadsheets_byte_order_mark_is_read_over(tmp_path):
    path = tmp_path / "mapping.csv"
    path.write_text("source class,target class,weight\ne,x,1\n", encoding="utf-8-sig")
    assert heads.read_table(path, SOURCES, TARGETS[:1]) == [4]


@pytest.mark.parametrize("name", ["weights", "kernel"])
def test_the_largest_weights_of_every_class(name):
    matrix = np.array([[0, 0.5], [0.25, 0.5], [0.75, 0], [0, -1], [0, 0.75]], np.float32)
    rows = heads.mapping_rows({name: matrix}, SOURCES, TARGETS[:2])
    assert rows == [
        ("crane #2", "x", 0.75),
        (SOURCES[1], "x", 0.25),
        ("e", "y, z", 0.75),
        ("crane #0", "y, z", 0.5),
        (SOURCES[1], "y, z", 0.5),
        ("Straße", "y, z", -1.0),
    ]


def test_at_most_twenty_and_ties_by_place():
    matrix = np.random.default_rng(0).integers(0, 4, (60, 3)).astype(np.float32)
    names = [str(i) for i in range(60)]
    rows = heads.mapping_rows({"weights": matrix}, names, TARGETS)
    for t, target in enumerate(TARGETS):
        order = sorted(range(60), key=lambda s: (-matrix[s, t], s))
        expected = [(str(s), target, matrix[s, t]) for s in order if matrix[s, t]][:20]
        assert [row for row in rows if row[1] == target] == expected


def test_weights_are_written_exactly(tmp_path):
    weights = np.random.default_rng(0).random((5, 3), np.float32)
    path = tmp_path / "mapping.csv"
    rows = heads.mapping_rows({"weights": weights}, SOURCES, TARGETS)
    heads.write_csv(path, rows)
    written = [line.rsplit(",", 1)[1] for line in path.read_text("utf-8").splitlines()[1:]]
    assert [np.float32(w) for w in written] == [np.float32(row[2]) for row in rows]
    with pytest.raises(UserError, match="several source classes for 'x', the last in row 3"):
        heads.read_table(path, SOURCES, TARGETS)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "mapping.csv"
    path.write_text("before")

    def rows():
        yield ("crane", "x", 1.0)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        heads.write_csv(path, rows())
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"indices": np.array([0, 1])}, "2 classes.*3 class names"),
        ({"indices": np.array([0, 1, 5])}, "up to number 5.* 5 source"),
        ({"weights": np.ones((4, 3))}, r"weights .*\(4, 3\).*3 class names and 5"),
        ({"text_features": np.ones((3, 2)), "logit_scale": 1}, "head has logit_scale, text_feat"),
        ({}, "no parameters"),
    ],
)
def test_no_table_of_other_heads_or_names(params, message):
    with pytest.raises(UserError, match=message):
        heads.mapping_rows(params, SOURCES, TARGETS)


HEADER = "source class,target class,weight\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with the line"),
        ("a,b\n", "begins with 'a,b'"),
        (HEADER + "e,x,1\n", "no row for 2 of the 3 classes: y, z, w"),
        (HEADER + "e,x\n", "row 2, has 2 columns"),
        (HEADER + "e,x,1\ne,xx,1\n", "class in row 3 .*'xx'; did you mean 'x'"),
        (HEADER + "Strase,x,1\n", "source class in row 2.*did you mean 'Straße'"),
        (HEADER + "crane,x,1\n", "'crane #0' or 'crane #2'"),
        (HEADER + "e,x,1\ne,x,1\n", "several source classes for 'x', the last in row 3"),
        (HEADER + '"e,x,1\n', "no CSV file"),
    ],
)
def test_files_that_are_no_such_table_are_refused(tmp_path, text, message):
    path = tmp_path / "mapping.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        heads.read_table(path, SOURCES, TARGETS)


def test_a_missing_file_and_one_of_bytes(tmp_path):
    with pytest.raises(UserError, match="none.csv.*No such file.*--config.head.table"):
        heads.read_table(tmp_path / "none.csv", SOURCES, TARGETS)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(UserError, match="UTF-8"):
        heads.read_table(tmp_path / "bytes.csv", SOURCES, TARGETS)


def test_distinct_names_are_distinct_whatever_they_are():
    assert distinct(["a", "b"]) == ["a", "b"]
    names = ["a", "a", "a #0", "a #0", "b"]
    assert len(set(distinct(names))) == 5
