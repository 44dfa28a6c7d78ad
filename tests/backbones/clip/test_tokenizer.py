from __future__ import annotations

import gzip
import html.entities
import importlib.util
import json
import pathlib
import shutil
import time
import unicodedata

import numpy as np
import pytest
import tokenizers

from vp_jax.backbones.clip import tokenizer as tokenizer_lib
from vp_jax.backbones.clip.tokenizer import Tokenizer
from vp_jax.errors import UserError

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
EXPERIMENTS = pathlib.Path(__file__).parents[3] / "experiments"
PAIRS = json.loads((GOLDEN / "clip_tokens.json").read_text(encoding="utf-8"))
STRINGS = [text for text, _ in PAIRS]


def read_golden() -> tuple[dict[str, int], list[str]]:
    vocab = json.loads((GOLDEN / "vocab.json").read_text(encoding="utf-8"))
    return vocab, (GOLDEN / "merges.txt").read_text(encoding="utf-8").split("\n")[1:-1]


def write_json(path: pathlib.Path, vocab, merges, **changes) -> pathlib.Path:
    model = {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": vocab, "merges": merges}
    path.write_text(json.dumps({"model": model | changes}), encoding="utf-8")
    return path


def assert_golden(tokenizer: Tokenizer) -> None:
    rows = tokenizer(STRINGS)
    for (text, ids), row in zip(PAIRS, rows, strict=True):
        expected = ids + [0] * (tokenizer.context_length - len(ids))
        assert row.tolist() == expected, repr(text)


@pytest.fixture(scope="module")
def golden() -> Tokenizer:
    return Tokenizer.from_files(GOLDEN)


def test_golden_vocab_and_merges(golden):
    assert len(PAIRS) > 300
    assert (golden.start_id, golden.end_id, golden.vocab_size) == (49406, 49407, 49408)
    assert_golden(golden)


@pytest.mark.parametrize("as_pairs", [True, False])
def test_golden_tokenizer_json(tmp_path, as_pairs):
    vocab, merges = read_golden()
    added = [{"content": t, "id": vocab.pop(t)} for t in (tokenizer_lib.START, tokenizer_lib.END)]
    content = {
        "added_tokens": added,
        "normalizer": {"type": "NFC"},  # what stands here has no effect
        "model": {
            "type": "BPE",
            "end_of_word_suffix": "</w>",
            "vocab": vocab,
            "merges": [m.split() for m in merges] if as_pairs else merges,
        },
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert_golden(Tokenizer.from_files(tmp_path))
    assert_golden(Tokenizer.from_files(tmp_path / "tokenizer.json"))


def test_any_of_the_files_may_be_named():
    for name in ("vocab.json", "merges.txt"):
        assert_golden(Tokenizer.from_files(GOLDEN / name))


def test_rows(golden):
    one = golden("a dog")
    assert one.shape == (1, 77) and one.dtype == np.int32
    assert one[0, :4].tolist() == [49406, 320, 1929, 49407] and not one[0, 4:].any()
    assert np.array_equal(golden(["", "a dog"])[1:], one)
    assert golden("")[0, :3].tolist() == [49406, 49407, 0]
    assert golden([]).shape == (0, 77)


@pytest.mark.parametrize("words", [6, 7, 8])
def test_truncation_keeps_the_end(words):
    row = Tokenizer.from_files(GOLDEN, context_length=8)("dog " * words)[0]
    assert row.tolist() == [49406] + [1929] * 6 + [49407]


@pytest.mark.parametrize(
    "text, same",
    [
        ("&amp;lt;", "<"),
        ("schÃ¶n", "schön"),
        ("e\u0301", "é"),
        ("  A\u00a0\u2028 DOG\n", "a dog"),
        ("a\x85", "a…"),
        ("\x1b[31mdog\x00", "dog"),
        ("it’s", "it's"),
    ],
)
def test_cleaning(golden, text, same):
    assert golden.encode(text) == golden.encode(same)


def test_special_tokens_written_out_are_open_clips_and_not_openais(golden):
    """OpenAI's tokenizer reads `<|endoftext|>` in a text as the token; open_clip reads its own."""
    start, end = golden.start_id, golden.end_id
    assert golden.encode("<start_of_text> a dog <end_of_text>") == [start, 320, 1929, end]
    for text in ("<|startoftext|>", "<|endoftext|>", "a <|ENDOFTEXT|> dog"):
        ids = golden.encode(text)
        assert len(ids) > 3 and not {start, end} & set(ids)
    assert golden.decode(golden("<|endoftext|> dog")[0]) == "<| endoftext |> dog"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A T-shirt!", "a t - shirt !"),
        ("This is a photo of a schön_café", "this is a photo of a schön _ café"),
        ("42 dogs", "4 2 dogs"),
        ("犬 🙂", "犬 🙂"),
        ("", ""),
        ("!", "!"),
        ("a <end_of_text> dog", "a <|endoftext|> dog"),
    ],
)
def test_decoding_shows_what_is_read(golden, text, read):
    assert "".join(golden.decode(golden(text)[0]).split()) == "".join(read.split())


