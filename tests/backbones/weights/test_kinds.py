"""Files are told apart by their content, and named as what they are."""

import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from vp_jax import backbones
from vp_jax.backbones.weights import files as weight_files
from vp_jax.backbones.weights.kinds import kind
from vp_jax.errors import UserError

TORCH_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x02M\xe9\x03." * 9


def _zip(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 99)
    return file.getvalue()


def _tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    return file.getvalue()


def _npz():
    file = io.BytesIO()
    np.savez(file, x=np.zeros(3))
    return file.getvalue()


NAMES = ("w.safetensors", "w.pth", "w.pth.tar", "w.npz", "w.ckpt", "w")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (safetensors.numpy.save({"x": np.zeros(3)}), "safetensors"),
        (_npz(), "npz"),
        (_zip("archive/data.pkl", "archive/data/0"), "torch"),
        (TORCH_OLD, "torch"),
        (_zip("m/data.pkl", "m/constants.pkl", "m/code/x.py"), "torchscript"),
        (b"\x07\xff\xfe\x80" * 99, None),
    ],
    ids=["safetensors", "npz", "torch", "torch's old format", "torchscript", "unknown"],
)
def test_what_is_read(name, content, expected, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert kind(tmp_path / name) == expected


OTHERS = {
    "a web page": b"\n <!DOCTYPE html><html><body>404</body></html>" * 9,
    "a web page (HTML)": b"<html>404 not found</html>" * 9,
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "begins with 'Entry not found'": b"Entry not found",
    "begins with '404: Not Found'": b"404: Not Found",
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(99),
    "GGUF": b"GGUF\3\0\0\0" + bytes(99),
    "array of NumPy": b"\x93NUMPY" + bytes(99),
    "gzip": b"\x1f\x8b\x08\0" + b"\xff\0" * 99,
    "xz": b"\xfd7zXZ\0" + b"\xff\0" * 99,
    "tar archive": _tar(),
    "Python pickle that torch did not write": pickle.dumps({"x": 1}),
    "several files": json.dumps({"metadata": {}, "weight_map": {"a": "b"}}).encode(),
    "JSON": b'{"model_type": "vit"}',
    "Keras": _zip("metadata.json", "config.json", "model.weights.h5"),
    "zip archive of a/b.bin, c.txt": _zip("a/b.bin", "c.txt"),
    "ONNX": b"\x08\x07\x12\x07pytorch\x1a\x051.9.0" + bytes(99),
    "TensorFlow": b"\x08\x01\x12\xa4\x9d" + bytes(99),
    "TensorFlow Lite": b"\x1c\0\0\0TFL3" + bytes(99),
    "TensorFlow checkpoint": bytes(range(1, 99)) + bytes.fromhex("57fb808b247547db"),
    "msgpack": b"\x82\xa6params\x83\xa5dense" + b"\xc4\xff" * 99,
    "msgpack file": b"\xde\0\x20\xa6params\x83\xa5dense" + b"\xc4\xff" * 99,
    "zeros only": bytes(4096),
    "picture": b"\x89PNG\r\n\x1a\n" + b"\xff\0" * 99,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", OTHERS)
def test_other_files_are_named_and_never_called_damaged(words, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(OTHERS[words])
    with pytest.raises(UserError) as caught:
        weight_files.read(path)
    message = str(caught.value)
    assert words in message and str(path) in message and "\n" not in message
    for wrong in ("delete", "damaged", "broke off", "not a whole"):
        assert wrong not in message
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_npz()[:-30], "not a whole .npz file"),
        (_zip("archive/data.pkl", "archive/data/0")[:-30], "not a whole torch file"),
        (safetensors.numpy.save({"x": np.zeros(99)})[:-8], "not a whole safetensors file"),
        ((1 << 60).to_bytes(8, "little") + b"{" + bytes(99), "not a whole safetensors file"),
        ((1 << 30).to_bytes(8, "little") + b"{" + bytes(99), "not a whole safetensors file"),
    ],
    ids=["npz", "torch", "safetensors", "a header of 2**60 bytes", "a header of 2**30 bytes"],
)
def test_files_without_their_end(content, words, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=f"{words}.* fetch it again"):
        weight_files.read(tmp_path / "w.safetensors")


def test_a_part_of_a_tensorflow_checkpoint_by_its_name(tmp_path):
    for name in ("model.ckpt-7.data-00000-of-00001", "model.ckpt-7.index"):
        (tmp_path / name).write_bytes(b"\xfe\xff\x80" * 99)
    with pytest.raises(UserError, match="a part of a TensorFlow checkpoint"):
        weight_files.read(tmp_path / "model.ckpt-7.data-00000-of-00001")
    with pytest.raises(UserError, match="is a checkpoint of TensorFlow"):
        weight_files.find(tmp_path / "model.ckpt-7")
    (tmp_path / "checkpoint").touch()
    with pytest.raises(UserError, match="is a checkpoint of TensorFlow"):
        weight_files.find(tmp_path)


def test_a_file_under_another_name_is_loaded(tmp_path):
    """A download without a suffix, and safetensors in a file called `.bin`: no torch is needed."""
    for name in ("blob", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(safetensors.numpy.save({"x": np.zeros(3)}))
        with pytest.raises(UserError, match="in no layout known for resnet20_cifar"):
            backbones.load("resnet20_cifar", tmp_path / name)
