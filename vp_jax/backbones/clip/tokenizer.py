"""CLIP's text tokenizer: byte-level BPE, with the ids that open_clip gives.

Only the vocabulary and the merges are read from a file. Cleaning and splitting are done here, as
open_clip does them. What the `tokenizer.json` files on the Hub say about both differs from it on
typographic quotes, mojibake, HTML entities, control characters, combining marks and some letters.

Special tokens written out in a text are open_clip's: `<start_of_text>` and `<end_of_text>` are the
two, where OpenAI's own tokenizer takes `<|startoftext|>` and `<|endoftext|>` for them. Those two
are words and punctuation here, as in open_clip, so that a class name cannot end a text by them.
"""

from __future__ import annotations

import functools
import html
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import ftfy
import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from vp_jax.errors import UserError

START = "<|startoftext|>"
END = "<|endoftext|>"
WORD_END = "</w>"

# open_clip matches its pattern with IGNORECASE. On lower-cased text that makes two differences: the
# long s (U+017F) is an "s", and the combining iota (U+0345), a mark that folds to a letter, is
# neither a letter nor anything else: it is dropped.
_PATTERN = (
    "<[s\u017f]tart_of_text>|<end_of_text>|'[s\u017f]|'t|'re|'ve|'m|'ll|'d"
    "|\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}\u0345]+"
)


def clean(text: str) -> str:
    """Repairs mojibake and entities, collapses white space, lower-cases: open_clip's cleaning."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def splitter() -> pre_tokenizers.PreTokenizer:
    """Splits cleaned text into words, numbers digit by digit and punctuation, as byte symbols."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


