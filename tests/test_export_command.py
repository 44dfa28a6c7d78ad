"""`python -m vp_jax.export` as users call it."""

import ast

import pytest
from absl import flags

from vp_jax import export
from vp_jax.backbones.weights import hub
from vp_jax.errors import UserError
from vp_jax.exports.formats import FORMATS
from vp_jax.exports.wanted import Wanted

for flag in list(flags.FLAGS.flags_by_module_dict()[export.__name__]):
    delattr(flags.FLAGS, flag.name)  # another test imports another command


def test_every_format_has_a_writer_and_flags_name_formats():
    assert FORMATS.keys() == export.DEFAULT_NAMES.keys()
    assert {x for formats in export.USED_BY.values() for x in formats} <= FORMATS.keys()
    assert set(export.FOLDERS) < FORMATS.keys()


@pytest.mark.parametrize(("text", "size"), [(None, None), ("48x64", (48, 64)), ("1x1", (1, 1))])
def test_sizes(text, size):
    assert export._size(text) == size


@pytest.mark.parametrize("text", ["", "48", "48x", "0x5", "-1x5", "48X64", "4.8x6", "1x2x3", "x"])
def test_sizes_that_are_none(text):
    with pytest.raises(UserError, match="give HEIGHTxWIDTH in pixels"):
        export._size(text)


def test_where_things_are_written(tmp_path):
    (tmp_path / "b.safetensors").touch()
    assert Wanted(str(tmp_path)).beside("x.png") == tmp_path / "x.png"
    assert Wanted(str(tmp_path / "b.safetensors")).beside("x.png") == tmp_path / "x.png"
    assert str(Wanted("owner/name").beside("x.png")) == "x.png"
    bundle = tmp_path / "b.safetensors"
    for to, out, place, words in (
        ("hub", tmp_path, tmp_path, "the run's own folder"),
        ("hub", bundle, tmp_path, "writes a folder"),
        ("png", tmp_path, tmp_path, "writes a file"),
        ("png", bundle, bundle, "the bundle itself"),
    ):
        with pytest.raises(UserError, match=words):
            export._check_out(to, out, place)
    export._check_out("bundle", bundle, bundle)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("owner/name", True),
        ("me-1/my.run_2", True),
        ("runs/a/b", False),
        ("./runs", False),
        ("/runs", False),
        ("~/runs", False),
        ("runs", False),
        ("runs/model.safetensors", False),
        ("", False),
    ],
)
def test_what_reads_like_a_repository(name, is_one):
    assert hub.is_repository(name) == is_one


@pytest.mark.slow(seconds=15)
def test_mistakes_are_one_sentence(python, tmp_path):
    for more, words in (
        ((), "no run given: add --workdir=runs/NAME"),
        ((f"--workdir={tmp_path}", "--push", "--to=hub"), "--push needs --repo=OWNER/NAME"),
        ((f"--workdir={tmp_path}", "--to=png", "--license=mit"), "--license is for --to=bundle"),
        ((f"--workdir={tmp_path}", "--to=onnx", "--image_size=big"), "give HEIGHTxWIDTH"),
        ((f"--workdir={tmp_path / 'none'}",), "none"),
    ):
        done = python("-m", "vp_jax.export", *more)
        assert done.returncode == 2 and words in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 2
    assert not any(tmp_path.iterdir())


def test_help_comes_without_jax():
    """The module itself imports only what flags need."""
    tree = ast.parse(open(export.__file__).read())
    top = [x for x in tree.body if isinstance(x, ast.ImportFrom)]
    assert {x.module for x in top} == {
        *("__future__", "collections.abc", "absl", "vp_jax", "vp_jax.errors", "vp_jax.host")
    }
