"""The mapping as a table of class names, for people to read, keep and give back."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

import jax
import numpy as np
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.heads.mappings.names import distinct, index_of
from vp_jax.host import files

COLUMNS = ("source class", "target class", "weight")
ROWS_PER_TARGET = 20

Row = tuple[str, str, float]
"""Name of the source class, name of the downstream class, weight."""


def mapping_rows(
    params: Mapping[str, ArrayLike], source_names: Sequence[str], target_names: Sequence[str]
) -> list[Row]:
    """Which source classes stand for which downstream class, by name.

    Args:
      params: of a head with `indices` [K], or `weights` or `kernel` [Ks, K].
      source_names: of the Ks source classes. A name that several have gets the class's number.
      target_names: of the K downstream classes, likewise.

    Returns:
      Rows in the order of the downstream classes: one of weight 1 for an index; for a matrix the
      20 largest weights of the class, largest first (ties: the lowest source class), without zeros.

    Raises:
      UserError: the parameters are not those of a mapping, or the names are not as many as the
        classes.
    """
    sources, targets = distinct(source_names), distinct(target_names)
    if "indices" in params:
        indices = np.asarray(jax.device_get(params["indices"]))
        if len(indices) != len(targets) or indices.max() >= len(sources):
            raise UserError(
                f"the mapping has {len(indices)} classes and source classes up to number"
                f" {indices.max()}, but {len(targets)} class names and {len(sources)} source class"
                " names were given; give one name for each class"
            )
        return [(sources[s], target, 1.0) for s, target in zip(indices, targets, strict=True)]
    for name in ("weights", "kernel"):
        if name in params:
            matrix = np.asarray(jax.device_get(params[name]))
            break
    else:
        raise UserError(
            "a table of source classes needs a mapping with indices, weights or kernel, but this"
            f" head has {', '.join(sorted(params)) or 'no parameters'}"
        )
    if matrix.shape != (len(sources), len(targets)):
        raise UserError(
            f"the {name} of the mapping are of shape {matrix.shape}, but {len(targets)} class names"
            f" and {len(sources)} source class names were given; give one name for each class"
        )
    return [
        (sources[s], target, float(column[s]))
        for target, column in zip(targets, matrix.T, strict=True)
        for s in _largest(column)
    ]


def write_csv(path: str | os.PathLike[str], rows: Iterable[Row]) -> None:
    """Writes the rows as a CSV file, whole or not at all.

    Args:
      path: of the file; its folder is made where it is missing.
      rows: as `mapping_rows` gives them. Weights are written with 9 digits, which give back every
        float32.

    Raises:
      OSError: the file cannot be written; one that was there before is untouched.
    """

    def fill(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows((source, target, f"{weight:.9g}") for source, target, weight in rows)
        text.detach()

    files.write(path, fill)


def read_table(
    path: str | os.PathLike[str], source_names: Sequence[str], target_names: Sequence[str]
) -> list[int]:
    """Reads the table of `fixed` from a CSV file as `write_csv` writes it.

    Args:
      path: of the file: a header, then one row for every downstream class, in any order.
      source_names: of the Ks source classes.
      target_names: of the K downstream classes.

    Returns:
      The source class of every downstream class, by number.

    Raises:
      UserError: the file is not there, is no such table, has a name that no class or more than one
        class has, or has not exactly one row for every downstream class.
    """
    try:
        with files.expanded(path).open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except OSError as error:
        raise UserError(
            f"the table of source classes {os.fspath(path)!r} cannot be read: {error.strerror};"
            " correct --config.head.table"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"the table of source classes {os.fspath(path)!r} is no CSV file in UTF-8: {error}"
        ) from error
    where = f"the table of source classes {os.fspath(path)!r}"
    header = tuple(lines[0]) if lines else ()
    if header != COLUMNS:
        raise UserError(
            f"{where} must begin with the line {','.join(COLUMNS)!r}, but begins with"
            f" {','.join(header)!r}"
        )
    table: dict[int, int] = {}
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(COLUMNS):
            raise UserError(f"{where}, row {number}, has {len(line)} columns, not {len(COLUMNS)}")
        source = index_of(f"source class in row {number} of {where}:", line[0], source_names)
        target = index_of(f"class in row {number} of {where}:", line[1], target_names)
        if target in table:
            raise UserError(
                f"{where} has several source classes for {line[1]!r}, the last in row {number}; a"
                " fixed mapping takes one: keep one row for each class"
            )
        table[target] = source
    missing = [name for i, name in enumerate(distinct(target_names)) if i not in table]
    if missing:
        raise UserError(
            f"{where} has no row for {len(missing)} of the {len(target_names)} classes:"
            f" {', '.join(missing[:20])}; add one for each"
        )
    return [table[i] for i in range(len(target_names))]


def _largest(column: np.ndarray) -> np.ndarray:
    """The places of the largest numbers that are not 0, largest first, ties by place."""
    places = np.flatnonzero(column)
    if places.size > ROWS_PER_TARGET:
        values = column[places]
        least = np.partition(values, -ROWS_PER_TARGET)[-ROWS_PER_TARGET]
        places = places[values >= least]
    order = np.argsort(-column[places], kind="stable")
    return places[order[:ROWS_PER_TARGET]]