def test_cut_texts_are_known():
    short = Tokenizer.from_files(GOLDEN, context_length=8)
    assert not short.is_cut("dog " * 6) and short.is_cut("dog " * 7)
    assert short.decode(short("dog " * 7)[0]) == " ".join(["dog"] * 6)


def test_entities_are_not_composed(golden):
    # NFC comes before html.unescape: one of several ways to differ from tokenizer.json's NFC.
    assert golden.encode("<e&#x301;>") != golden.encode("<é>")


def test_missing_files(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.json.*vocab\.json.*merges\.txt"):
        Tokenizer.from_files(tmp_path)
    with pytest.raises(UserError, match="none"):
        Tokenizer.from_files(GOLDEN / "none")  # not the vocab.json beside it
    shutil.copy(GOLDEN / "vocab.json", tmp_path)
    with pytest.raises(UserError, match=r"merges\.txt"):
        Tokenizer.from_files(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"model": 3}', b"\xff\xfe", b"null"]
)
def test_corrupt_tokenizer_json(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        Tokenizer.from_files(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"3", b"\xff\xfe", b'{"a": "b"}'])
def test_corrupt_vocab_json(tmp_path, content):
    shutil.copy(GOLDEN / "merges.txt", tmp_path)
    (tmp_path / "vocab.json").write_bytes(content)
    with pytest.raises(UserError, match=r"vocab\.json"):
        Tokenizer.from_files(tmp_path)


@pytest.mark.parametrize(
    "merges, message",
    [
        (["i n", "a b c"], "pair"),
        (["i n", "not-a-token x"], "merges"),
        ([["i"]], "pair"),
        (3, "fetch"),
    ],
)
def test_corrupt_merges(tmp_path, merges, message):
    path = write_json(tmp_path / "tokenizer.json", read_golden()[0], merges)
    with pytest.raises(UserError, match=message):
        Tokenizer.from_files(path)


def test_another_kind_of_tokenizer(tmp_path):
    vocab, merges = read_golden()
    path = tmp_path / "tokenizer.json"
    for changes in ({"type": "WordPiece"}, {"end_of_word_suffix": None}):
        with pytest.raises(UserError, match="</w>"):
            Tokenizer.from_files(write_json(path, vocab, merges, **changes))


@pytest.mark.parametrize("token", ["<|endoftext|>", "<|startoftext|>", "Ġ</w>", "ÿ"])
def test_lacking_token(tmp_path, token):
    vocab, merges = read_golden()
    del vocab[token]
    with pytest.raises(UserError, match="lacks"):
        Tokenizer.from_files(write_json(tmp_path / "tokenizer.json", vocab, merges))


@pytest.mark.parametrize(
    "number, message", [(49500, "highest"), (5, "distinct"), (-1, "from 0 to")]
)
def test_wrong_id(tmp_path, number, message):
    vocab, merges = read_golden()
    vocab["dog</w>"] = number
    with pytest.raises(UserError, match=message):
        Tokenizer.from_files(write_json(tmp_path / "tokenizer.json", vocab, merges))


def test_context_length_too_short():
    with pytest.raises(UserError, match="context_length is 1"):
        Tokenizer.from_files(GOLDEN, context_length=1)


