"""What the examples of a split are, told apart by checksums, without their pixels.

A checksum of the content is taken when images are read for decoding. Where they are read only when
asked for, the names and sizes of their files stand for them. Neither depends on where data lie, on
times, or on whether they are packed into an archive.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

NAMED = 5
"""Images that are named in a message for each kind of change."""

Digests = dict[str, Any]
"""Of a split: `count`, `content` and `files`, the last two None where nothing is known of them."""


def checksum(image: bytes | np.ndarray) -> int:
    """64 bits that stand for an image file's bytes, or for an array."""
    content = image if isinstance(image, bytes) else np.ascontiguousarray(image).data
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


class Contents(NamedTuple):
    """The examples of a split, in order.

    Attributes:
      labels: int32 `[N]`.
      content: `checksum` of each, uint64 `[N]`; None where images were not read.
      names: of the files, with folders, an object array `[N]`; None where there are no files.
      sizes: of the files in bytes, int64 `[N]`; None where there are no files.
    """

    labels: np.ndarray
    content: np.ndarray | None = None
    names: np.ndarray | None = None
    sizes: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Contents:
        """Some of the examples."""
        others = (self.content, self.names, self.sizes)
        return Contents(self.labels[rows], *(None if x is None else x[rows] for x in others))

    def files(self) -> np.ndarray | None:
        """A checksum of each file's own name, size and label, uint64 `[N]`."""
        if self.names is None or self.sizes is None:
            return None
        lines = (
            f"{posixpath.basename(name)}\0{size}\0{label}".encode("utf-8", "surrogatepass")
            for name, size, label in zip(self.names, self.sizes, self.labels, strict=True)
        )
        return np.fromiter(map(checksum, lines), np.uint64, len(self.labels))

    def digests(self, ordered: bool) -> Digests:
        """What stands for all examples; labels are part of it, and the order if it counts."""
        return {
            "count": len(self.labels),
            "content": _digest(self.content, self.labels, ordered),
            "files": _digest(self.files(), self.labels, ordered),
        }


def digests(contents: Mapping[str, Contents]) -> dict[str, Digests]:
    """Of all splits by name. The order counts for train, whose batches are drawn by position."""
    return {name: x.digests(ordered=name == "train") for name, x in contents.items()}


def same(there: Digests, here: Digests) -> bool:
    """Whether two splits hold the same examples with the same labels, as far as both know them."""
    if there["count"] != here["count"]:
        return False
    for kind in ("content", "files"):
        if there[kind] is not None and here[kind] is not None:
            return there[kind] == here[kind]
    return True


def joined(there: Mapping[str, Digests], here: Mapping[str, Digests]) -> dict[str, Digests]:
    """All that is known of splits that are the same, whichever side knows it."""
    return {
        name: {key: there.get(name, {}).get(key) if x is None else x for key, x in of.items()}
        for name, of in here.items()
    }


def changes(there: Mapping[str, Digests], here: Mapping[str, Digests]) -> list[str]:
    """The splits that hold other examples than before, a text for each."""
    texts = []
    for name in dict.fromkeys((*there, *here)):
        before, now = there.get(name), here.get(name)
        if before is None or now is None or not same(before, now):
            counts = [f"{x['count']:,} examples" if x else "none" for x in (before, now)]
            what = "other examples, or in another order" if counts[0] == counts[1] else counts[1]
            texts.append(f"{name} had {counts[0]} and has {what}")
    return texts


def are_told_apart(one: Contents, other: Contents) -> bool:
    """Whether both know their examples by content, or both by files."""
    return any(
        a is not None and b is not None
        for a, b in ((one.content, other.content), (one.names, other.names))
    )


