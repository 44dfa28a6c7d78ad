"""What tests send to a server."""

import http.client
import io
import json
import struct
import zlib

import numpy as np
from PIL import Image

BOUNDARY = "a-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def picture(seed=0, size=(40, 30), kind="PNG"):
    """A small image file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def huge(width, height):
    """A small PNG file of very many black pixels."""

    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(width + 1)) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*x) for x in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


def part(content, name="image.png", field="images"):
    """One file of a form."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"'
    return head.encode() + b"\r\nContent-Type: image/png\r\n\r\n" + content + b"\r\n"


def form(*parts):
    """A whole form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def ask(address, method, path, body=None, headers=None, seconds=60):
    """The status, headers and body of an answer, the body read as JSON if it is that."""
    connection = http.client.HTTPConnection(*address, timeout=seconds)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    is_json = response.headers.get_content_type() == "application/json"
    return response.status, response.headers, json.loads(content) if is_json else content.decode()


def predict(address, *parts, query="", **more):
    """The status, headers and body of the answer to a form."""
    return ask(address, "POST", "/predict" + query, form(*parts), {"Content-Type": FORM}, **more)
