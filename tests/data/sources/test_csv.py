"""CSVs of paths and labels become tasks, with files on disk and in archives."""

from __future__ import annotations

import concurrent.futures
import os

import cloudpickle
import numpy as np
import pytest
from fake_files import classes, picture, write_archive, write_folder
from fake_tfds import png

from vp_jax.data import tasks
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.load import load_task
from vp_jax.data.sources import csv_table, source
from vp_jax.errors import UserError

FOLDER = tasks.get("folder")
FILES = {f"photos/{i}.png": png(picture(i)) for i in range(12)}
LABEL = {name: ("dog", "cat", "emu")[i % 3] for i, name in enumerate(FILES)}
SPLIT = {name: ("train", "train", "val", "test")[i // 3] for i, name in enumerate(FILES)}
ROWS = [f"{name},{LABEL[name]}" for name in FILES]
WITH_SPLIT = [f"{row},{SPLIT[name]}" for row, name in zip(ROWS, FILES, strict=True)]


def write(root, lines, files=FILES, name="labels.csv"):
    text = lines if isinstance(lines, bytes) else "\n".join(lines).encode()
    return write_folder(root, {**files, name: text}) / name


def load(path, **kwargs):
    return load_task("folder", data_dir=path, resize=ResizeRule(32), progress=False, **kwargs)


def by_key(read):
    return {e.key: (e.label, e.image) for split in read.splits.values() for e in split}


EXPECTED = {name: (("cat", "dog", "emu").index(LABEL[name]), FILES[name]) for name in FILES}


@pytest.mark.parametrize("header", [None, "path,label", "Filename, Class", "image_path,category"])
def test_without_splits(tmp_path, header):
    read = source.read(FOLDER, write(tmp_path / "x", ROWS if header is None else [header, *ROWS]))
    assert read.class_names == ("cat", "dog", "emu") and read.num_classes == 3
    assert read.val is None and read.upright and (len(read.train), len(read.test)) == (10, 2)
    assert by_key(read) == EXPECTED
    for split in read.splits.values():
        assert split.labels.tolist() == [example.label for example in split]


@pytest.mark.parametrize("header", [None, "path,label,split", "file,target,Subset"])
def test_with_splits(tmp_path, header):
    lines = WITH_SPLIT if header is None else [header, *WITH_SPLIT]
    path = write(tmp_path / "x", lines)
    read = source.read(FOLDER, path)
    assert by_key(read) == EXPECTED
    for split, examples in read.splits.items():
        assert {e.key for e in examples} == {name for name in FILES if SPLIT[name] == split}
    data = load(path, val_fraction=0.5)  # Has no effect.
    assert [len(s) for s in (data.train, data.val, data.test)] == [6, 3, 3]
    np.testing.assert_array_equal(data.val.images[1], picture(6))


@pytest.mark.parametrize(
    "content",
    [
        "label,split,note,path\n" + "\n".join(f"{LABEL[n]},{SPLIT[n]},x,{n}" for n in FILES),
        ",path,label,split\n" + "\n".join(f"{i},{r}" for i, r in enumerate(WITH_SPLIT)),  # pandas
        "\ufeffpath;label;split\r\n" + "\r\n".join(r.replace(",", ";") for r in WITH_SPLIT),
        "\n".join(row.replace(",", "\t") for row in WITH_SPLIT),
        "path,label,split\n\n" + "\n\n".join(r.replace(",", " , ") for r in WITH_SPLIT) + "\n\n",
        "\n".join(f'"{n}","{LABEL[n]}","{SPLIT[n].upper()}"' for n in FILES),
        "\n".join(r.replace("/", "\\") for r in WITH_SPLIT),
        "\n".join(f"./{r}" for r in WITH_SPLIT),
        "\n".join(WITH_SPLIT).replace(",val", ",validation").replace(",train", ",training"),
    ],
)
def test_ways_of_writing_it(tmp_path, content):
    read = source.read(FOLDER, write(tmp_path / "x", content.encode()))
    assert by_key(read) == EXPECTED and len(read.val) == 3 and len(read.train) == 6


def test_the_held_out_test_split_does_not_depend_on_the_order_of_lines(tmp_path):
    first = source.read(FOLDER, write(tmp_path / "x", ROWS))
    second = source.read(FOLDER, write(tmp_path / "y", ["path,label", *reversed(ROWS)]))
    assert [e.key for e in first.test] == [e.key for e in second.test]


def test_names_with_commas_and_of_all_sorts(tmp_path):
    names = ['a,b "c".png', "Größe 猫.PNG", "no suffix", "it's 100%.jpeg"]
    files = {name: png(picture(i)) for i, name in enumerate(names)}
    cells = ['"a,b ""c"".png"', *names[1:]]
    lines = ["path,label", *(f"{cell},{'xy'[i % 2]}" for i, cell in enumerate(cells))]
    read = source.read(FOLDER, write(tmp_path / "x", lines, files), test_fraction=0.5)
    assert {key: image for key, (_, image) in by_key(read).items()} == files


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ("2 0 1 10", ("0", "1", "2", "10"), [2, 0, 1, 3]),
        ("01 2 +3 003", ("1", "2", "3"), [0, 1, 2, 2]),
        ("5 -1 -20 5", ("-20", "-1", "5"), [2, 1, 0, 2]),
        ("b a 10b 2x", ("2x", "10b", "a", "b"), [3, 2, 1, 0]),
    ],
)
def test_labels_are_numbers_or_names(tmp_path, labels, names, expected):
    lines = [f"photos/{i}.png,{label},train" for i, label in enumerate(labels.split())]
    lines.append(f"photos/11.png,{labels.split()[0]},test")
    read = source.read(FOLDER, write(tmp_path / "x", lines))
    assert read.class_names == names
    found = by_key(read)
    assert [found[f"photos/{i}.png"][0] for i in range(len(expected))] == expected


