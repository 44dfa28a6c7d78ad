"""The files of a request in `multipart/form-data`, taken apart while they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vp_jax.serving.limits import Limits, Refusal

FORM = b"multipart/form-data"
LONGEST_NAME = 200


class Upload(NamedTuple):
    """A file as it was sent.

    Attributes:
      name: as the client calls it, on one line; it stands for no path here.
      content: its bytes.
    """

    name: str
    content: bytes


async def read_uploads(
    content_type: str | None,
    chunks: AsyncIterator[bytes],
    limits: Limits,
    hold: Callable[[int], None],
) -> list[Upload]:
    """The files of a request, in order; fields that are no files are passed over.

    Args:
      content_type: the header.
      chunks: of the body.
      limits: of files and bytes; what is beyond them is refused as soon as it is, and not read on.
      hold: is told of bytes as they arrive.

    Raises:
      Refusal: the body is no form or a broken one, too large, or has too many files or none.
    """
    kind, options = parse_options_header(content_type)
    if kind != FORM or not options.get(b"boundary"):
        raise Refusal(415, "send images as files of a form: Content-Type multipart/form-data")
    form, size = _Form(limits), 0
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": form.begin,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_part_data": form.data,
                "on_part_end": form.end,
                "on_end": form.finish,
            },
        )
        async for chunk in chunks:
            size += len(chunk)
            if size > limits.body:
                raise Refusal(413, too_large(limits))
            hold(len(chunk))
            parser.write(chunk)
    except FormParserError as error:
        raise Refusal(400, f"the form is broken: {error}") from error
    if not form.is_whole:
        raise Refusal(400, "the form is broken: it ends before its last boundary")
    if not form.uploads:
        raise Refusal(422, "there is no file in the form: send one image or several")
    return form.uploads


def too_large(limits: Limits) -> str:
    """The reason for which a body is refused that has too many bytes."""
    return f"a request may have {limits.body:,} bytes: send fewer or smaller images"


class _Form:
    """What the parser has found so far."""

    def __init__(self, limits: Limits):
        self.uploads: list[Upload] = []
        self.is_whole = False
        self._most = limits.files
        self.begin()

    def begin(self) -> None:
        self._field, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._file: str | None = None
        self._content = bytearray()
        self._is_known = False

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file():
            self._content += memoryview(data)[start:end]

    def end(self) -> None:
        if self._is_file() and (self._file or self._content):  # not a chooser left empty
            self.uploads.append(Upload(self._file or "image", bytes(self._content)))
        self.begin()

    def finish(self) -> None:
        self.is_whole = True

    def _is_file(self) -> bool:
        """Whether the part is a file; known once its headers are over.

        Raises:
          Refusal: it is one too many.
        """
        if not self._is_known:
            self._is_known = True
            _, options = parse_options_header(self._disposition)
            if (name := options.get(b"filename")) is not None:
                if len(self.uploads) == self._most:
                    raise Refusal(413, f"a request may have {self._most} images: send fewer")
                self._file = _one_line(name.decode("utf-8", "replace"))
        return self._file is not None


def _one_line(name: str) -> str:
    return "".join(x if x.isprintable() else " " for x in name)[:LONGEST_NAME].strip()