def aligned(one: Contents, other: Contents) -> np.ndarray | None:
    """For each example of a split its place in another one with the same; None for others."""
    ids = (one.content, other.content), (one.files(), other.files())
    known = next(((a, b) for a, b in ids if a is not None and b is not None), None)
    there, here = known or tuple(np.zeros(len(x.labels), np.uint64) for x in (one, other))
    if np.array_equal(there, here) and np.array_equal(one.labels, other.labels):
        return np.arange(len(here))
    if known is None or len(there) != len(here):
        return None
    before, now = np.lexsort((one.labels, there)), np.lexsort((other.labels, here))
    if not np.array_equal(there[before], here[now]):
        return None
    if not np.array_equal(one.labels[before], other.labels[now]):
        return None
    places = np.empty_like(now)
    places[before] = now
    return places


class _Row(NamedTuple):
    """An example: what tells it from others, its label, split, and file."""

    id: int
    label: int
    split: str
    name: str | None

    @property
    def place(self) -> tuple[int, str | None]:
        return self.label, None if self.name is None else posixpath.basename(self.name)


def details(there: Mapping[str, Contents], here: Mapping[str, Contents]) -> list[str]:
    """What became of single images, all splits together: how many were added, and so on.

    Empty where the images of both sides cannot be told apart in the same way.
    """
    shared = [name for name in there if name in here]
    both = [x[name] for x in (there, here) for name in shared]
    ids = _known([x.content for x in both]) or _known([x.files() for x in both])
    if not ids:
        return []
    before = _rows(there, shared, ids[: len(shared)])
    now = _rows(here, shared, ids[len(shared) :])
    gone, new = _without(before, now), _without(now, before)
    places = {row.place for row in gone if row.name is not None}
    changed = [row for row in new if row.name is not None and row.place in places]
    replaced = {row.place for row in changed}
    labels, splits = _by_id(before, "label"), _by_id(before, "split")
    found = {
        "added": [row for row in new if row.place not in replaced],
        "removed": [row for row in gone if row.place not in replaced],
        "changed": changed,
        "with another label": [x for x in now if x.id in labels and x.label not in labels[x.id]],
        "now in another split": [x for x in now if x.id in splits and x.split not in splits[x.id]],
    }
    return [_counted(rows, what) for what, rows in found.items() if rows]


def overlap(seen: np.ndarray, contents: Contents) -> int | None:
    """How many examples have a content that was seen; None where their content is not known."""
    if contents.content is None:
        return None
    return int(np.isin(contents.content, seen).sum())


def _known(ids: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """All of them; empty where one is not known."""
    known = [x for x in ids if x is not None]
    return known if len(known) == len(ids) else []


def _rows(
    contents: Mapping[str, Contents], splits: Sequence[str], ids: Sequence[np.ndarray]
) -> list[_Row]:
    rows = []
    for split, of_split in zip(splits, ids, strict=True):
        known = contents[split].names
        names: Iterable[str | None] = [None] * len(of_split) if known is None else known
        labels = contents[split].labels.tolist()
        rows += [
            _Row(one, label, split, name)
            for one, label, name in zip(of_split.tolist(), labels, names, strict=True)
        ]
    return rows


def _without(some: Sequence[_Row], others: Sequence[_Row]) -> list[_Row]:
    """The rows that others have not, or not so often."""
    left, rows = Counter(row.id for row in others), []
    for row in some:
        if left[row.id]:
            left[row.id] -= 1
        else:
            rows.append(row)
    return rows


def _by_id(rows: Sequence[_Row], attribute: str) -> dict[int, set[Any]]:
    found: dict[int, set[Any]] = {}
    for row in rows:
        found.setdefault(row.id, set()).add(getattr(row, attribute))
    return found


def _counted(rows: Sequence[_Row], what: str) -> str:
    names = [row.name for row in rows[:NAMED] if row.name is not None]
    more = ", ..." if names and len(rows) > NAMED else ""
    return f"{len(rows):,} {what}" + (f" ({', '.join(names)}{more})" if names else "")


def _digest(ids: np.ndarray | None, labels: np.ndarray, ordered: bool) -> str | None:
    if ids is None:
        return None
    order = slice(None) if ordered else np.lexsort((labels, ids))
    total = hashlib.blake2b(np.ascontiguousarray(ids[order], "<u8").data, digest_size=8)
    total.update(np.ascontiguousarray(labels[order], "<i4").data)
    return total.hexdigest()
