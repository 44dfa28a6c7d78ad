"""What is computed of batches: as by the classifier itself, and nothing compiled for it later."""

import base64
import io

import jax
import numpy as np
import own_backbone
import pytest
from clients import picture
from PIL import Image

from vp_jax import heads, prompts
from vp_jax.classifier import Classifier
from vp_jax.errors import UserError
from vp_jax.serving.answers import data_url
from vp_jax.serving.model import ANSWER, EXPLAIN, Model, on_compilation
from vp_jax.serving.uploads import Upload
from vp_jax.serving.without_prompt import without_prompt
from vp_jax.step.sharding import make_mesh, put, replicated

NAMES = ("a", "b", "c")
CONTENTS = [picture(i, (20 + 7 * i, 30)) for i in range(5)]


def classifier(prompt="normalize | pad(2)", head=None, batch_size=8, **changes):
    """Of random weights, a random prompt and a head on the first source classes."""
    own, mesh = own_backbone.make(), make_mesh()
    head = head or heads.first_k()
    parts = {"backbone": own.params, "head": head.init(jax.random.key(1), 12, 3)}
    chain = prompts.parse(prompt or "")
    if prompt:
        params = chain.init(jax.random.key(2), (own.image_size,) * 2 + (3,))
        parts["prompt"] = jax.tree.map(lambda x: x + 0.5, params)
    if head.own:
        parts["head"], parts["base"] = heads.split(head, parts["head"])
        parts["head"] = jax.tree.map(lambda x: x + 1, parts["head"])
    return Classifier(
        class_names=NAMES,
        prompt=chain,
        head=head,
        backbone=own,
        parts=put(parts, replicated(mesh)),
        mesh=mesh,
        key=jax.random.key(3),
        batch_size=batch_size,
        **changes,
    )


def computed(model, lane, contents, size):
    batch = [model.prepare(lane, Upload(f"{i}", x), 10_000) for i, x in enumerate(contents)]
    return model.compute(lane, batch, size)


@pytest.mark.parametrize(
    "prompt", ["normalize | pad(2)", "shrink(4) | pad(2) | normalize", "random_patch(3)", None]
)
def test_as_the_classifier_computes_it(prompt):
    own = classifier(prompt, temperature=2.0)
    model = Model(own)
    bare = classifier(None)
    for lane in (ANSWER, EXPLAIN):
        found = computed(model, lane, CONTENTS, 8)
        assert len(found) == len(CONTENTS)
        wanted = own.probabilities(CONTENTS)
        np.testing.assert_allclose([x.probabilities for x in found], wanted, atol=1e-6)
    shown = [x.pictures for x in found]
    np.testing.assert_allclose([x[0] for x in shown], own.unprompted(CONTENTS), atol=1e-6)
    if prompt is None:
        assert {len(x) for x in shown} == {1} and found[0].before is None
        return
    np.testing.assert_allclose([x[1] for x in shown], own.prompted(CONTENTS), atol=1e-6)
    before = bare.probabilities(CONTENTS)
    np.testing.assert_allclose([x.before for x in found], before, atol=1e-6)


def test_nothing_is_compiled_after_the_warm_up():
    model = Model(classifier(batch_size=6))
    assert model.shapes == {ANSWER: (1, 4, 6), EXPLAIN: (1, 6)}
    model.warm_up()
    compiled = []
    on_compilation(lambda: compiled.append(1))
    for lane, shapes in model.shapes.items():
        for size in shapes:
            for count in range(1, size + 1):
                assert len(computed(model, lane, CONTENTS[:1] * count, size)) == count
    assert not compiled
    jax.jit(lambda x: x * 3.5)(np.zeros(7))
    assert compiled


def test_neighbours_and_places_change_nothing():
    model = Model(classifier())
    (alone,) = computed(model, ANSWER, CONTENTS[:1], 8)
    for place in range(5):
        contents = [*CONTENTS[1 : 1 + place], CONTENTS[0]]
        found = computed(model, ANSWER, contents, 8)[-1]
        np.testing.assert_array_equal(found.probabilities, alone.probabilities)


def test_what_cannot_be_read_or_is_too_large():
    model = Model(classifier())
    for content in (b"", b"no image", CONTENTS[0][:100]):
        assert isinstance(model.prepare(ANSWER, Upload("x", content), 10_000), UserError)
    assert isinstance(model.prepare(ANSWER, Upload("x", CONTENTS[0]), 100), UserError)


def test_before_a_head_on_top_is_what_it_stands_on():
    own = classifier(head=heads.residual(heads.first_k()))
    plain = without_prompt(own)
    assert own.parts["head"]["residual"].all() and not plain.parts["head"]["residual"].any()
    wanted = classifier(None).probabilities(CONTENTS)
    np.testing.assert_allclose(plain.probabilities(CONTENTS), wanted, atol=1e-6)
    assert "trained after it" in Model(own).about_plain


def test_before_a_trained_backbone_is_the_one_it_began_as():
    own = classifier()
    trained = jax.tree.map(lambda x: 2 * x, own.parts["backbone"])
    own.parts["backbone"] = trained
    plain = without_prompt(own)
    wanted = classifier(None).probabilities(CONTENTS)
    np.testing.assert_allclose(plain.probabilities(CONTENTS), wanted, atol=1e-6)


def test_a_frozen_backbone_is_not_on_the_devices_twice():
    own = classifier()
    kept = without_prompt(own).parts["backbone"]
    assert kept.keys() == own.parts["backbone"].keys()
    assert all(kept[name] is x for name, x in own.parts["backbone"].items())


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"prompt": None}, "no prompt"),
        ({"head": heads.fully_connected()}, "layer"),
    ],
)
def test_where_there_is_nothing_before_it_says_so(made, words):
    model = Model(classifier(**made))
    assert isinstance(model.plain, str) and words in model.about_plain
    assert computed(model, EXPLAIN, CONTENTS, 8)[0].before is None


def test_pictures_are_whole_numbers_of_what_is_seen_and_views_lie_side_by_side():
    views = np.stack([np.full((4, 4, 3), x, np.float32) for x in (-0.5, 0.5, 1.5)])
    for one in (views[1], views):
        assert data_url(one).startswith("data:image/png;base64,")
    content = base64.b64decode(data_url(views).partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(content)))
    assert shown.shape == (4, 12, 3)
    assert [int(shown[0, x, 0]) for x in (0, 4, 8)] == [0, 128, 255]
