"""One run in all its forms: workdir, bundle, StableHLO, ONNX, NumPy in front of torch."""

import importlib.util
import pathlib

import jax
import numpy as np
import own_backbone
import pytest
import small_clip
from own_backbone import quick

import vp_jax
from vp_jax import runs
from vp_jax.assembly.bundle import make_bundle
from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.exports import onnx_model, stablehlo
from vp_jax.exports.program import make_program
from vp_jax.records import bundle_file

CLIP = {"backbone.name": small_clip.NAME, "task.shots": 4, "epochs": 1}
KINDS = {
    "text": {**CLIP, "head.name": "text", "prompt": "normalize | pad(4)"},
    "prompt,head": {
        **CLIP,
        "head.name": "linear",
        "tune": ("prompt", "head"),
        "optimizer.learning_rate": 0.1,
    },
    "shrink": {**CLIP, "head.name": "text", "prompt": "shrink(24) | pad(4) | clip | normalize"},
    "mapping": {"head.name": "iterative", "task.shots": 4, "epochs": 1},
}
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 40, 56, 3), np.uint8)
EXACT, NEAR, CONVERTED = 1e-6, 1e-5, 1e-4
READER = pathlib.Path(__file__).parents[2] / "docs" / "read_bundle.py"


pytestmark = pytest.mark.slow(seconds=30)


def backbone_of(kind):
    return own_backbone.make() if kind == "mapping" else None


@pytest.fixture(scope="module")
def reader():
    """The reader of the documents."""
    spec = importlib.util.spec_from_file_location("read_bundle", READER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    """A kind, its workdir's classifier and the path of its bundle."""
    folder = tmp_path_factory.mktemp("agreement")
    own = backbone_of(request.param)
    runs.train(quick(**KINDS[request.param]), folder / "run", own)
    bundle_file.write(folder / "bundle", make_bundle(folder / "run", backbone=own))
    return request.param, vp_jax.load(folder / "run", backbone=own), folder / "bundle"


@pytest.fixture(scope="module")
def program(trained):
    return make_program(trained[1])


def prepared(classifier):
    return np.stack([preprocess_one(image, classifier.rule) for image in IMAGES])


def test_the_bundle(trained):
    kind, classifier, path = trained
    again = vp_jax.load(path, backbone=backbone_of(kind))
    assert str(again.prompt) == str(classifier.prompt)
    for expected, found in zip(*map(jax.tree.leaves, (classifier.parts, again.parts)), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert again.predict(list(IMAGES)) == classifier.predict(list(IMAGES))
    np.testing.assert_array_equal(again.probabilities(IMAGES), classifier.probabilities(IMAGES))


def test_stablehlo(trained, program):
    _, classifier, _ = trained
    content = stablehlo.lower(program).serialize()
    found = np.asarray(jax.export.deserialize(content).call(prepared(classifier)))
    expected = classifier.probabilities(IMAGES)
    np.testing.assert_allclose(found, expected, atol=EXACT, rtol=0)
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))


def test_numpy_in_front_of_the_model(trained, reader):
    _, classifier, path = trained
    bundle = reader.read(path)
    seen = reader.prompted(bundle, prepared(classifier) / np.float32(255))
    output = classifier.backbone.apply(classifier.parts["backbone"], seen)
    if bundle["head"]["reads"] == "logits":
        output = classifier.backbone.source_logits(classifier.parts["backbone"], output)
    found = reader.probabilities(bundle, np.asarray(output))
    np.testing.assert_allclose(found, classifier.probabilities(IMAGES), atol=NEAR, rtol=0)


def test_numpy_in_front_of_torch(trained, reader):
    """open_clip's CLIP of the same weights, or the classifier's two products."""
    torch = pytest.importorskip("torch")
    kind, classifier, path = trained
    bundle = reader.read(path)
    seen = torch.tensor(reader.prompted(bundle, prepared(classifier) / np.float32(255)))
    with torch.no_grad():
        output = torch_model(kind, classifier, torch)(seen)
    found = reader.probabilities(bundle, output.numpy())
    expected = classifier.probabilities(IMAGES)
    print(f"{kind}: at most {np.abs(found - expected).max():.1e} from torch")
    np.testing.assert_allclose(found, expected, atol=NEAR, rtol=0)
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))


def torch_model(kind, classifier, torch):
    """From normalised images `[N, S, S, 3]` to features, or to logits of source classes."""
    if kind == "mapping":
        own = classifier.parts["backbone"]["visual"]
        first, second = (torch.tensor(np.asarray(own[name])) for name in ("first", "second"))
        return lambda x: torch.tanh(x.reshape(len(x), -1) @ first) @ second
    pytest.importorskip("open_clip")
    import clip_references
    from safetensors.torch import load_file

    weights = small_clip.packaged() / f"{small_clip.NAME}_weights" / "model.safetensors"
    model = clip_references.open_clip_model(small_clip.SIZE)
    model.load_state_dict(load_file(weights))
    return lambda x: model.eval().encode_image(x.permute(0, 3, 1, 2))


def test_onnx(trained, program):
    pytest.importorskip("jax2onnx")
    runtime = pytest.importorskip("onnxruntime")
    _, classifier, _ = trained
    content = onnx_model.convert(program, {"class_names": list(classifier.class_names)})
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], {"images": prepared(classifier)})[0]
    np.testing.assert_allclose(found, classifier.probabilities(IMAGES), atol=CONVERTED, rtol=0)
    assert '"three"' in session.get_modelmeta().custom_metadata_map["class_names"]