def test_names_of_classes(tmp_path):
    lines = [f"{name},{i % 3}" for i, name in enumerate(FILES)]
    for text in ("cat\ndog\nemu", "2: emu\n0: cat\n1: dog"):
        names = {"classes.txt": text.encode()}
        read = source.read(FOLDER, write(tmp_path / "x", lines, FILES | names))
        assert read.class_names == ("cat", "dog", "emu")
    names = {"classes.txt": b"cat\ndog"}
    with pytest.raises(UserError, match="has 2 lines, but there are 3 classes .0, 1, 2."):
        source.read(FOLDER, write(tmp_path / "x", lines, FILES | names))


# Where the files are.


def test_absolute_paths_and_those_above(tmp_path):
    write_folder(tmp_path / "far", FILES)
    lines = [f"{tmp_path}/far/{row}" if i % 2 else f"../far/{row}" for i, row in enumerate(ROWS)]
    read = source.read(FOLDER, write(tmp_path / "x", lines, {}))
    assert sorted(image for _, image in by_key(read).values()) == sorted(FILES.values())


@pytest.mark.parametrize("name", ["data.zip", "data.tar", "data.tar.gz"])
@pytest.mark.parametrize("top", ["", "set/"])
def test_paths_in_an_archive_beside_the_csv(tmp_path, name, top):
    (tmp_path / "x").mkdir()
    write_archive(tmp_path / "x" / name, {f"{top}{key}": file for key, file in FILES.items()})
    read = source.read(FOLDER, write(tmp_path / "x", ROWS, {}))
    assert by_key(read) == EXPECTED
    lines = [f"{name}/{top}{row}" for row in ROWS]
    read = source.read(FOLDER, write(tmp_path / "x", lines, {}))
    assert {key.removeprefix(f"{name}/{top}"): v for key, v in by_key(read).items()} == EXPECTED


def test_paths_in_several_archives_and_outside(tmp_path):
    (tmp_path / "x").mkdir()
    write_archive(tmp_path / "x/a.zip", FILES)
    write_archive(tmp_path / "x/b.tar", FILES)
    lines = [f"{('a.zip/', 'b.tar/', '')[i % 3]}{row}" for i, row in enumerate(ROWS)]
    read = source.read(FOLDER, write(tmp_path / "x", lines))
    assert sorted(image for _, image in by_key(read).values()) == sorted(FILES.values())


@pytest.mark.parametrize("name", ["x.zip", "x.tar.xz"])
@pytest.mark.parametrize("top", ["", "set/deep/"])
def test_the_csv_in_an_archive(tmp_path, name, top):
    files = {f"{top}{key}": file for key, file in FILES.items()}
    files |= {f"{top}labels.csv": "\n".join(WITH_SPLIT).encode(), f"{top}classes.txt": b"C\nD\nE"}
    path = write_archive(tmp_path / name, files)
    read = source.read(FOLDER, path / f"{top}labels.csv")
    assert by_key(read) == EXPECTED and read.class_names == ("C", "D", "E")
    with pytest.raises(UserError, match=r"there is no file none\.csv in .*x\."):
        source.read(FOLDER, path / "none.csv")


@pytest.mark.parametrize("place", ["", "a.zip/"])
def test_examples_may_be_pickled_and_read_by_threads(tmp_path, place):
    (tmp_path / "x").mkdir()
    write_archive(tmp_path / "x/a.zip", FILES)
    path = write(tmp_path / "x", [f"{place}{row}" for row in ROWS])
    examples = cloudpickle.loads(cloudpickle.dumps(source.read(FOLDER, path).train))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for example in pool.map(examples.__getitem__, range(len(examples))):
            assert example.image == FILES[example.key.removeprefix(place)]


