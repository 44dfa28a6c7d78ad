"""Scenic's modules against this library's, on the same weights; skips where scenic is not.

PYTHONPATH=/path/to/a/checkout/of/google-research/scenic pytest tests/backbones/clip/test_scenic.py
"""

import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_clips import GOLDEN, golden_weights

from vp_jax import backbones
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip import scenic as scenic_clip
from vp_jax.backbones.clip.scenic_weights import table
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.weights.table import convert, needed_shapes, to_state_dict
from vp_jax.errors import UserError

TOLERANCE = 1e-5


@pytest.fixture
def scenic():
    return pytest.importorskip(scenic_clip.MODULE, reason="google-research/scenic is not installed")


@pytest.fixture
def no_scenic():
    """A process that has not imported scenic yet; what the test imports is forgotten after it."""

    def forget():
        names = [name for name in sys.modules if name.split(".")[0] == "scenic"]
        return {name: sys.modules.pop(name) for name in names}

    real = forget()
    yield
    forget()
    sys.modules.update(real)


@pytest.mark.parametrize("name", GOLDEN)
def test_both_sources_agree(name, scenic, tmp_path):
    size = GOLDEN[name][0]
    path = shutil.copy(golden_weights(name), tmp_path)
    ours = backbones.load("mine", path, size=size)
    theirs = backbones.load("mine", path, size=size, source="scenic")
    assert theirs.fingerprint == ours.fingerprint
    assert theirs.logit_scale == ours.logit_scale
    assert theirs.params.keys() == ours.params.keys()

    rng = np.random.default_rng(0)
    shape = (3, size.image_size, size.image_size, 3)
    images = jnp.asarray(rng.normal(size=shape), jnp.float32)
    cotangent = jnp.asarray(rng.normal(size=(3, size.embed_dim)), jnp.float32)
    tokens = rng.integers(1, size.vocab_size - 1, size=(3, size.context_length))
    tokens[:, -1] = tokens[0, 4] = size.vocab_size - 1
    tokens[0, 5:] = 0  # behind the end

    def run(backbone):
        @jax.jit
        def both(params, images):
            features, pullback = jax.vjp(lambda x: backbone.apply(params, x), images)
            return features, pullback(cotangent)[0], backbone.encode_text(params, tokens)

        with jax.default_matmul_precision("highest"):
            return both(backbone.params, images)

    for found, expected in zip(run(theirs), run(ours), strict=True):
        assert found.dtype == jnp.float32
        scale = max(1.0, float(np.abs(expected).max()))
        assert np.abs(found - expected).max() <= TOLERANCE * scale


@pytest.mark.parametrize("name", SIZES)
def test_every_name_has_scenics_parameters(name, scenic):
    size = SIZES[name]
    needed = needed_shapes(table(size), clip_params.shapes(size))
    flat = scenic_clip.flat_shapes(*scenic_clip.towers(size), size)[0]
    norms = {path for path in flat if path.endswith("/scale")} - needed.keys()
    assert needed == {path: leaf.shape for path, leaf in flat.items() if path not in norms}
    assert bool(norms) == (size.patch_size is None)


def test_bfloat16_computation_gives_float32_features(scenic, tmp_path):
    path = shutil.copy(golden_weights("vit_openai"), tmp_path)
    size = GOLDEN["vit_openai"][0]
    images = jax.random.normal(jax.random.key(0), (1, 24, 24, 3))
    features = []
    for dtype in (None, jnp.bfloat16):
        model = backbones.load("mine", path, size=size, dtype=dtype, source="scenic")
        features.append(jax.jit(model.apply)(model.params, images))
    assert features[1].dtype == jnp.float32
    assert 0 < np.abs(features[0] - features[1]).max() < 0.1 * np.abs(features[0]).max()


@pytest.mark.parametrize("name", ["vit_openai", "resnet_openai"])
def test_the_table_loses_nothing(name):
    """Needs no scenic: what the table writes, it reads."""
    size = GOLDEN[name][0]
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: rng.normal(size=x.shape).astype(np.float32), clip_params.shapes(size)
    )
    flat = to_state_dict(params, table(size))
    again = convert(flat, table(size), clip_params.shapes(size), file="f", model="m")
    jax.tree.map(np.testing.assert_array_equal, again, params)


@pytest.mark.usefixtures("no_scenic")
def test_without_scenic_the_error_says_how_to_install_it():
    sys.modules["scenic"] = None  # as if it were not there
    with pytest.raises(UserError) as caught:
        backbones.load("clip_tiny", source="scenic")
    assert "scenic is not installed" in str(caught.value)
    assert "pip install git+https://github.com/google-research/scenic" in str(caught.value)
    assert "registry's package scenic, which is a different project" in str(caught.value)


@pytest.mark.usefixtures("no_scenic")
def test_another_package_of_that_name_is_recognised(monkeypatch, tmp_path):
    (tmp_path / "scenic").mkdir()
    (tmp_path / "scenic" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="not google-research's") as caught:
        backbones.load("clip_tiny", source="scenic")
    assert str(tmp_path / "scenic") in str(caught.value)


@pytest.mark.usefixtures("no_scenic")
def test_what_scenic_lacks_is_named(monkeypatch, tmp_path):
    folder = tmp_path / "scenic" / "projects" / "baselines" / "clip"
    folder.mkdir(parents=True)
    for package in (folder, *folder.parents[:3]):
        (package / "__init__.py").touch()
    (folder / "layers.py").write_text("import a_package_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="No module named 'a_package_that_is_not_there'"):
        backbones.load("clip_tiny", source="scenic")


@pytest.mark.parametrize("name", ["vit_b16", "bit_m_r50x1"])
def test_classifiers_are_refused(name):
    with pytest.raises(UserError, match=f"TensorFlow.*load {name} with source="):
        backbones.load(name, source="scenic")


def test_unknown_source():
    with pytest.raises(UserError, match="unknown source of backbones 'senic'; did you mean"):
        backbones.load("clip_tiny", source="senic")
