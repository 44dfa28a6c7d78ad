"""A mapping that its user writes down: one source class for every downstream class."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.mappings.indices import select
from vp_jax.heads.mappings.names import index_of

Entry = TypeVar("Entry", int, str)


def fixed(table: Sequence[int | str], source_names: Sequence[str] | None = None) -> Head:
    """The logits of the given source classes: downstream class i is source class `table[i]`.

    With `swapped` this is the study of similar, dissimilar and swapped classes of Bahng et al.,
    "Exploring Visual Prompts for Adapting Large-Scale Models" (2022).

    Args:
      table: K source classes, by number from 0 to Ks - 1 or by name; a class may occur repeatedly.
      source_names: the names of all Ks source classes, needed where the table holds names.

    Returns:
      The head. It reads logits; its parameters are `indices`, [K], int32.

    Raises:
      UserError: here for an empty table, for entries that are neither ints of at least 0 nor known
        names; in `init` for a table of another length than the number of classes, and for a source
        class that the backbone has not.

    >>> from vp_jax import heads
    >>> heads.fixed([7, 2]).init(None, 1000, 2)["indices"].tolist()
    [7, 2]
    """
    if isinstance(table, str) or not len(table):
        raise UserError(
            f"head 'fixed' needs a table of source classes, one for each class, got {table!r};"
            " give --config.head.table, for example (281, 207)"
        )
    indices = [_index(position, entry, source_names) for position, entry in enumerate(table)]

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        del rng
        inputs, classes = check_sizes(inputs, classes)
        if source_names is not None and len(source_names) != inputs:
            raise UserError(
                f"head 'fixed' was given {len(source_names)} source class names, but the backbone"
                f" has {inputs} source classes; give the names of this backbone's classes"
            )
        if len(indices) != classes:
            raise UserError(
                f"the table of head 'fixed' has {len(indices)} entries, but there are {classes}"
                " classes; it needs one source class for each"
            )
        if max(indices) >= inputs:
            position = int(np.argmax(indices))
            raise UserError(
                f"entry {position} of the table of head 'fixed' is {indices[position]}, but the"
                f" backbone's source classes are 0 to {inputs - 1}"
            )
        return {"indices": jnp.asarray(indices, jnp.int32)}

    return Head("logits", init_fn, select, trainable=False, name="fixed")


def swapped(table: Sequence[Entry], i: int, j: int) -> list[Entry]:
    """The table with the source classes of downstream classes i and j exchanged.

    Args:
      table: K source classes, by number or by name.
      i, j: two downstream classes, 0 to K - 1.

    Raises:
      UserError: i or j is out of range.

    >>> swapped([7, 2, 5], 0, 2)
    [5, 2, 7]
    """
    table = list(table)
    for place in (i, j):
        if isinstance(place, bool) or not isinstance(place, numbers.Integral):
            raise UserError(f"swapped() takes two classes by number, got {place!r}")
        if not 0 <= place < len(table):
            raise UserError(
                f"swapped() cannot exchange class {place}: the table has classes 0 to"
                f" {len(table) - 1}"
            )
    table[i], table[j] = table[j], table[i]
    return table


def _index(position: int, entry: object, source_names: Sequence[str] | None) -> int:
    """The number of the source class that one entry of a table names."""
    if isinstance(entry, str):
        if source_names is None:
            raise UserError(
                f"entry {position} of the table of head 'fixed' is the name {entry!r}: names need"
                " source_names, the names of the backbone's source classes; or give its number"
            )
        return index_of("source class", entry, source_names)
    if isinstance(entry, bool) or not isinstance(entry, numbers.Integral) or entry < 0:
        raise UserError(
            f"entry {position} of the table of head 'fixed' must be the number of a source class,"
            f" an int of at least 0, or its name, got {entry!r}"
        )
    return int(entry)
