"""Folders for the Hub: what is in them, sent to a server on this machine and loaded from it."""

import json
import os
import pathlib

import fake_hub
import numpy as np
import own_backbone
import pytest
from own_backbone import quick

import vp_jax
from vp_jax import runs
from vp_jax.errors import UserError
from vp_jax.exports import hub
from vp_jax.exports.wanted import Wanted
from vp_jax.records import bundle_file

PLACE = "/{repo_id}/resolve/{revision}/{filename}"
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the embedded CLIP's size would take long: it has a model of its own."""
    folder = tmp_path_factory.mktemp("hub") / "run"
    runs.train(quick(**{"task.shots": 4, "epochs": 1}), folder, own_backbone.make())
    return folder


@pytest.fixture
def bundled(run, monkeypatch):
    """Exports of runs with a backbone of one's own are made in Python."""
    from vp_jax.assembly.bundle import make_bundle

    def bundle(self):
        if self.place.is_file():
            return bundle_file.read(self.place)._replace(license=self.license)
        return make_bundle(self.place, backbone=own_backbone.make(), license=self.license)

    monkeypatch.setattr(Wanted, "bundle", bundle)
    monkeypatch.setattr(
        Wanted, "classifier", lambda self: vp_jax.load(self.place, backbone=own_backbone.make())
    )


@pytest.fixture
def endpoint(tmp_path, monkeypatch):
    """A Hub on this machine, and a user who is logged in there by the environment."""
    from huggingface_hub import constants

    with fake_hub.serve() as server:
        for name, value in (
            ("ENDPOINT", server.address),
            (
                "HUGGINGFACE_CO_URL_TEMPLATE",
                server.address + "/{repo_id}/resolve/{revision}/{filename}",
            ),
            ("HF_HUB_OFFLINE", False),
            ("HF_HUB_CACHE", str(tmp_path / "cache")),
            ("HF_HUB_DISABLE_XET", True),
        ):
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
        yield server


def test_the_folder_has_all(run, bundled, tmp_path):
    said = hub.write(Wanted(str(run), license="mit"), tmp_path / "out")
    names = {"bundle.safetensors", "README.md", "prompt.png", "examples.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    for name in ("prompt.png", "examples.png"):
        assert (tmp_path / "out" / name).read_bytes() == (run / name).read_bytes()
    assert "--examples=False" in said
    loaded = vp_jax.load(tmp_path / "out" / "bundle.safetensors", backbone=own_backbone.make())
    expected = vp_jax.load(run, backbone=own_backbone.make()).probabilities(IMAGES)
    np.testing.assert_array_equal(loaded.probabilities(IMAGES), expected)
    said = hub.write(Wanted(str(run), examples=False), tmp_path / "out")
    assert not (tmp_path / "out" / "examples.png").exists() and "examples" not in said
    card = (tmp_path / "out" / "README.md").read_text()
    assert "examples.png" not in card and "None was stated" in card


def test_of_a_bundle_the_prompt_is_drawn(run, bundled, tmp_path):
    hub.write(Wanted(str(run)), tmp_path / "one")
    hub.write(Wanted(str(tmp_path / "one" / "bundle.safetensors")), tmp_path / "two")
    assert (tmp_path / "two" / "prompt.png").exists()
    assert not (tmp_path / "two" / "examples.png").exists()


def test_it_is_sent_and_loaded_again(run, bundled, endpoint, tmp_path, capfd):
    out = tmp_path / "out"
    out.mkdir()
    (out / "private_notes.txt").write_text("nobody's business")
    wanted = Wanted(str(run), repository="me/mine", push=True)
    said = hub.write(wanted, out)
    assert "sent to" in said and "me/mine" in said
    sent = endpoint.files["me/mine"]
    assert sent.keys() == {"bundle.safetensors", "README.md", "prompt.png", "examples.png"}
    assert all((out / name).read_bytes() == content for name, content in sent.items())
    assert 'vp_jax.load("me/mine")' not in sent["README.md"].decode()  # its backbone is own
    loaded = vp_jax.load("me/mine", backbone=own_backbone.make())
    expected = vp_jax.load(run, backbone=own_backbone.make()).probabilities(IMAGES)
    np.testing.assert_array_equal(loaded.probabilities(IMAGES), expected)
    assert endpoint.authorised
    _assert_no_token(tmp_path, capfd.readouterr(), said)


def _assert_no_token(folder, printed, said):
    """The token is nowhere but in the requests."""
    secret = fake_hub.TOKEN
    assert secret not in said + printed.out + printed.err
    for place, _, names in os.walk(folder):
        for name in names:
            assert secret.encode() not in (pathlib.Path(place) / name).read_bytes(), name


def test_what_the_hub_refuses_is_a_sentence(run, bundled, endpoint, tmp_path, capfd):
    endpoint.refuses = True
    with pytest.raises(UserError, match="cannot be sent to me/mine") as error:
        hub.write(Wanted(str(run), repository="me/mine", push=True), tmp_path / "out")
    assert (tmp_path / "out" / "bundle.safetensors").exists()
    _assert_no_token(tmp_path, capfd.readouterr(), str(error.value))
    endpoint.refuses = False
    endpoint.files["me/mine"], endpoint.private["me/mine"] = {}, False
    with pytest.raises(UserError, match="already, and public"):
        hub.write(Wanted(str(run), repository="me/mine", push=True, private=True), tmp_path / "out")
    assert not endpoint.files["me/mine"]


def test_what_is_not_there_is_a_sentence(endpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no run or bundle me/none on this machine.*has none"):
        vp_jax.load("me/none")
    endpoint.files["me/empty"], endpoint.private["me/empty"] = {}, False
    with pytest.raises(UserError, match="it has no bundle.safetensors"):
        vp_jax.load("me/empty")


def test_offline_it_is_what_was_fetched(run, bundled, endpoint, tmp_path, monkeypatch):
    from huggingface_hub import constants

    hub.write(Wanted(str(run), repository="me/mine", push=True), tmp_path / "out")
    first = vp_jax.load("me/mine", backbone=own_backbone.make())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = vp_jax.load("me/mine", backbone=own_backbone.make())
    np.testing.assert_array_equal(again.probabilities(IMAGES), first.probabilities(IMAGES))
    with pytest.raises(UserError, match="cannot be (reached|fetched)"):
        vp_jax.load("me/other")


def test_a_folder_of_that_name_comes_first(run, endpoint, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    assert vp_jax.load("runs/mine", backbone=own_backbone.make()).class_names[3] == "three"
    assert json.loads((run / "config.json").read_text())
