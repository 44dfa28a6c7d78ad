"""Image files as somebody names them: single ones, folders and archives."""

from __future__ import annotations

import functools
import os
import pathlib
import posixpath
from collections.abc import Iterable, Iterator

from vp_jax.data.files.file_tree import open_tree, printable
from vp_jax.data.images.given import NamedImage
from vp_jax.data.sources.folder_layout import is_image
from vp_jax.errors import UserError
from vp_jax.host import files

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""What the names of files end in that are opened, in lower case."""


def listed(paths: Iterable[str]) -> Iterator[NamedImage]:
    """The images that paths name, one after the other; each path is looked at in its turn.

    A folder or an archive stands for all images in it, in the order of their names, hidden ones and
    files that are no images by their suffix left out. Any other path is an image, whether it is
    there or not. What cannot be listed, or holds no image, is an image that cannot be read.
    """
    for text in paths:
        try:
            path = files.expanded(text)
            if path.is_dir() or path.name.lower().endswith(ARCHIVES):
                yield from _below(path)
            else:
                yield NamedImage(printable(str(path)), path.read_bytes, _folder(path))
        except (UserError, OSError) as error:
            yield NamedImage(printable(text), functools.partial(_refuse, error))


def _below(path: pathlib.Path) -> Iterator[NamedImage]:
    tree = open_tree(path)
    names = [name for name in tree.files if is_image(name)]
    if not names:
        raise UserError(f"there is no image in {printable(str(path))}: name another folder or file")
    top = _folder(path / "image") if path.is_dir() else ""
    for name in names:
        folder = posixpath.basename(posixpath.dirname(name)) or top
        shown = printable(os.path.join(path, name))
        yield NamedImage(shown, functools.partial(tree.read, name), printable(folder))


def _refuse(error: Exception) -> bytes:
    raise error


def _folder(path: pathlib.Path) -> str:
    return printable(os.path.basename(os.path.dirname(os.path.abspath(path))))
