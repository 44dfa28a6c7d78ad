"""Prompts as text: what means the same reads the same, and mistakes are shown where they are."""

import pathlib
import re

import jax
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError

SAME = {
    "normalize": ["", "  ", "normalize()", "(normalize)"],
    "pad(30) | normalize": [
        "pad(30)",
        "pad(size=30)",
        " pad( 30 ,)|normalize( )",
        "pad(30, init='normal', scale=1)",
        "pad(scale=1.0, size=30) | normalize",
        "(pad(30)) |\n\tnormalize",
    ],
    "normalize | pad(30, init='zeros', scale=0.5)": [
        'normalize|pad(30, scale=.5, init="zeros")',
        "normalize | pad(30, init='zeros', scale=5e-1)",
    ],
    "fixed_patch(3, left=5) | normalize": ["fixed_patch(3, 0, 5)", "fixed_patch(3, left=5, top=0)"],
    "pad(1) | clip | full | normalize": ["pad(1) | (clip() | full)", "(pad(1) | clip) | full"],
    "normalize(mean=(0.5, 1.0), std=(1.0, 2.0))": [
        "normalize((.5, 1), (1, 2))",
        "normalize([.5, 1], std=[1, 2.0])",
    ],
    "shrink(164) | pad(30, init='zeros') | normalize": ["shrink(164) | pad(30, init='zeros')"],
    "normalize | shrink(4)": ["normalize | shrink(size=4)"],
}


@pytest.mark.parametrize("text", SAME)
def test_texts_that_mean_the_same_are_one(text):
    for other in [text, *SAME[text]]:
        assert str(prompts.parse(other)) == text


@pytest.mark.parametrize("text", SAME)
def test_names_and_arguments_make_the_stages_again(text):
    for stage in prompts.parse(text).stages:
        assert str(getattr(prompts, stage.name)(**stage.arguments)) == str(stage)
    init, apply = prompts.parse(text)
    assert callable(init) and callable(apply)


MISTAKES = {
    "padd(30)": ("unknown stage 'padd'; did you mean 'pad'", "padd"),
    "normalize | padd": ("unknown stage 'padd'", "padd"),
    "pad": ("pad needs size", "pad"),
    "pad()": ("pad needs size", "pad()"),
    "clip | pad()": ("pad needs size", "pad()"),
    "pad(0)": ("size must be an int of at least 1, got 0", "0"),
    "pad(-1)": ("size must be an int of at least 1, got -1", "-1"),
    "pad(1.5)": ("size must be an int", "1.5"),
    "pad(True)": ("size must be an int", "True"),
    "pad('3')": ("size must be an int", "'3'"),
    "pad(None)": ("size must be an int", "None"),
    "pad(size=0)": ("size must be an int", "size=0"),
    "pad(3, scale='x')": ("scale must be a finite number", "scale='x'"),
    "pad(3, scale=1e999)": ("scale must be a finite number", "scale=1e999"),
    "pad(3, init='norml')": ("did you mean 'normal'", "init='norml'"),
    "pad(3, sise=4)": ("unknown argument of pad: 'sise'; did you mean 'size'", "sise=4"),
    "pad(3, 4)": ("pad takes only size without a name", "4"),
    "clip(4)": ("clip takes no argument without a name", "4"),
    "pad(3, size=4)": ("size is given twice", "size=4"),
    "pad(size=3, size=4)": ("size is given twice", "size=4"),
    "fixed_patch(3, top=-2)": ("top must be an int of at least 0, got -2", "top=-2"),
    "normalize(mean=(1, 2))": ("mean and std go together", "normalize(mean=(1, 2))"),
    "normalize((1,), (0,))": ("std must be positive", "normalize((1,), (0,))"),
    "normalize(1, 2)": ("mean must be several finite numbers", "1"),
    "normalize((), ())": ("mean must be several finite numbers", "()"),
    "normalize | clip": ("clip needs pixel values .* behind normalize", "clip"),
    "normalize | pad(3) | normalize": ("normalize needs pixel values", "normalize"),
    "pad(x)": ("an argument is a number", "x"),
    "pad(3 + 4)": ("an argument is a number|int", "3 + 4"),
    "pad(open('x'))": ("an argument is a number", "open('x')"),
    "pad(clip)": ("an argument is a number", "clip"),
    "pad(*(3,))": ("an argument is a number", "*(3,)"),
    "pad(**{'size': 3})": ("is not read", "**{'size': 3}"),
    "prompts.pad(3)": ("this is no stage", "prompts.pad(3)"),
    "pad(3)(4)": ("this is no stage", "pad(3)(4)"),
    "pad(3), clip": ("this is no stage", "pad(3), clip"),
    "pad(3) + clip": ("this is no stage", "pad(3) + clip"),
    "'pad(3)'": ("this is no stage", "'pad(3)'"),
    "[pad(3)]": ("this is no stage", "[pad(3)]"),
    "30": ("this is no stage", "30"),
    "lambda: 0": ("this is no stage", "lambda: 0"),
    "pad(3) # a frame": ("no comments", "# a frame"),
    "pad(3": ("never closed", "("),
    "pad(3) | | clip": ("invalid syntax", "|"),
    "| pad(3)": ("invalid syntax", "|"),
    "pad(3) |": ("invalid syntax", "|"),
    "pad(3); clip": ("invalid syntax", ";"),
    "pad(3) clip": ("invalid syntax", "c"),
    "clip | pad('\u00e9\u00e9') | padd": ("size must be an int", "'\u00e9\u00e9'"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_shown_where_they_are(text):
    message, place = MISTAKES[text]
    with pytest.raises(UserError, match=message) as error:
        prompts.parse(text)
    sentence, shown, marks = str(error.value).splitlines()
    assert shown.strip() == text and sentence[-1] != "."
    start = marks.index("^")
    assert set(marks[:start]) <= {" "} and shown[start : len(marks)] == place
    if place == "normalize":
        assert start > 10  # the second one


@pytest.mark.parametrize("text", [30, None, b"pad(3)", {"name": "pad"}, prompts.pad(3)])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(UserError, match="a prompt is a text, as in"):
        prompts.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1900,
        "(" * 150 + "pad(3)" + ")" * 149,
        "-" * 1900 + "1",
        f"pad({'-' * 1900}1)",
        f"pad({'(' * 180}",
        "not " * 480 + "clip",
        "x|" * 900 + "x",
        "clip()" * 300,
        "clip" + "()" * 900,
        "a" * 2001,
        "a" * 100_000,
        "pad(" + "9" * 1900 + ".5)",
        "\0",
        "\ud800",
        "pad(3)\0",
        "\x1b[31mpad(3)",
    ],
    ids=range(16),
)
def test_long_deep_and_unprintable_texts_are_refused_in_short(text):
    with pytest.raises(UserError) as error:
        prompts.parse(text)
    assert str(error.value).isprintable() or "\n" in str(error.value)
    assert max(map(len, str(error.value).splitlines())) < 300
    assert "\x1b" not in str(error.value) and "\0" not in str(error.value)


