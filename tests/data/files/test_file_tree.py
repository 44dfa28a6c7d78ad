"""Folders and archives list and read the same files; damaged ones are refused."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import io
import multiprocessing
import os
import pickle
import socket
import tarfile
import tempfile
import time
import tracemalloc
import zipfile

import cloudpickle
import fake_files
import pytest

from vp_jax.data.files.file_tree import FileTree, open_tree
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
    "@eaDir/1.png": b"no",
    "$RECYCLE.BIN/1.png": b"no",
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
    with pytest.raises(UserError, match=r"a/1\.png in .*/x cannot be read .it is not there"):
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
    with pytest.raises(UserError, match=r"b in .*x\.zip cannot be read .*checksum"):
        tree.read("b")

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"A")
    content = bytearray(path.read_bytes())
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + offset] |= 1  # The flag of encryption.
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a in .*x\.zip cannot be read .*encrypted"):
        open_tree(path).read("a")


# Several threads and processes.

MANY = {f"{i % 7}/{i}.png": bytes([i % 251]) * (i + 1) for i in range(300)}


def read_all(content: bytes) -> int:
    """Reads the files of a pickled tree; how many of them are wrong."""
    read = pickle.loads(content)
    return sum(read(name) != MANY[name] for name in MANY)


@pytest.mark.parametrize("name", ["x", *ARCHIVES])
def test_threads(tmp_path, name):
    tree = open_tree(write(tmp_path / name, MANY))
    names = [name for name in MANY for _ in range(5)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for name, content in zip(names, pool.map(tree.read, names), strict=True):
            assert content == MANY[name]


@pytest.mark.parametrize("name", ["x", *ARCHIVES])
def test_pickling_keeps_no_handle(tmp_path, name):
    tree = open_tree(write(tmp_path / name, MANY))
    fresh, used = cloudpickle.dumps(tree.read), None
    tree.read("0/0.png")
    used = cloudpickle.dumps(tree.read)
    for content in (fresh, used):
        assert read_all(content) == 0
        assert isinstance(pickle.loads(cloudpickle.dumps(tree)), FileTree)


@pytest.mark.slow
def test_processes(tmp_path):
    trees = [open_tree(write(tmp_path / name, MANY)) for name in ("x", *ARCHIVES)]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        wrong = [pool.submit(read_all, cloudpickle.dumps(tree.read)) for tree in trees]
        assert [future.result() for future in wrong] == [0] * len(trees)


def open_files():
    """Descriptors of this process and their files; other tests' may close at any time."""
    found = set()
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # that of the listing itself is closed
            status = os.fstat(number)
            found.add((number, status.st_dev, status.st_ino))
    return found


@pytest.mark.parametrize("name", ["x", *ARCHIVES])
def test_no_file_stays_open(tmp_path, name):
    path = write(tmp_path / name, MANY)
    before = open_files()
    tree = open_tree(path)
    assert read_all(pickle.dumps(tree.read)) == 0
    for missing in ("no.png", "0"):
        with pytest.raises(UserError):
            tree.read(missing)
    assert len(open_files() - before) <= 1
    del tree
    gc.collect()
    assert open_files() <= before


# Memory and disk.


def large_tar(path):
    """A tar of 40 files of a megabyte each that compresses well."""
    content = bytes(range(256)) * 4096
    return fake_files.write_archive(path, {f"a/{i}.png": content for i in range(40)})