@pytest.mark.parametrize("vocab_size", [514, 530, 700, 4000])
def test_tokenizer_trained_on_few_texts(tmp_path, vocab_size):
    spec = importlib.util.spec_from_file_location("tiny", EXPERIMENTS / "tiny_tokenizer.py")
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    path = tmp_path / "tokenizer.json"
    tiny.train_tokenizer([f"a photo of a {text}" for text in STRINGS[-60:]], vocab_size, str(path))
    tokenizer = Tokenizer.from_files(path, context_length=24)
    assert tokenizer.vocab_size == vocab_size
    assert (tokenizer.start_id, tokenizer.end_id) == (vocab_size - 2, vocab_size - 1)
    rows = tokenizer(STRINGS)
    assert rows.shape == (len(STRINGS), 24)
    assert (rows.argmax(1) > 0).all() and (rows.max(1) == tokenizer.end_id).all()
    if vocab_size > 514:
        assert len(tokenizer.encode("a photo of a")) == 4

    # Nothing is unknown: the ids spell the text.
    names = {i: token for token, i in json.loads(path.read_text())["model"]["vocab"].items()}
    for text in STRINGS:
        words = tokenizer_lib.clean(text).split()
        pieces = [p for word in words for p, _ in tokenizer_lib.splitter().pre_tokenize_str(word)]
        if "<start_of_text>" in pieces or "<end_of_text>" in pieces:
            continue
        spelt = "".join(names[i] for i in tokenizer.encode(text))
        assert spelt == "".join(piece + "</w>" for piece in pieces), repr(text)

    hub = tokenizers.Tokenizer.from_file(str(path))
    assert hub.encode("a photo of a dog").ids == tokenizer.encode("a photo of a dog")


@pytest.mark.slow
def test_thousand_names_in_eighty_templates(golden):
    texts = [f"a photo {i} of a {j}th dog." for i in range(80) for j in range(1000)]
    start = time.perf_counter()
    rows = golden(texts)
    assert rows.shape == (80_000, 77)
    assert time.perf_counter() - start < 60  # 3 s on one core; the bound is for busy machines


def random_texts(rng: np.random.Generator, count: int) -> list[str]:
    """Texts that are hard to tokenise: any script, confusable pieces, mojibake, entities, mixes."""
    unusable = ("Cn", "Cs")  # unassigned code points differ between versions of Unicode
    scripts = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in unusable]
    plane = [c for c in scripts if ord(c) < 0x3000]
    ascii_only = [chr(c) for c in range(128)]
    pieces = [
        *"'sStTrevmlLdD \u017f\u0345\u0301\u0130ſßẞΣσς_<>|&;#x0123½é\t\x00\u200d\ufe0f",
        *("'s", "'LL", "<start_of_text>", "<end_of_text>", "<|endoftext|>", "</w>", "dog", "&amp;"),
        *("&#x345;", "&#768;", "Ã©", "â€™", "  ", "photo", "in", "the", "1", "😀", "👨‍👩‍👧"),
    ]
    entities = [f"{amp}{name}" for name in html.entities.html5 for amp in ("&", "&amp;")]

    def draw(symbols: list[str], longest: int = 30) -> str:
        return "".join(symbols[i] for i in rng.integers(len(symbols), size=rng.integers(longest)))

    def one() -> str:
        kind = rng.integers(7)
        if kind == 5:
            encoding = ("latin-1", "cp1252", "cp437")[rng.integers(3)]
            return draw(plane, 12).encode("utf-8").decode(encoding, "replace")
        if kind == 6:
            return " ".join(draw(s, 8) for s in (pieces, plane, ascii_only, scripts, entities))
        return draw((scripts, plane, ascii_only, pieces, entities)[kind])

    return [one() for _ in range(count)]


def test_whole_vocabulary_against_open_clip(tmp_path):
    pytest.importorskip("torch")
    import clip_references

    clip_references.make_torchvision_importable()
    open_clip = pytest.importorskip("open_clip")
    reference = open_clip.get_tokenizer("ViT-B-32")

    source = pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    with gzip.open(source, "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    vocab = {
        token.replace("<start_of_text>", tokenizer_lib.START).replace(
            "<end_of_text>", tokenizer_lib.END
        ): number
        for token, number in reference.encoder.items()
    }
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    text = "\n".join(["#version: 0.2", *merges])
    (tmp_path / "merges.txt").write_text(text, encoding="utf-8")
    ours = Tokenizer.from_files(tmp_path)
    assert_golden(ours)

    words = [token.replace("</w>", " ") for token in reference.encoder]
    rng = np.random.default_rng(0)
    sentences = ["".join(words[i] for i in rng.integers(len(words), size=9)) for _ in range(5000)]
    texts = [*STRINGS, *words, *sentences, *random_texts(rng, 20_000)]
    assert np.array_equal(reference(texts[:1000]).numpy(), ours(texts[:1000]))
    differ = [text for text in texts if reference.encode(text) != ours.encode(text)]
    assert not differ, f"{len(differ)} of {len(texts)}, as {differ[:3]!a}"
