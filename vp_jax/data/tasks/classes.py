"""Which classes labels stand for: compared by name, since numbers alone would mix them up."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vp_jax.errors import UserError

SHOWN = 20
"""Classes that are named in a message."""


class Classes(NamedTuple):
    """What the labels 0, 1, 2, ... stand for.

    Attributes:
      names: as a model reads them and people see them, one a label.
      keys: what the data call the classes: folders, labels of a CSV, names of the dataset; None
        where data have numbers only.
      own: the names that the data give them, by a `classes.txt` for example; else the keys.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...] | None = None
    own: tuple[str, ...] | None = None

    @property
    def are_numbered(self) -> bool:
        """Whether only the names say what is meant: the keys are numbers."""
        return self.keys is not None and self.own != self.keys and all(map(_is_number, self.keys))

    def reordered(self, places: np.ndarray, also_names: bool) -> Classes:
        """The classes, each put where `places` says; their names only if that is asked for."""
        at = np.argsort(places)
        keys, own = (
            None if texts is None else tuple(texts[i] for i in at)
            for texts in (self.keys, self.own)
        )
        names = tuple(self.names[i] for i in at) if also_names else self.names
        return Classes(names, keys, own)


def order(run: Classes, data: Classes, of_run: str, of_data: str) -> np.ndarray:
    """The label that a run gives to each class of some data.

    Classes are the same if their keys are, whatever their names; or else if their names are. Keys
    that are numbers say nothing where both sides have names.

    Args:
      run, data: both sides.
      of_run, of_data: whose classes they are, for messages.

    Returns:
      int64 `[K]`: for each label of the data that of the run.

    Raises:
      UserError: the classes are not the same, or keys and names pair them differently.
    """
    by_key = by_own = None
    if not (run.are_numbered and data.are_numbered):
        by_key = _places(run.keys, data.keys)
    if run.own != run.keys and data.own != data.keys:
        by_own = _places(run.own, data.own)
    if by_key is not None and by_own is not None and not np.array_equal(by_key, by_own):
        i = int(np.flatnonzero(by_key != by_own)[0])
        keys, here, there = data.keys or (), data.own or (), run.own or ()
        raise UserError(
            f"the classes of {of_data} are those of {of_run}, but under each other's names: "
            f"{keys[i]!r} is called {here[i]!r} here and {there[by_key[i]]!r} there, so "
            "it is unclear which class its images are of. Let a class that kept its images keep "
            "its name and its folder or label"
        )
    found = [by_key, by_own]
    if data.keys is None or run.keys is None:
        found.append(_places(run.names, data.names))
    found += [_places(run.own, data.own), _places(run.names, data.own)]
    # Folders may be called what names were.
    found += [_places(run.own, data.keys), _places(run.keys, data.own)]
    found.append(_places(run.names, data.keys))
    for places in found:
        if places is not None:
            return places
    raise UserError(_different(run, data, of_run, of_data))


def same_names(run: Sequence[str], data: Sequence[str], of_run: str, of_data: str) -> None:
    """Refuses classes that are not called alike.

    Raises:
      UserError: names every difference, up to `SHOWN`.
    """
    differing = [f"{a!r} is {b!r}" for a, b in zip(run, data, strict=True) if a != b]
    if differing:
        raise UserError(
            f"the head reads the names of the classes, and those of {of_run} are not those of "
            f"{of_data}: {_listed(differing)} now. Give the classes the names back, or train anew"
        )


def _places(there: Sequence[str] | None, here: Sequence[str] | None) -> np.ndarray | None:
    """The place in `there` of each text in `here`; None unless they are the same texts."""
    if there is None or here is None or len(there) != len(here):
        return None
    there, here = ([unicodedata.normalize("NFC", text) for text in x] for x in (there, here))
    if there == here:
        return np.arange(len(here))
    if len(set(there)) < len(there) or set(there) != set(here):
        return None
    place = {text: i for i, text in enumerate(there)}
    return np.array([place[text] for text in here], np.int64)


def _is_number(key: str) -> bool:
    return key.strip().lstrip("+-").isdecimal()


def _different(run: Classes, data: Classes, of_run: str, of_data: str) -> str:
    there, here = run.own or run.names, data.own or data.names
    sides = ((of_run, there, here), (of_data, here, there))
    only = [
        f"only of {whose}: {_listed(list(map(repr, more)))}"
        for whose, ours, theirs in sides
        if (more := list((Counter(ours) - Counter(theirs)).elements()))
    ]
    if not only:
        only = ["they are in another order, and a name stands for several of them"]
    listed = [
        f"of {whose} ({len(ours)}): {_listed(list(map(repr, ours)))}" for whose, ours, _ in sides
    ]
    return (
        f"the classes of {of_data} are not those of {of_run}: {'; '.join(only)}. "
        f"The classes {'; '.join(listed)}. What was trained fits its own classes only: give data "
        "with the same ones. If only names have changed, give the classes their former names, for "
        "example by a classes.txt beside the images with a line 'class: former name' for each"
    )


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