def test_a_compressed_tar_file_takes_disk_and_not_memory(tmp_path):
    path = large_tar(tmp_path / "x.tar.gz")
    tracemalloc.start()
    tree = open_tree(path)
    tree.read("a/7.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


def test_one_copy_is_shared_by_processes(tmp_path, monkeypatch):
    """The copy of the first process is found under /proc; where it is gone another is made."""
    tree = open_tree(large_tar(tmp_path / "x.tar.gz"))
    content = tree.read("a/7.png")
    pickled = pickle.dumps(tree.read)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", None)  # Would fail.
        copy = pickle.loads(pickled)
        assert copy("a/7.png") == content
    again = pickle.dumps(copy)
    del copy, tree
    gc.collect()
    for number in range(20):  # Other files take the numbers of those that were closed.
        (tmp_path / str(number)).write_bytes(b"x" * 100)
    others = [open(tmp_path / str(number), "rb") for number in range(20)]
    for pickled_ in (pickled, again):
        assert pickle.loads(pickled_)("a/7.png") == content
    for file in others:
        file.close()


def test_no_space_to_decompress(tmp_path, small_disk, monkeypatch):
    path = large_tar(tmp_path / "x.tar.gz")
    with small_disk("3m") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        message = rf"the disk is full: .*x\.tar\.gz .* into {disk}.*TMPDIR"
        with pytest.raises(UserError, match=message):
            open_tree(path)
        monkeypatch.undo()
        gc.collect()


def test_a_member_larger_than_it_says(tmp_path):
    """What it says is all the memory that is taken."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(50_000_000))
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02") + 24
    content[entry : entry + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    tree = open_tree(path)
    tracemalloc.start()
    with pytest.raises(UserError, match="a in .* cannot be read .*checksum is wrong"):
        tree.read("a")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e6


# Kinds of files.


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip_methods(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        for name, content in MANY.items():
            archive.writestr(name, content)
    tree = open_tree(tmp_path / "x.zip")
    assert read_all(pickle.dumps(tree.read)) == 0


def test_a_zip_file_behind_something_else(tmp_path):
    """Programs that unpack themselves are zip files with a beginning of their own."""
    content = write(tmp_path / "x.zip", MANY).read_bytes()
    (tmp_path / "y.zip").write_bytes(b"PK" + bytes(998) + content)
    assert read_all(pickle.dumps(open_tree(tmp_path / "y.zip").read)) == 0


def test_a_zip_method_that_is_not_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"A")
    with pytest.raises(UserError, match=r"a in .* \(it is compressed by zip's method 14; use def"):
        open_tree(tmp_path / "x.zip").read("a")


def test_links_in_tar_files(tmp_path):
    def link(name, target, kind=tarfile.SYMTYPE):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        return info

    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("a/deep/one")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"one"))
        archive.addfile(link("a/up", "../a/./deep/one"))
        archive.addfile(link("b/twice", "../a/up"))
        archive.addfile(link("b/hard", "a/deep/one", tarfile.LNKTYPE))
        archive.addfile(link("b/circle", "circle"))
        archive.addfile(link("b/folder", "../a"))
        archive.addfile(link("b/none", "none"))
    tree = open_tree(tmp_path / "x.tar")
    for name in ("a/up", "b/twice", "b/hard"):
        assert tree.read(name) == b"one"
    for name in ("b/circle", "b/folder", "b/none"):
        with pytest.raises(UserError, match=f"{name} in .* cannot be read .it is a link to"):
            tree.read(name)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    root = write(tmp_path / "x", {"a/1.png": b"1"})
    os.mkfifo(root / "a/pipe.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(root / "a/socket.png"))
    tree = open_tree(root)
    before = open_files()
    for name in ("a/pipe.png", "a/socket.png", "a", "a/nul\0.png"):
        with pytest.raises(UserError, match="cannot be read"):
            tree.read(name)
    assert open_files() <= before
    server.close()


def test_files_too_large_for_images(tmp_path):
    root = write(tmp_path / "x", {"a/1.png": b"1"})
    os.truncate(root / "a/1.png", 5 << 30)  # Takes no space.
    with pytest.raises(UserError, match=r"it is 5,368,709,120 bytes long, too long for an image"):
        open_tree(root).read("a/1.png")


# Fingerprints.


@pytest.mark.parametrize("name", ["x", "x.zip", "x.tar.gz"])
def test_fingerprints(tmp_path, name):
    path = write(tmp_path / name)
    first = open_tree(path).fingerprint(SEEN)
    assert first == open_tree(path).fingerprint(reversed(SEEN)) and len(first) == 16
    changed = path / "a/1.png" if path.is_dir() else path
    os.utime(changed, ns=(0, 5))
    second = open_tree(path).fingerprint(SEEN)
    changed.write_bytes(changed.read_bytes()[:-1] if path.is_dir() else changed.read_bytes())
    os.utime(changed, ns=(0, 5))
    third = open_tree(path).fingerprint(SEEN)
    assert len({first, second, third}) == (3 if path.is_dir() else 2)
    assert third != open_tree(path).fingerprint(SEEN[1:])


def test_fingerprints_of_links_are_those_of_their_targets(tmp_path):
    root = write(tmp_path / "x", {"a/1.png": b"1"})
    target = tmp_path / "target"
    target.write_bytes(b"1")
    (root / "a/2.png").symlink_to(target)
    (root / "a/3.png").symlink_to("nowhere")
    tree = open_tree(root)
    target.write_bytes(b"22")
    assert open_tree(root).fingerprint(tree.files) != tree.fingerprint(tree.files)
    assert tree.stamps["a/3.png"] == (-1, -1)


def test_listing_ten_thousand_files_is_fast(tmp_path):
    for folder in range(10):
        (tmp_path / f"x/{folder}").mkdir(parents=True)
        for number in range(1000):
            (tmp_path / f"x/{folder}/{number}.png").touch()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        tree = open_tree(tmp_path / "x")
        tree.fingerprint(tree.files)
        times.append(time.perf_counter() - start)
    assert len(tree.files) == 10_000 and min(times) < 1
