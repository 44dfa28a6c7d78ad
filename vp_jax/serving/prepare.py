"""Files that strangers have sent, to images as a classifier takes them."""

from __future__ import annotations

from collections.abc import Sequence

from vp_jax.data.images.corrupt import CorruptImage
from vp_jax.data.images.decode import check_size
from vp_jax.data.images.given import NamedImage
from vp_jax.data.images.prepared import Prepared, prepare
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError
from vp_jax.serving.uploads import Upload

MOST_SCANS = 100
"""Of a JPEG file: each takes another pass over all pixels, and progressive ones have about ten."""

_SCAN = b"\xff\xda"


def prepared(
    upload: Upload, rules: Sequence[ResizeRule], upright: bool, most_pixels: int
) -> Prepared | UserError:
    """Decodes, resizes and crops a file, by each of the rules; or says why it cannot.

    Args:
      upload: the file, known by its content and not by its name.
      rules, upright: as for `data.images.prepared.prepare`.
      most_pixels: by its header; of larger ones none is decoded.
    """

    def read() -> bytes:
        check_size(upload.content, most_pixels)
        if upload.content.startswith(b"\xff\xd8") and upload.content.count(_SCAN) > MOST_SCANS:
            raise CorruptImage(f"the JPEG file has more than {MOST_SCANS} scans: save it again")
        return upload.content

    return prepare(NamedImage(upload.name, read), 0, rules, upright)
