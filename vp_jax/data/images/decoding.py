"""Decodes all images of a dataset once, on every core, and takes note of those it cannot."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple, Protocol

import numpy as np

from vp_jax.data.images.brightness import Levels, Span
from vp_jax.data.images.corrupt import WiderRange
from vp_jax.data.images.decode import decode_image
from vp_jax.data.images.grey_levels import WHITES
from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.data.images.images import RELEASE_BYTES
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.data.tasks.contents import checksum
from vp_jax.data.tasks.examples import Examples
from vp_jax.errors import UserError
from vp_jax.host.progress_bar import progress_bar

CHUNK = 32
"""Images that a thread takes at a time."""

LOOKED_AT = 64
"""Images that are looked at beforehand where none is decoded before it is asked for."""

Shape = tuple[int, int, int]


class Index(NamedTuple):
    """What is known of all examples of a dataset, split after split.

    Attributes:
      labels: int64 `[N]`.
      groups: int64 `[N]`.
      good: bool `[N]`, whether the image can be decoded, as far as it has been tried.
      corrupt: what cannot be decoded, a line each, in order.
      resized: whether the decoder resized the images, all of them, or none.
      levels: between which the images lie; None if none was decoded.
      content: `checksum` of each image as the dataset holds it, uint64 `[N]`; None where images
        were not read.
    """

    labels: np.ndarray
    groups: np.ndarray
    good: np.ndarray
    corrupt: tuple[str, ...]
    resized: bool
    levels: Levels | None = None
    content: np.ndarray | None = None


class Decoder(NamedTuple):
    """How images of a dataset become arrays of one size; may be sent to other processes.

    Attributes:
      splits: of the dataset, in order.
      rule: how images become `[S, S, 3]`.
      upright: whether photographs are turned as their EXIF orientation says.
      native: the size that all images have and keep; None where they are resized.
      white: what is white in whole numbers of 32 bits, one of `WHITES`; None until it is known.
    """

    splits: tuple[Examples, ...]
    rule: ResizeRule
    upright: bool
    native: Shape | None
    white: int | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all images together, `(N, h, w, 3)`."""
        side = self.rule.image_size
        return (sum(map(len, self.splits)), *(self.native or (side, side, 3)))

    @property
    def resizes(self) -> bool:
        """Whether it resizes and crops the images, all of them."""
        return self.native is None

    def locate(self, row: int) -> tuple[Examples, int]:
        """The split of an example and its index there."""
        for examples in self.splits:
            if row < len(examples):
                return examples, row
            row -= len(examples)
        raise IndexError("there are not so many examples")

    def fit(self, image: np.ndarray) -> np.ndarray:
        """An image `[h, w, 3]` in the size of all.

        Raises:
          MixedSizes: images keep their size, and this one has another.
        """
        if self.resizes:
            return preprocess_one(image, self.rule)
        if image.shape != self.native:
            raise MixedSizes
        return image

    def decoded(self, image: bytes | np.ndarray) -> np.ndarray:
        """The image of an example in its own size, uint8 `[h, w, 3]`.

        Raises:
          CorruptImage: it cannot be decoded.
        """
        return decoded(image, self.upright, self.white or WHITES[0])

    def corrected(self, error: MixedSizes | WiderRange) -> Decoder:
        """The decoder for images that are other than was taken for granted."""
        if isinstance(error, MixedSizes):
            return self._replace(native=None)
        return self._replace(white=WHITES[-1])

    def image(self, row: int) -> np.ndarray:
        """One image, uint8 `[h, w, 3]`.

        Raises:
          UserError: it cannot be read or decoded; its name and the reason are in the message.
        """
        examples, index = self.locate(row)
        example = examples[index]
        try:
            return self.fit(self.decoded(example.image))
        except Exception as e:
            line = describe(examples.split, index, example.key, e)
            raise UserError(
                f"an image cannot be decoded: {line}\nReplace it, or leave out whatever is corrupt "
                "with --config.task.skip_corrupt=True"
            ) from e


class Rows(Protocol):
    """What images are written into, row by row."""

    def __setitem__(self, index: int, value: np.ndarray, /) -> None: ...


class MixedSizes(Exception):
    """Images that were taken to have one size have several."""


def decoded(image: bytes | np.ndarray, upright: bool, white: int | None = None) -> np.ndarray:
    """The image of an example, uint8 `[h, w, 3]`."""
    if isinstance(image, np.ndarray):
        return image
    return decode_image(image, upright=upright, white=white)


def look(decoder: Decoder) -> tuple[Decoder, Levels | None]:
    """Decodes a few images from all over a dataset, for what holds of all of them.

    Returns:
      The decoder with what is white in whole numbers of 32 bits, and the levels of the images that
      were looked at; no more of them than it takes to see that they use the range.
    """
    span, count = Span(), 0
    total = decoder.shape[0]
    for row in np.unique(np.linspace(0, total - 1, min(total, LOOKED_AT)).astype(np.int64)):
        examples, index = decoder.locate(int(row))
        try:
            image = examples[index].image
            try:
                span.add(decoder.decoded(image))
            except WiderRange as e:
                decoder = decoder.corrected(e)
                span.add(decoder.decoded(image))
        except Exception:  # It is reported when its turn comes.
            continue
        count += 1
        if span.is_wide:
            break
    return decoder._replace(white=decoder.white or WHITES[0]), span.levels(count)


