"""Folders and archives list and read the same files; damaged ones are refused."""

from __future__ import annotations

import io
import tarfile
import zipfile

import fake_files
import pytest

from vp_jax.data.file_tree import open_tree
from vp_jax.errors import UserError

FILES = {
    "b/2.png": b"two",
    "a/1.png": b"one",
    "a/deep/er/3.txt": b"three",
    "README": b"read me",
    "empty/": b"",
    ".hidden": b"no",
    "a/.DS_Store": b"no",
    ".cache/a/1.png": b"no",
    "__MACOSX/a/1.png": b"no",
}
SEEN = ("README", "a/1.png", "a/deep/er/3.txt", "b/2.png")
FOLDERS = {"a", "a/deep", "a/deep/er", "b", "empty"}
ARCHIVES = ("x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz")


def write(path, files=FILES):
    return (fake_files.write_archive if path.suffix else fake_files.write_folder)(path, files)


@pytest.mark.parametrize("name", ["x", *ARCHIVES])
def test_lists_and_reads(tmp_path, name):
    tree = open_tree(write(tmp_path / name))
    assert tree.path == tmp_path / name
    assert tree.files == SEEN and tree.folders == FOLDERS
    for path in reversed(SEEN):
        assert tree.read(path) == FILES[path]
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_content_says_which_archive_it_is(tmp_path, name):
    path = write(tmp_path / name).rename(tmp_path / "download")
    assert open_tree(path).files == SEEN


def test_folders_are_read_when_asked_for(tmp_path):
    root = write(tmp_path / "x")
    tree = open_tree(root)
    (root / "a/1.png").write_bytes(b"new")
    assert tree.read("a/1.png") == b"new"
    (root / "a/1.png").unlink()
    with pytest.raises(UserError, match=r"a/1\.png in .*/x cannot be read .FileNotFoundError"):
        tree.read("a/1.png")


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_odd_paths_are_names_and_write_nothing(tmp_path, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    files = {"../a/1.png": b"1", "/b/2.png": b"2", "./c//3.png": b"3"}
    tree = open_tree(write(inside / name, files))
    assert tree.files == ("../a/1.png", "b/2.png", "c/3.png")
    assert [tree.read(path) for path in tree.files] == [b"1", b"2", b"3"]
    assert [p.name for p in tmp_path.iterdir()] == ["inside"]


def test_the_last_of_two_members_of_one_name(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for content in (b"old", b"new"):
            info = tarfile.TarInfo("./a" if content == b"new" else "a")
            info.size = 3
            archive.addfile(info, io.BytesIO(content))
    assert open_tree(tmp_path / "x.tar").read("a") == b"new"


def test_links(tmp_path):
    root = write(tmp_path / "x")
    (root / "c").symlink_to(root / "b")
    (root / "a/deep/loop").symlink_to(root)
    tree = open_tree(root)
    assert tree.read("c/2.png") == b"two" and len(tree.files) == len(SEEN) + 1

    (root / "a/hard.png").hardlink_to(root / "a/1.png")
    (root / "b/soft.png").symlink_to("2.png")
    (root / "b/outside.png").symlink_to("/etc/hostname")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(root / "a", "a")
        archive.add(root / "b", "b")
    tree = open_tree(tmp_path / "x.tar")
    assert tree.read("a/1.png") == tree.read("a/hard.png") == b"one"
    assert tree.read("b/soft.png") == b"two"
    with pytest.raises(UserError, match=r"b/outside\.png in .* cannot be read"):
        tree.read("b/outside.png")


def test_missing(tmp_path):
    with pytest.raises(
        UserError, match=r"no folder and no archive .*/none; name one with --config"
    ):
        open_tree(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK no zip", b"\x1f\x8bno gzip", b"BZh"])
def test_no_archive(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match=r"x cannot be read .*damaged, or not one of \.zip, \.tar"):
        open_tree(tmp_path / "x")


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_short(tmp_path, name, share):
    files = {f"a/{i}.png": fake_files.picture(i, (32, 32)).tobytes() for i in range(40)}
    path = write(tmp_path / name, files)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="damaged"):
        open_tree(path)


@pytest.mark.parametrize("blocks", [2, 3, 4])
def test_a_tar_file_cut_at_any_block_or_damaged_within(tmp_path, blocks):
    path = write(tmp_path / "x.tar", {f"{i}.png": bytes(range(200)) for i in range(4)})
    content = path.read_bytes()
    path.write_bytes(content[: 512 * blocks])
    with pytest.raises(UserError, match="damaged"):
        open_tree(path)
    path.write_bytes(content[:1024] + b"\x07" * 512 + content[1536:])
    with pytest.raises(UserError, match="after 1 members"):
        open_tree(path)


def test_a_damaged_and_an_encrypted_member_of_a_zip_file(tmp_path):
    path = write(tmp_path / "x.zip", {"a": b"A" * 100, "b": b"B" * 100})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"B" * 100, b"C" * 100))
    tree = open_tree(path)
    assert tree.read("a") == b"A" * 100
    with pytest.raises(UserError, match=r"b in .*x\.zip cannot be read .BadZipFile"):
        tree.read("b")

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"A")
    content = bytearray(path.read_bytes())
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + offset] |= 1  # The flag of encryption.
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a in .*x\.zip cannot be read .*encrypted"):
        open_tree(path).read("a")