class Tokenizer:
    """Maps texts to rows of token ids.

    Attributes:
      vocab_size: every id is below it.
      context_length: number of ids in a row.
      start_id: id of the start-of-text token, the first of every row.
      end_id: id of the end-of-text token, the highest of all: the text tower finds it by argmax.
    """

    def __init__(
        self,
        vocab: dict[str, int],
        merges: Sequence[tuple[str, str]],
        context_length: int = 77,
    ) -> None:
        """Builds a tokenizer from a vocabulary and its merges, the most frequent merge first.

        Raises:
          UserError: the vocabulary lacks a byte symbol or a special token, a merge is not in it,
            the end-of-text token has not the highest id, or `context_length` is below 2.
        """
        if context_length < 2:
            raise UserError(f"context_length is {context_length}; start and end alone take 2.")
        symbols = pre_tokenizers.ByteLevel.alphabet()
        needed = [START, END, *symbols, *(s + WORD_END for s in symbols)]
        lacking = [token for token in needed if token not in vocab]
        if lacking:
            raise UserError(
                f"The vocabulary lacks {len(lacking)} tokens that CLIP's byte-level BPE needs, "
                f"the first of them {lacking[0]!r}. Is it the vocabulary of a CLIP model?"
            )
        if vocab[END] != max(vocab.values()) or len(set(vocab.values())) != len(vocab):
            raise UserError(f"The ids must be distinct, and {END} must have the highest one.")
        try:
            self._bpe = models.BPE(vocab=vocab, merges=list(merges), end_of_word_suffix=WORD_END)
        except Exception as error:  # the library raises bare Exceptions
            raise UserError(f"The merges do not fit the vocabulary: {error}") from error
        self.start_id = vocab[START]
        self.end_id = vocab[END]
        self.vocab_size = self.end_id + 1
        self.context_length = context_length
        self._split = splitter()
        self._bytes = decoders.ByteLevel()
        self._ids_of = functools.lru_cache(maxsize=65536)(self._encode_word)

    @classmethod
    def from_files(
        cls, folder_or_file: str | os.PathLike[str], context_length: int = 77
    ) -> Tokenizer:
        """Reads `tokenizer.json`, or `vocab.json` and `merges.txt`.

        Args:
          folder_or_file: one of these files, or the folder they are in, where `tokenizer.json`
            goes first.
          context_length: number of ids in a row.

        Raises:
          UserError: a file is missing, is not what it should be, or does not fit the other one.
        """
        path = pathlib.Path(folder_or_file)
        if path.name in ("vocab.json", "merges.txt"):
            choices = [[path.with_name("vocab.json"), path.with_name("merges.txt")]]
        elif path.is_dir():
            choices = [[path / "tokenizer.json"], [path / "vocab.json", path / "merges.txt"]]
        else:
            choices = [[path]]
        found = [files for files in choices if all(file.is_file() for file in files)]
        if not found:
            wanted = ", or ".join(" and ".join(map(str, files)) for files in choices)
            raise UserError(
                f"No tokenizer at {path}: looked for {wanted}. Put there the files that come with "
                "the CLIP weights on the Hugging Face Hub, such as openai/clip-vit-base-patch32."
            )
        files = found[0]
        names = " and ".join(map(str, files))
        try:
            read = _read_tokenizer_json if len(files) == 1 else _read_vocab_and_merges
            return cls(*read(*files), context_length)
        except UserError as error:
            raise UserError(f"{names}: {error}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{names}: not a readable CLIP tokenizer ({type(error).__name__}: {error}). "
                "Delete and fetch again."
            ) from error

    def __call__(self, texts: str | Sequence[str]) -> np.ndarray:
        """Token ids of one text or of several.

        Args:
          texts: N texts; one string is a list of one.

        Returns:
          `[N, context_length]` int32: start, the text's ids, end, then zeros. A text that is too
          long is cut, and its row's last id is the end-of-text token.
        """
        texts = [texts] if isinstance(texts, str) else texts
        rows = np.zeros((len(texts), self.context_length), np.int32)
        for row, text in zip(rows, texts, strict=True):
            ids = [self.start_id, *self.encode(text)][: self.context_length - 1]
            row[: len(ids) + 1] = [*ids, self.end_id]
        return rows

    def is_cut(self, text: str) -> bool:
        """Whether a text has more tokens than fit a row, so that its end is not read."""
        return len(self.encode(text)) > self.context_length - 2

    def decode(self, row: Sequence[int] | np.ndarray) -> str:
        """The text that a row of ids stands for, as the model reads it.

        That is cleaned, split into words, digits and punctuation, and cut: "A T-shirt!" becomes
        "a t - shirt !".
        """
        ids = [int(number) for number in row]
        last = len(ids) - 1 - ids[::-1].index(self.end_id)
        words = "".join(map(self._token, ids[1:last])).split(WORD_END)
        return " ".join(self._bytes.decode([word]) for word in words if word)

    def _token(self, number: int) -> str:
        token = self._bpe.id_to_token(number)
        if token is None:
            raise ValueError(f"no token has the id {number}")
        return token

    def encode(self, text: str) -> list[int]:
        """Ids of one text, without start, end, padding or truncation."""
        return [i for word in clean(text).split(" ") for i in self._ids_of(word)]

    def _encode_word(self, word: str) -> list[int]:
        ids = []
        for piece, _ in self._split.pre_tokenize_str(word):
            if piece == "<start_of_text>":  # written out in a text, open_clip's names of the two
                ids.append(self.start_id)
            elif piece == "<end_of_text>":
                ids.append(self.end_id)
            else:
                ids.extend(token.id for token in self._bpe.tokenize(piece))
        return ids


def _read_tokenizer_json(path: pathlib.Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a `tokenizer.json`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    model = content["model"]
    if model.get("type", "BPE") != "BPE" or model.get("end_of_word_suffix") != WORD_END:
        raise UserError(f"CLIP's tokenizer is a BPE with end_of_word_suffix {WORD_END!r}.")
    added = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
    added = {token: added[token] for token in (START, END) if token in added}
    merges = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
    return _checked({**added, **model["vocab"]}, merges)


def _read_vocab_and_merges(
    vocab: pathlib.Path, merges: pathlib.Path
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a `vocab.json` and a `merges.txt`."""
    lines = merges.read_text(encoding="utf-8").split("\n")
    pairs = [line.split() for line in lines if line.strip() and not line.startswith("#version")]
    return _checked(json.loads(vocab.read_text(encoding="utf-8")), pairs)


def _checked(
    vocab: dict[str, int], merges: list[Any]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    for token, number in vocab.items():
        if type(number) is not int or not 0 <= number < 2**31:
            raise UserError(f"The id of {token!r} is {number!r}, not a number from 0 to 2**31 - 1.")
    for merge in merges:
        if len(merge) != 2:
            raise UserError(f"A merge is a pair of tokens, not {merge!r}.")
    return vocab, [(first, second) for first, second in merges]