def test_files_that_are_not_there_are_corrupt_images(tmp_path):
    files = {key: file for i, (key, file) in enumerate(FILES.items()) if i not in (0, 7)}
    path = write(tmp_path / "x", ROWS, files)
    with pytest.raises(UserError) as e:
        load(path)
    assert "2 image(s)" in str(e.value)
    for name in ("photos/0.png", "photos/7.png"):
        assert f"{name} in {tmp_path / 'x'} cannot be read (it is not there)" in str(e.value)
    assert load(path, skip_corrupt=True).skipped == 2


def test_no_file_is_there(tmp_path):
    path = write(tmp_path / "x", ["path,label", *ROWS], {})
    with pytest.raises(
        UserError, match=r"none of the 12 files .* 'photos/0\.png' in line 2, and .*x"
    ):
        source.read(FOLDER, path)
    write_archive(tmp_path / "x/a.zip", {"other.png": b""})
    with pytest.raises(UserError, match="none of the 12 files"):
        source.read(FOLDER, path)


def test_the_fingerprint_changes_with_what_is_named(tmp_path):
    path = write(tmp_path / "x", ROWS)
    prints = [source.read(FOLDER, path).fingerprint]

    def changed():
        prints.append(source.read(FOLDER, path).fingerprint)
        return prints[-1] not in prints[:-1]

    assert not changed()
    os.utime(tmp_path / "x/photos/3.png", ns=(1, 1))
    assert changed()
    (tmp_path / "x/classes.txt").write_text("a\nb\nc")
    assert changed()
    path.write_text("\n".join(ROWS[:-1]))
    assert changed()
    write_archive(tmp_path / "x/a.zip", FILES)
    assert not changed()
    path.write_text("\n".join(f"a.zip/{row}" for row in ROWS))
    assert changed()
    os.utime(tmp_path / "x/a.zip", ns=(1, 1))
    assert changed()


# What is wrong with it.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"labels\.csv is empty: a line is path,label or path,label,split"),
        (b"\n\n", "is empty"),
        (b"path,label\n", "there are no lines below the header"),
        (b"\xff\xfep\0", r"labels\.csv is no UTF-8 text \(at byte 0\)"),
        ("a.png", "has 1 cells in line 1"),
        ("a.png,b,train,x\n", "has 4 cells in line 1"),
        ("name,breed\na.png,cat", "begins, in line 1, with 'name', which is neither an image by"),
        (
            "a.png,cat\nb.png\nc.png,\n,dog",
            "line 2 has no label; line 3 has no label; line 4 has no p",
        ),
        ("a.png,cat\n\n./a.png,dog", "lines 1 and 3 both name a.png"),
        ("a.png,cat,train\nb.png,dog,dev", "line 2 has the split 'dev', not train, val or test"),
        ("a.png,cat,train\nb.png,dog", "line 2 has the split ''"),
        ('a.png,"cat\nb.png,dog', "cannot be read at line 2: unexpected end"),
        ("photos/0.png,cat\nphotos/1.png,cat", "has only one class, 'cat'"),
        ("photos/0.png,cat,test\nphotos/1.png,dog,val", "has no line of the split train"),
        (
            "photos/0.png,cat,train\nphotos/1.png,dog,train\nphotos/2.png,emu,test",
            r"has the class 'emu' in test \(line 3\) but not in train",
        ),
        ("\n".join(f"{i}.png," for i in range(30)), "line 10 has no label; and 20 more"),
        ("photos/0.png,a\nphotos/1.png,b", "0.2 of its 2 images is no image to hold out"),
    ],
)
def test_unfit_tables(tmp_path, content, message):
    path = write(tmp_path / "x", content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        source.read(FOLDER, path)


def test_null_characters_and_huge_cells(tmp_path):
    for content in (b"a\0.png,cat\nb.png,dog", b"a.png," + b"x" * 200_000):
        with pytest.raises(UserError):
            source.read(FOLDER, write(tmp_path / "x", content))


def test_there_is_no_such_csv(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*none\.csv; name one with --config"):
        source.read(FOLDER, tmp_path / "none.csv")
    folder = write_folder(tmp_path / "odd.csv", classes("cat dog"))  # A folder all the same.
    assert source.read(FOLDER, folder).class_names == ("cat", "dog")


def test_numbers_of_lines_count_line_breaks_in_cells():
    content = b'path,label\n"a\nb.png",cat\nc.png,dog\n'
    assert [row.line for row in csv_table.parse(content, "x")] == [3, 4]
