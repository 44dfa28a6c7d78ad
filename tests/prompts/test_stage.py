"""What stages are made of: formulas, their arguments, and what they need besides pixels."""

import inspect
import io
import pathlib
import tokenize
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.prompts.arguments import AtLeast
from vp_jax.prompts.stage import makers

KEY = jax.random.key(0)
IMAGES = jnp.full((2, 8, 8, 3), 0.5)
FILES = sorted(pathlib.Path(prompts.__file__).parent.joinpath("stages").glob("[a-z]*.py"))


@prompts.stage
def tint(
    by: float = 0.25,
    times: Annotated[int, AtLeast(1)] = 1,
    *,
    colour: str = "red",
    inverted: bool = False,
    weights: tuple[float, ...] | None = None,
) -> prompts.Formula:
    """A stage with an argument of every type."""
    if colour not in ("red", "blue"):
        raise UserError(f"colour is {colour!r}; it must be red or blue")
    return prompts.Formula(lambda params, images: images + by * times)


@prompts.stage
def by_class(classes: int) -> prompts.Formula:
    """A shade for every class, and one without a class."""

    def apply(params, images, *, label, features=None):
        shift = 0.0 if features is None else features.mean(axis=-1)
        return images + (params["shade"][label] + shift)[..., None, None, None]

    return prompts.Formula(apply, lambda rng, shape: {"shade": jax.random.normal(rng, (classes,))})


def test_a_stage_is_two_functions_and_has_a_text():
    stage = tint(0.5)
    assert isinstance(stage, prompts.Prompt) and tuple(stage) == (stage.init, stage.apply)
    assert stage._fields == ("init", "apply") and stage.stages == (stage,)
    assert str(stage) == repr(stage) == "tint(by=0.5)" and stage.name == "tint"
    assert inspect.signature(tint).return_annotation is prompts.Stage
    assert tint.__doc__ == "A stage with an argument of every type."
    other = stage._replace(apply=lambda params, images: images)
    assert type(other) is prompts.Prompt and other.init is stage.init
    np.testing.assert_array_equal(stage.apply({}, IMAGES), IMAGES + 0.5)