def native_shape(splits: Sequence[Examples], rule: ResizeRule, upright: bool) -> Shape | None:
    """The size that images may keep: one for all, with no more pixels than the model's input.

    Where it is not known of all images beforehand, it is that of the first that can be decoded.
    """
    shapes = {examples.shape for examples in splits if len(examples)}
    if shapes == {None}:
        shapes = {_first_shape(splits, upright)}
    shape = shapes.pop() if len(shapes) == 1 else None
    return shape if shape is not None and shape[0] * shape[1] <= rule.image_size**2 else None


def _first_shape(splits: Sequence[Examples], upright: bool) -> Shape | None:
    for examples in splits:
        for index in range(len(examples)):
            try:
                return decoded(examples[index].image, upright).shape
            except Exception:  # It is reported when its turn comes.
                continue
    return None


def decode_all(
    decoder: Decoder,
    images: Rows,
    progress: bool = True,
    release: Callable[[], object] = lambda: None,
) -> Index:
    """Decodes every image into its row.

    Args:
      decoder: of the dataset.
      images: uint8 of `decoder.shape`, filled in; rows of corrupt images are left as they are.
      progress: show a progress bar when it takes more than a second.
      release: called whenever about `RELEASE_BYTES` have been written.

    Raises:
      MixedSizes: images were to keep their size and have several.
      WiderRange: it was not known what is white, and the least it may be is too little.
      UserError: the dataset itself is damaged.
    """
    span = Span()

    def one(row: int) -> _Seen:
        examples, index = decoder.locate(row)
        example = None
        try:
            example = examples[index]
            content = checksum(example.image)
            image = decoder.decoded(example.image)
            images[row] = decoder.fit(image)
            span.add(image)
        except (MixedSizes, MemoryError):
            raise
        except Exception as e:  # Decoders raise a dozen types for damaged files.
            if isinstance(e, WiderRange) and decoder.white is None:
                raise
            if example is not None:
                key, label = example.key, example.label
            elif examples.labels is not None and isinstance(e, UserError):
                key, label = None, examples.labels[index]
            else:
                raise
            return _Seen(int(label), failure=describe(examples.split, index, key, e))
        return _Seen(example.label, example.group, content)

    index = _pass(decoder, one, "decoding", progress, release)
    return index._replace(levels=span.levels(int(index.good.sum())))


def is_known(examples: Examples) -> bool:
    """Whether a split's labels, and what tells its examples apart, are known without reading it."""
    return examples.labels is not None and (examples.sizes is not None or not len(examples))


def read_index(decoder: Decoder, check: bool, progress: bool = True) -> Index:
    """Labels and domains of all examples.

    Args:
      decoder: of the dataset.
      check: whether to decode every image, to find the corrupt ones.
      progress: show a progress bar when it takes more than a second.

    Raises:
      UserError: the dataset itself is damaged.
    """
    if check:
        return decode_all(decoder, _Discard(), progress)
    if all(is_known(examples) for examples in decoder.splits):
        labels = np.concatenate([x.labels for x in decoder.splits if x.labels is not None])
        groups = [
            np.zeros(len(x), np.int64) if x.groups is None else x.groups for x in decoder.splits
        ]
        good = np.ones(len(labels), bool)
        return Index(labels, np.concatenate(groups), good, (), decoder.resizes)

    def one(row: int) -> _Seen:
        examples, index = decoder.locate(row)
        example = examples[index]
        return _Seen(example.label, example.group, checksum(example.image))

    return _pass(decoder, one, "reading labels", progress)


class _Discard:
    """An array that forgets what is written."""

    def __setitem__(self, index: int, value: np.ndarray, /) -> None:
        pass


class _Seen(NamedTuple):
    """What a pass finds of an example; `failure` says what is wrong with its image."""

    label: int
    group: int = 0
    content: int = 0
    failure: str | None = None


def _pass(
    decoder: Decoder,
    one: Callable[[int], _Seen],
    what: str,
    progress: bool,
    release: Callable[[], object] = lambda: None,
) -> Index:
    """Calls `one` for every row."""
    total = decoder.shape[0]
    labels, groups = np.zeros(total, np.int64), np.zeros(total, np.int64)
    content = np.zeros(total, np.uint64)
    good = np.ones(total, bool)
    failures: dict[int, str] = {}

    def chunk(start: int) -> int:
        stop = min(start + CHUNK, total)
        for row in range(start, stop):
            labels[row], groups[row], content[row], failure = one(row)
            if failure is not None:
                good[row], failures[row] = False, failure
        return stop - start

    every = max(1, RELEASE_BYTES // (CHUNK * math.prod(decoder.shape[1:])))
    pool = ThreadPoolExecutor(os.cpu_count())
    bar = progress_bar(total, what, delay=1, disable=not progress, leave=False)
    try:
        with bar:
            started = [pool.submit(chunk, start) for start in range(0, total, CHUNK)]
            for number, done in enumerate(as_completed(started)):
                bar.update(done.result())
                if number % every == every - 1:
                    release()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    corrupt = tuple(failures[row] for row in sorted(failures))
    return Index(labels, groups, good, corrupt, decoder.resizes, content=content)


def describe(split: str, index: int, key: str | None, error: Exception) -> str:
    """One line about an image that cannot be decoded."""
    named = "" if key is None else f" ({key})"
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return f"{split} example {index}{named}: {kind}{' '.join(str(error).split())}"
