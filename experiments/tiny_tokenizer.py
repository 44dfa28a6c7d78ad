"""Trains the tokenizer of `clip_tiny`: CLIP's byte-level BPE with a small vocabulary."""

from __future__ import annotations

import json
from collections.abc import Sequence

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from vp_jax.backbones.clip.tokenizer import END, START, WORD_END, clean, splitter


def train_tokenizer(texts: Sequence[str], vocab_size: int, path: str) -> None:
    """Learns merges from texts and writes them as a `tokenizer.json`, the same at every run.

    The ids: the 256 byte symbols, their 256 forms at the end of a word, one token a merge, and at
    the top `vocab_size - 2` for start of text and `vocab_size - 1` for end of text. When the texts
    give too few merges, the ids between are unused.

    Args:
      texts: the corpus; cleaned here as texts are when they are tokenised.
      vocab_size: number of ids, at least 514.
      path: the file to write.

    Raises:
      ValueError: `vocab_size` is below 514.
    """
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(symbols + [s + WORD_END for s in symbols])}
    if vocab_size < len(vocab) + 2:
        raise ValueError(f"vocab_size is {vocab_size}; the bytes and 2 special tokens take 514.")

    learner = tokenizers.Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    learner.pre_tokenizer = splitter()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(vocab),  # fixes their ids, by which merges of equal count are ordered
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    learner.train_from_iterator((clean(text) for text in texts), trainer)
    merges = []
    for first, second in json.loads(learner.to_str())["model"]["merges"]:
        if first + second not in vocab:
            if len(vocab) == vocab_size - 2:
                break
            vocab[first + second] = len(vocab)
        merges.append((first, second))
    vocab[START] = vocab_size - 2
    vocab[END] = vocab_size - 1

    result = tokenizers.Tokenizer(
        models.BPE(vocab=vocab, merges=merges, end_of_word_suffix=WORD_END)
    )
    result.pre_tokenizer = splitter()
    result.add_special_tokens([START, END])
    result.save(path)