def test_many_stages_are_read():
    text = " | ".join(["clip"] * 200)
    assert str(prompts.parse(text)) == f"{text} | normalize"


def test_a_mistake_far_into_a_text_is_shown_with_what_is_around_it():
    text = " | ".join(["clip"] * 100 + ["padd(3)"] + ["clip"] * 100)
    with pytest.raises(UserError) as error:
        prompts.parse(text)
    _, shown, marks = str(error.value).splitlines()
    assert shown.strip().startswith("...") and shown.endswith("...") and len(shown) < 200
    assert shown[marks.index("^") : len(marks)] == "padd"


def test_with_normalize():
    assert str(prompts.with_normalize(prompts.pad(3))) == "pad(3) | normalize"
    chain = prompts.chain(prompts.normalize(), prompts.chain(prompts.pad(3)))
    flat = prompts.with_normalize(chain)
    assert str(flat) == str(chain) and len(flat.init(jax.random.key(0), (8, 8, 3))) == 2


ROOT = pathlib.Path(prompts.__file__).parents[2]
WRITTEN = {
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "configs").glob("*.py"),
    ROOT / "README.md",
}


def test_what_documents_and_configs_write_is_read():
    found = []
    for path in WRITTEN:
        text = path.read_text()
        found += re.findall(r'config\.prompt\s*=\s*"([^"]+)"', text)
        found += re.findall(
            r'(?<!\w)(?:prompt|parse\()\W{0,6}"((?:normalize|shrink|pad)[^"]+)"', text
        )
    assert len(found) > 12
    for text in found:
        if text not in ("gain | pad(30) | normalize",):  # which docs/extending.md adds
            prompts.parse(text)


def test_the_document_has_every_stage():
    rows = re.findall(r"^\| `(\w+)[(`]", (ROOT / "docs" / "prompts.md").read_text(), re.MULTILINE)
    files = (ROOT / "vp_jax" / "prompts" / "stages").glob("[a-z]*.py")
    assert sorted(rows) == sorted(path.stem for path in files)
