import argparse
import io
import pickle
import shutil
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from tiny_clips import golden_weights

from vp_jax.backbones.weights import files as weight_files
from vp_jax.backbones.weights import npz_files
from vp_jax.errors import UserError

WEIGHTS = golden_weights("vit_openai")


def test_file_and_folder(tmp_path):
    for name in ("mine.safetensors", "model.safetensors", "open_clip_model.safetensors"):
        shutil.copy(WEIGHTS, tmp_path / name)
        assert weight_files.find(tmp_path) == tmp_path / name  # later names go first
        assert weight_files.find(str(tmp_path / "mine.safetensors")).name == "mine.safetensors"


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(WEIGHTS, tmp_path)
    assert weight_files.find(f"~/{WEIGHTS.name}") == tmp_path / WEIGHTS.name


def test_folder_without_weights_says_what_it_looked_for(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError) as caught:
        weight_files.find(tmp_path)
    for part in (str(tmp_path), "open_clip_model.safetensors", ".pt", "In it: notes.txt"):
        assert part in str(caught.value)


def test_several_candidates_and_shards_are_refused(tmp_path):
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"a.safetensors, b.safetensors: name the one"):
        weight_files.find(tmp_path)
    (tmp_path / "model.safetensors.index.json").touch()
    with pytest.raises(UserError, match="in several files"):
        weight_files.find(tmp_path)


@pytest.mark.parametrize(
    "name", ["./w", "../w", "~/none", "/none/w", "w.pt", "a/b.safetensors", "w"]
)
def test_local_path_that_is_not_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="There is no weight file or folder"):
        weight_files.find(name)


def test_path_objects_are_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="There is no weight file or folder"):
        weight_files.find(tmp_path.relative_to(tmp_path) / "owner" / "name")


def test_bfloat16_is_read(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3).astype(ml_dtypes.bfloat16)
    safetensors.numpy.save_file({"x": array}, tmp_path / "x.safetensors")
    read = weight_files.read(tmp_path / "x.safetensors")["x"]
    assert read.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(read.astype(np.float32), array.astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (WEIGHTS.read_bytes()[:-100], "download that broke off"),
        (WEIGHTS.read_bytes()[:50], "download that broke off"),
        (b"<html>404 not found</html>" * 9, "another format"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "Git LFS pointer"),
    ],
    ids=["empty", "cut", "cut in the header", "html", "lfs"],
)
def test_broken_files(content, message, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        weight_files.read(path)
    assert str(path) in str(caught.value)


def test_without_torch_a_torch_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)  # importing it fails
    (tmp_path / "ViT-B-32.pt").write_bytes(b"x")
    with pytest.raises(UserError, match=r"ViT-B-32.pt needs torch.*safetensors"):
        weight_files.read(tmp_path / "ViT-B-32.pt")


