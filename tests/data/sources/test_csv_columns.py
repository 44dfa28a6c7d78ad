"""Which column of a CSV is which: names before numbers, and what is ambiguous is refused."""

from __future__ import annotations

import tracemalloc

import pytest

from vp_jax.data.sources import csv_table
from vp_jax.errors import UserError

NUMBER = {"dog": "0", "cat": "1", "emu": "2"}
LABELS = ("dog", "cat", "emu", "dog", "cat", "emu")


def table(header, row, sep=",", end="\n", bom="", labels=LABELS):
    """A CSV with a header, and lines that a function makes of a number and a class."""
    lines = [header, *(row(i, name) for i, name in enumerate(labels))]
    return (bom + "".join(line.replace(",", sep) + end for line in lines)).encode()


def labels(content, **kwargs):
    return [(row.path, row.label) for row in csv_table.parse(content, "x.csv", **kwargs)]


NAMED = [(f"{i}.png", name) for i, name in enumerate(LABELS)]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("filename,label,class_name", lambda i, n: f"{i}.png,{NUMBER[n]},{n}"),
        ("filename,class_name,label", lambda i, n: f"{i}.png,{n},{NUMBER[n]}"),
        ("class_name,label,filename", lambda i, n: f"{n},{NUMBER[n]},{i}.png"),
        ("Image,Class,Class ID", lambda i, n: f"{i}.png,{n},{NUMBER[n]}"),
        ("path,label,category", lambda i, n: f"{i}.png,{NUMBER[n]},{n}"),
        ("path,class,label", lambda i, n: f"{i}.png,{n},{NUMBER[n]}.0"),
        ("path,label,class-name", lambda i, n: f"{i}.png,n0{NUMBER[n]},{n}"),
        ("path,label,target", lambda i, n: f"{i}.png,{n},{n}"),
        ("file_name,label,text", lambda i, n: f"{i}.png,{n},a picture of {n} {i}"),
        ("image_id,label", lambda i, n: f"{i}.png,{n}"),
        ("id,path,label", lambda i, n: f"{i},{i}.png,{n}"),
        ("name,label", lambda i, n: f"{i}.png,{n}"),
        ("image,x,y,w,h,label", lambda i, n: f"{i}.png,1,2,3,4,{n}"),
        ("label,x,y,w,h,image,name", lambda i, n: f"{n},1,2,3,4,{i}.png,thing {i}"),
        ('"path","label"', lambda i, n: f'"{i}.png","{n}"'),
    ],
)
@pytest.mark.parametrize("form", [{}, {"sep": ";", "end": "\r\n", "bom": "\ufeff"}, {"sep": "\t"}])
def test_names_before_numbers(header, row, form):
    assert labels(table(header, row, **form)) == NAMED


def test_numbers_that_have_names_elsewhere():
    content = table("path,label,wnid", lambda i, n: f"{i}.png,{NUMBER[n]},n0{n}")
    numbers = [(path, NUMBER[name]) for path, name in NAMED]
    assert labels(content, named=True) == numbers
    with pytest.raises(UserError, match=r"'label' and what may be its name in 'wnid': call"):
        labels(content)


@pytest.mark.parametrize(
    "row",
    [
        lambda i, n: f"{i}.png,{NUMBER[n]},by hand",  # The same for all.
        lambda i, n: f"{i}.png,{NUMBER[n]},anna{i}",  # Another one for each.
        lambda i, n: f"{i}.png,{NUMBER[n]},{'anna' if i < 3 else 'otto'}",
        lambda i, n: f"{i}.png,{NUMBER[n]},{int(NUMBER[n]) + 1}",
        lambda i, n: f"{i}.png,{NUMBER[n]},",
    ],
)
def test_other_columns_beside_numbers(row):
    content = table("path,label,note", row)
    assert [label for _, label in labels(content)] == [NUMBER[name] for name in LABELS]


def test_labels_with_commas_in_a_table_of_tabs():
    content = b"0.png\tcat, big\n1.png\tdog, small\n"
    assert labels(content) == [("0.png", "cat, big"), ("1.png", "dog, small")]


def test_numbers_as_pandas_writes_them():
    content = b"path,label\n0.png,1.0\n1.png,10.0\n2.png,2\n"
    assert [label for _, label in labels(content)] == ["1", "10", "2"]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (
            "filename,label,class_name",
            lambda i, n: f"{i}.png,{i % 2},{n}",
            r"'class_name' and 'label', which may both be the label and disagree: "
            r"'dog' goes with '0' in line 2 and '1' in 5\. Remove or rename the one that is not",
        ),
        (
            "path,label,class_name",
            lambda i, n: f"{i}.png,{i},{n}",
            "'dog' goes with '0' in line 2 and '3' in 5",
        ),
        ("path,label,category", lambda i, n: f"{i}.png,{n},animal", "may both be the label"),
        ("path,label,label", lambda i, n: f"{i}.png,{n},{'ab'[i % 2]}", "may both be the label"),
        ("path,label,target", lambda i, n: f"{i}.png,{i % 2},{NUMBER[n]}", "may both be the la"),
        ("path,label,breed", lambda i, n: f"{i}.png,{NUMBER[n]},{n}", "its name in 'breed': call"),
        ("id,breed", lambda i, n: f"x{i},{n}", "call the column of the classes 'label'"),
        ("file_name,text", lambda i, n: f"{i}.png,a {n}", "call the column of the classes 'label'"),
        ("image,label_1,label_2", lambda i, n: f"{i}.png,{n},{n}", "of the classes 'label'"),
        ("image_id,dog,cat,emu", lambda i, n: f"{i}.png,1,0,0", "of the classes 'label'"),
        (
            "id_code,diagnosis",
            lambda i, n: f"{i}.png,2",
            "call the column of the images' paths 'path' and that of the classes 'label'",
        ),
        ("x,y,w,h,label", lambda i, n: f"1,2,3,4,{n}", "call the column of the images' paths"),
        ("image,label,annotator", lambda i, n: f"{i // 2}.png,{n},a", "lines 2 and 3 both name"),
    ],
)
def test_what_is_ambiguous_is_refused(header, row, message):
    with pytest.raises(UserError, match=message) as e:
        labels(table(header, row))
    assert "\n" not in str(e.value)


# What is no table.


@pytest.mark.slow(seconds=9)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * 5_000_000, "x.csv cannot be read at line 1: it has more than 1,048,576 chara"),
        (b"," * 5_000_000, "at line 1: it has more than 1,048,576 characters"),
        (b"a.png,b\n" + b'"' + b"y\n" * 1_000_000, "cannot be read at line .*: field larger"),
        (b"a.png,b\nc.png\0,d\n", "at line 2: it has a null character, so it is no text"),
        (b"\x1f\x8b\x08" + bytes(50), "is no UTF-8 text"),
    ],
)
def test_bad_texts_take_little_memory(content, message):
    tracemalloc.start()
    with pytest.raises(UserError, match=message):
        csv_table.parse(content, "x.csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * len(content) + 12e6  # The text is decoded once, whole, as a check.