def test_texts_leave_out_defaults_and_need_no_names_where_they_are_needed():
    assert str(tint()) == str(tint(0.25, 1, weights=None)) == "tint"
    assert str(tint(np.float32(0.5), np.int64(2))) == "tint(by=0.5, times=2)"
    assert str(tint(-0.0)) == str(tint(0)) == "tint(by=0.0)"
    assert str(tint(inverted=True, colour="blue")) == "tint(colour='blue', inverted=True)"
    assert str(tint(weights=[1, 2.5])) == "tint(weights=(1.0, 2.5))"
    assert str(by_class(3)) == "by_class(3)"
    assert prompts.pad(3, init="zeros", scale=2).form == "pad(3)"
    assert prompts.fixed_patch(3, left=2, init="zeros").form == "fixed_patch(3, left=2)"
    assert prompts.parse("tint(.5)|pad(3, scale=2)").form == "tint(by=0.5) | pad(3) | normalize"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tint("a"), "tint: by must be a finite number, got 'a'"),
        (lambda: tint(None), "tint: by must be a finite number, got None"),
        (lambda: tint(times=0), "times must be an int of at least 1, got 0"),
        (lambda: tint(times=1.0), "times must be an int"),
        (lambda: tint(colour=3), "colour must be a text, got 3"),
        (lambda: tint(colour="green"), "tint: colour is 'green'; it must be red or blue"),
        (lambda: tint(inverted=1), "inverted must be True or False, got 1"),
        (lambda: tint(weights=(1, "2")), "weights must be several finite numbers"),
        (lambda: tint(weights=2.0), "weights must be several finite numbers"),
        (lambda: tint(1, 2, 3), "tint takes only by and times without a name, and 3 are given"),
        (lambda: tint(collor="red"), "unknown argument of tint: 'collor'; did you mean 'colour'"),
        (lambda: by_class(), "by_class needs classes, as in by_class.classes=...."),
    ],
)
def test_arguments_are_checked_once_for_all_stages(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_annotations_that_cannot_be_checked_are_refused():
    def no_annotation(size):
        pass

    def a_function(size: "jax.Array"):
        pass

    def several(*size: int):
        pass

    for make in (no_annotation, a_function, several):
        with pytest.raises(TypeError, match=f"{make.__name__}: annotate size with"):
            prompts.stage(make)
        assert make.__name__ not in makers()


def test_a_name_that_is_taken_is_refused():
    def pad(size: int) -> prompts.Formula: ...

    with pytest.raises(UserError, match=r"there is a stage 'pad' already, of vp_jax.*stages.pad"):
        prompts.stage(pad)
    assert str(prompts.parse("pad(3)").stages[0].formula.additive) == "True"

    def tint(by: float) -> prompts.Formula:  # as when a cell of a notebook is run again
        return prompts.Formula(lambda params, images: images)

    before = makers()["tint"]
    try:
        prompts.stage(tint)
        assert str(prompts.parse("tint(0.25)")) == "tint(0.25) | normalize"
    finally:
        prompts.stage.__globals__["_STAGES"]["tint"] = before


# What stages need besides pixels.

LABELS = jnp.array([2, 0])


def test_a_stage_gets_what_it_asks_for():
    stage = by_class(3)
    assert stage.keywords.required == {"label"} and stage.keywords.optional == {"features"}
    params = stage.init(KEY, (8, 8, 3))
    shades = np.asarray(params["shade"])
    found = jax.jit(stage.apply)(params, IMAGES, label=LABELS, other=jnp.zeros(3))
    np.testing.assert_allclose(found[:, 0, 0, 0], 0.5 + shades[[2, 0]], rtol=1e-6)
    found = stage.apply(params, IMAGES, label=LABELS, features=jnp.ones((2, 5)))
    np.testing.assert_allclose(found[:, 0, 0, 0], 1.5 + shades[[2, 0]], rtol=1e-6)
    for given in ({}, {"label": None}, {"rng": KEY, "features": jnp.ones((2, 5))}):
        with pytest.raises(UserError, match=r"by_class\(3\) needs label: pass .*label=\.\.\."):
            stage.apply(params, IMAGES, **given)


def test_a_chain_hands_each_member_what_it_asks_for():
    own = prompts.Prompt(lambda rng, shape: {}, lambda params, images, *, scale: images * scale)
    closed = prompts.Prompt(lambda rng, shape: {}, lambda params, images, *, rng=None: images)
    open_ = prompts.Prompt(lambda rng, shape: {}, lambda params, images, **extra: images)
    chain = prompts.chain(by_class(3), own, prompts.chain(prompts.normalize(), closed), open_)
    assert chain.keywords.required == {"label", "scale", "normalization"}
    assert chain.keywords.optional == {"features", "rng"} and chain.keywords.is_open
    params = chain.init(KEY, (8, 8, 3))
    one = {"label": LABELS, "scale": 2.0, "normalization": ((0.0,) * 3, (4.0,) * 3)}
    found = chain.apply(params, IMAGES, rng=KEY, **one)
    expected = (0.5 + np.asarray(params[0]["shade"])[[2, 0]]) * 2 / 4
    np.testing.assert_allclose(found[:, 3, 3, 1], expected, rtol=1e-6)
    with pytest.raises(UserError, match="normalize needs normalization"):
        chain.apply(params, IMAGES, label=LABELS, scale=2.0)


def test_formulas_must_keep_shape_and_dtype():
    @prompts.stage
    def halved(axis: int) -> prompts.Formula:
        return prompts.Formula(lambda params, images: images[:, : images.shape[axis] // 2])

    @prompts.stage
    def doubled() -> prompts.Formula:
        return prompts.Formula(lambda params, images: images.astype(jnp.float32))

    with pytest.raises(UserError, match=r"halved\(1\) makes .*\(2, 4, 8, 3\).* must keep both"):
        halved(1).apply({}, IMAGES)
    with pytest.raises(UserError, match="doubled makes float32 .* are float16"):
        doubled().apply({}, IMAGES.astype(jnp.float16))


def test_parameters_where_there_are_none_are_refused():
    assert prompts.clip().init(None, (8, 8, 3)) == {}
    for empty in ({}, (), None):
        prompts.clip().apply(empty, IMAGES)
    with pytest.raises(UserError, match=r"clip: images of shape .* need parameters of shapes \{\}"):
        prompts.clip().apply({"patch": jnp.zeros(3)}, IMAGES)


def lines_of_code(path):
    """Lines that are neither empty, nor comments, nor part of a docstring."""
    tokens = list(tokenize.generate_tokens(io.StringIO(path.read_text()).readline))
    skipped = (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT)
    lines = set()
    for before, token in zip([None, *tokens], tokens, strict=False):
        starts = before is None or before.type in skipped
        if token.type not in (*skipped, tokenize.ENDMARKER) and not (
            starts and token.type == tokenize.STRING
        ):
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_stage_is_one_short_file_and_one_line(path):
    assert lines_of_code(path) <= 40
    assert path.stem in makers() and getattr(prompts, path.stem) is makers()[path.stem]
    text = pathlib.Path(prompts.__file__).read_text()
    assert text.count(f"stages.{path.stem} import") == 1
    assert len(text.split(f"{path.stem} as {path.stem}")) == 2


def test_clip_is_fifteen_lines():
    (clip,) = [path for path in FILES if path.stem == "clip"]
    assert len(clip.read_text().splitlines()) <= 15
