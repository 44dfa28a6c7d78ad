import shutil
import time

import huggingface_hub
import pytest
from huggingface_hub import constants
from tiny_clips import VIT, golden_weights

from vp_jax import backbones
from vp_jax.backbones.weights import files as weight_files
from vp_jax.backbones.weights import hub
from vp_jax.errors import UserError

REPO = "owner/name"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def _snapshot(cache, repo=REPO):
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = cache / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    return folder / "snapshots" / commit


def test_offline_and_not_in_the_cache_names_file_command_and_setting(cache):
    started = time.time()
    with pytest.raises(UserError) as caught:
        backbones.load("clip_vit_b32")
    assert time.time() - started < 10
    repo = "timm/vit_base_patch32_clip_224.openai"
    for part in (
        f"open_clip_model.safetensors of {repo} is not in the Hugging Face cache ({cache})",
        f"hf download {repo} open_clip_model.safetensors tokenizer.json",
        "--config.backbone.weights=/path/to/folder",
        'weights="/path/to/folder"',
    ):
        assert part in str(caught.value)


def test_cached_files_load_offline(cache):
    snapshot = _snapshot(cache)
    shutil.copy(golden_weights("vit_openai"), snapshot / "open_clip_model.safetensors")
    assert weight_files.find(REPO) == snapshot / "open_clip_model.safetensors"
    backbone = backbones.load("mine", REPO, size=VIT)
    with pytest.raises(UserError, match=r"without a tokenizer. Put tokenizer.json, or vocab.json"):
        backbone.tokenizer(["a cat"])


def test_second_name_is_tried(cache):
    snapshot = _snapshot(cache)
    shutil.copy(golden_weights("vit_hf"), snapshot / "model.safetensors")
    assert weight_files.find(REPO) == snapshot / "model.safetensors"


class FakeHub:
    """Stands for the network: a repository of files, downloaded into one folder."""

    def __init__(self, folder, names, monkeypatch):
        self.folder, self.names, self.downloads = folder, names, []
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: self)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", self.download)

    def model_info(self, repo, timeout):
        assert repo == REPO and timeout <= 15
        files = [type("File", (), {"rfilename": name}) for name in self.names]
        return type("Info", (), {"siblings": files})

    def download(self, repo, name):
        self.downloads.append(name)
        return str(self.folder / name)


def test_download_takes_weights_tokenizer_and_configs(cache, tmp_path, monkeypatch):
    names = ["model.safetensors", "open_clip_model.safetensors", "tokenizer.json", "README.md"]
    fake = FakeHub(tmp_path, [*names, "open_clip_config.json"], monkeypatch)
    assert hub.find(REPO) == tmp_path / "open_clip_model.safetensors"
    assert sorted(fake.downloads) == [
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "tokenizer.json",
    ]


def test_repository_without_safetensors(cache, tmp_path, monkeypatch):
    FakeHub(tmp_path, ["pytorch_model.bin", "config.json"], monkeypatch)
    with pytest.raises(UserError, match=r"neither of .*weight files are: pytorch_model.bin"):
        hub.find(REPO)
