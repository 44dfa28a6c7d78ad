"""The forms in which classes are named are understood, and what is ambiguous is refused."""

from __future__ import annotations

import time

import pytest

from vp_jax.data.sources import classes_file
from vp_jax.errors import UserError

CODES = ("n01440764", "n01443537", "n01484850")
FOLDERS = ("a", "b", "c")
NAMES = ("tench", "goldfish", "great white shark")


def parse(text, classes=FOLDERS):
    return classes_file.parse(text.encode(), classes, "classes.txt")


FORMS = {
    "names": "{n}",
    "colon": "{c}: {n}",
    "no blank": "{c}:{n}",
    "tab": "{c}\t{n}",
    "comma": "{c},{n}",
    "semicolon": "{c};{n}",
    "quotes": '"{c}","{n}"',
    "quoted names": '"{n}"',
    "quoted name": '{c},"{n}"',
    "from 0": "{i}: {n}",
    "from 1": "{j}: {n}",
    "from 0 with a comma": "{i},{n}",
    "from 0 with a tab": "{i}\t{n}",
    "blanks": "  {c} :  {n}  ",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [FOLDERS, CODES, ("0", "1", "2")])
@pytest.mark.parametrize("text", ["{}", "\ufeff{}\r\n\r\n"])
def test_forms(form, classes, text):
    if form == "from 1" and classes == ("0", "1", "2"):
        pytest.skip("there the numbers are the classes")
    lines = [
        FORMS[form].format(c=c, n=n, i=i, j=i + 1)
        for i, (c, n) in enumerate(zip(classes, NAMES, strict=True))
    ]
    end = "\r\n" if "\r" in text else "\n"
    assert parse(text.format(end.join(lines)), classes) == NAMES
    if form not in ("names", "quoted names"):
        assert parse(end.join(reversed(lines)), classes) == NAMES


@pytest.mark.parametrize(
    "names",
    [
        ("tench, a fish", "goldfish, Carassius auratus", "shark: great"),
        ("1 euro", "5 euro", "10 euro"),
        ("1st", "2nd", "3rd"),
        ("3.5 mm", "4.5 mm", "5.5 mm"),
        ("0", "1", "2"),
        ("class 0", "class 1", "class 2"),
        ("1 object", "2 objects", "3 objects"),
        ("big a", "small b", "huge c"),
        ("a", "hound", "c"),
    ],
)
def test_names_that_are_names(names):
    assert parse("\n".join(names)) == names


@pytest.mark.parametrize(
    ("line", "classes", "message"),
    [
        ("{c} {n}", CODES, "begins with the class it stands for, 'n01440764' and so on: write li"),
        ("{c}, {n}", CODES, "begins with the class it stands for"),
        ("{n} {c}", CODES, "ends with the class it stands for, 'n01440764' and so on: write"),
        ("{i} {n}", FOLDERS, "begins with a number, as in '0 tench': write lines 'class: name'"),
        ("{j} {n}", FOLDERS, "begins with a number, as in '1 tench'"),
        ("{j}. {n}", FOLDERS, "begins with a number, as in '1. tench'"),
        ("{i} = {n}", FOLDERS, "begins with a number, as in '0 = tench'"),
        ("{i}, {n}", FOLDERS, "begins with a number, as in '0, tench'"),
        ("7{i}: {n}", FOLDERS, "begins with a number, as in '70: tench'"),
        ("{n} {i}", FOLDERS, "ends with a number, as in 'tench 0'"),
        ("{j} {c} {j} {n}", CODES, "begins with a number, as in '1 n01440764 1 tench'"),
        ("{c}: {i}", FOLDERS, "has numbers for names, such as '0' for 'a': write how each"),
        ("{c},{j}", FOLDERS, "has numbers for names, such as '1' for 'a'"),
        ("{n}\t{i}", FOLDERS, "names in line 1 the class 'tench', which is not there"),
        ("{n},{c}", FOLDERS, "ends with a class, as in 'tench,a': write"),
        ("{n}: {i}", FOLDERS, "ends with a class, as in 'tench: 0'"),
    ],
)
def test_what_is_ambiguous_is_refused(line, classes, message):
    lines = [
        line.format(c=c, n=n, i=i, j=i + 1)
        for i, (c, n) in enumerate(zip(classes, NAMES, strict=True))
    ]
    with pytest.raises(UserError, match=message) as e:
        parse("\n".join(lines), classes)
    assert "\n" not in str(e.value)


def test_numbers_in_another_order_than_the_classes():
    assert parse("0: cat\n1: dog", ("cat", "dog")) == ("cat", "dog")
    with pytest.raises(UserError, match="gives in line 1 the number of the class 'cat' to 'dog'"):
        parse("0: dog\n1: cat", ("cat", "dog"))


def test_a_long_file_is_refused_at_once():
    classes = [f"class {i}" for i in range(1000)]
    start = time.perf_counter()
    with pytest.raises(UserError, match="has 200000 lines, but there are 1000 classes"):
        parse("some name\n" * 200_000, classes)
    assert time.perf_counter() - start < 10