def _npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _header(shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header


def _zip(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


class TestNpz:
    def test_names_shapes_and_dtypes(self, tmp_path):
        arrays = {
            "Transformer/encoder_norm/scale": np.arange(6, dtype=np.float16).reshape(2, 3),
            "scalar": np.float32(3),
        }
        np.savez(tmp_path / "plain.npz", **arrays)
        np.savez_compressed(tmp_path / "packed.npz", **arrays)
        for name in ("plain", "packed"):
            path = weight_files.find(tmp_path / f"{name}.npz")
            read = weight_files.read(path)
            assert read.keys() == arrays.keys()
            for key, array in arrays.items():
                np.testing.assert_array_equal(read[key], array)
                assert read[key].dtype == array.dtype

    def test_it_is_found_in_a_folder(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        np.savez(tmp_path / "ViT-B_16.npz", x=np.zeros(1))
        assert weight_files.find(tmp_path).name == "ViT-B_16.npz"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (_npz(x=np.array([{"a": 1}, print], object)), "Object arrays cannot be loaded"),
            (_npz(x=np.arange(999.0))[:-50], "no zip archive"),
            (_npz(x=np.arange(999.0)).replace(b"\0\0\0\x40", b"\0\0\0\x41"), "CRC"),
            (b"\1\2\3" * 99, "not a zip file"),
            (_zip(**{"x.npy": b"not an array"}), "other things in it: x"),
            (_zip(**{"x.npy": _header("(1000000000000,)")}), "not the bytes of an array of shape"),
            (_zip(**{"x.npy": _header("(-1,)")}), "not the bytes of an array of shape"),
            (_zip(**{"x.npy": _header("(1,)").replace(b"\1\0", b"\7\0")}), "version"),
        ],
        ids=["empty", "objects", "cut", "changed", "unknown", "no arrays", "huge", "less", "new"],
    )
    def test_broken(self, content, message, tmp_path):
        path = tmp_path / "weights.npz"
        path.write_bytes(content)
        with pytest.raises(UserError, match=message) as caught:
            weight_files.read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
        assert "allow_pickle=`" not in str(caught.value)  # numpy's advice to load it unsafely
        assert "fetch it again" in str(caught.value)

    def test_small_files_that_unpack_to_large_arrays_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(npz_files, "_SMALL", 1 << 20)
        np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros(1 << 22, np.uint8))
        with pytest.raises(UserError, match=r"4,194,432 bytes would come out of its [\d,]+\)"):
            weight_files.read(tmp_path / "bomb.npz")

    def test_nothing_is_unpickled(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (tmp_path.joinpath("sprung").touch, ())

        np.savez(tmp_path / "trap.npz", x=np.array([Trap()], object))
        (tmp_path / "bare.npz").write_bytes(pickle.dumps(Trap()))
        for name in ("trap", "bare"):
            with pytest.raises(UserError, match="can run code"):
                weight_files.read(tmp_path / f"{name}.npz")
        assert not (tmp_path / "sprung").exists()


class TestTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    def test_state_dict(self, torch, tmp_path):
        tensors = safetensors.numpy.load_file(WEIGHTS)
        state = {name: torch.tensor(x) for name, x in tensors.items()}
        state["logit_scale"] = state["logit_scale"].bfloat16()
        torch.save(state, tmp_path / "plain.pt")
        read = weight_files.read(tmp_path / "plain.pt")
        assert read.keys() == tensors.keys()
        np.testing.assert_array_equal(read["visual.proj"], tensors["visual.proj"])
        assert read["visual.proj"].dtype == np.float16
        assert read["logit_scale"].dtype == np.float32

    @pytest.mark.filterwarnings("ignore")  # of torch: TorchScript is deprecated
    def test_torchscript(self, torch, tmp_path):
        module = torch.nn.Sequential(torch.nn.Linear(2, 3))
        torch.jit.script(module).save(str(tmp_path / "script.pt"))
        read = weight_files.read(tmp_path / "script.pt")
        assert sorted(read) == ["0.bias", "0.weight"]
        np.testing.assert_array_equal(read["0.weight"], module[0].weight.detach().numpy())

    def test_pickled_objects_are_refused(self, torch, tmp_path):
        import pathlib

        torch.save({"x": pathlib.Path("x")}, tmp_path / "objects.pt")
        with pytest.raises(UserError, match="plain tensors"):
            weight_files.read(tmp_path / "objects.pt")
        torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pt")
        with pytest.raises(
            UserError, match=r"torch\.nn\.modules\.linear\.Linear, which is refused"
        ):
            weight_files.read(tmp_path / "model.pt")
        torch.save([torch.zeros(1)], tmp_path / "list.pt")
        with pytest.raises(UserError, match="not a state dict.*it holds a list"):
            weight_files.read(tmp_path / "list.pt")
        torch.save({"x": torch.zeros(1).to_sparse()}, tmp_path / "sparse.pt")
        with pytest.raises(UserError, match=r"not plain numbers: x \(torch.float32, torch.sparse"):
            weight_files.read(tmp_path / "sparse.pt")

    @pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".th", ".ckpt", ".bin", ".safetensors"])
    @pytest.mark.parametrize("old", [False, True])
    def test_checkpoints_of_training_programs(self, torch, suffix, old, tmp_path, capsys):
        """Whatever they are called, and in torch's old format too."""
        state = {"module.x": torch.arange(3.0)}
        saved = {
            "state_dict": state,
            "optimizer": {"state": {0: {"m": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
            "args": argparse.Namespace(lr=0.1),
            "best_prec1": torch.tensor(91.2),
            "epoch": 200,
        }
        path = tmp_path / f"model{suffix}"
        torch.save(saved, path, _use_new_zipfile_serialization=not old)
        assert weight_files.find(path) == path
        if suffix != ".safetensors":
            assert weight_files.find(tmp_path) == path
        read = weight_files.read(path)
        np.testing.assert_array_equal(read.pop("module.x"), [0, 1, 2])
        assert not read
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "taken from 'state_dict'; left out is" in said
        for name in ("optimizer", "args", "best_prec1", "epoch"):
            assert name in said

    def test_a_length_that_a_script_claims_takes_no_memory(self, torch, tmp_path):
        claim = b"\x80\x02X\xff\xff\xff\x7f"  # a text of 2 GiB
        members = {"m/data.pkl": claim, "m/constants.pkl": b"\x80\x02).", "m/version": b"3"}
        (tmp_path / "script.pt").write_bytes(_zip(**members))
        with pytest.raises(UserError, match="not a whole torch file.*expected 2147483647 bytes"):
            weight_files.read(tmp_path / "script.pt")

    def test_broken(self, torch, tmp_path):
        torch.save({"x": torch.zeros(99)}, tmp_path / "whole.pt")
        (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:-200])
        with pytest.raises(UserError, match="cut.pt is not a whole torch file"):
            weight_files.read(tmp_path / "cut.pt")
