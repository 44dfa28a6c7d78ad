"""Forms are taken apart while they arrive, however they are cut."""

import asyncio

import pytest
from clients import BOUNDARY, FORM, form, part

from vp_jax.serving.limits import Limits, Refusal
from vp_jax.serving.uploads import Upload, read_uploads

LIMITS = Limits(files=3, body=2000)
CONTENTS = [b"first\r\n--not a boundary", bytes(range(256)), b"\r\n--a-bound", b"x"]


def read(body, *, size=1000, content_type=FORM, hold=lambda count: None, limits=LIMITS):
    async def chunks():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return asyncio.run(read_uploads(content_type, chunks(), limits, hold))


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_files_are_whole_and_in_order_however_they_arrive(size):
    wanted = [Upload(f"{i}.png", content) for i, content in enumerate(CONTENTS[:3])]
    held = []
    body = form(*(part(x.content, x.name) for x in wanted))
    assert read(body, size=size, hold=held.append) == wanted
    assert sum(held) == len(body)


def test_fields_that_are_no_files_are_passed_over_and_choosers_left_empty():
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    body = form(field.encode(), part(b"", ""), part(b"abc", "", "any"), part(b"", "empty.png"))
    assert read(body) == [Upload("image", b"abc"), Upload("empty.png", b"")]


def test_names_are_texts_on_one_line_and_no_longer_than_that():
    body = form(
        part(b"x", "häuser [1] (neu).png"), part(b"x", "a\tb\x1b[31m"), part(b"x", "n" * 999)
    )
    names = [x.name for x in read(body)]
    assert names == ["häuser [1] (neu).png", "a b [31m", "n" * 200]


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (form(*4 * [part(b"x")]), {}, 413),
        (form(part(bytes(2000))), {}, 413),
        (form(part(b"x"))[:-20], {}, 400),
        (form(part(b"x")), {"content_type": "multipart/form-data; boundary=other"}, 400),
        (b"nonsense", {}, 400),
        (b"", {}, 400),
        (form(part(b"x")), {"content_type": "multipart/form-data"}, 415),
        (form(part(b"x")), {"content_type": "image/png"}, 415),
        (form(part(b"x")), {"content_type": None}, 415),
        (form(part(b"x")), {"content_type": f"multipart/form-data; boundary={'b' * 300}"}, 400),
        (form(), {}, 422),
        (form(part(b"", "")), {}, 422),
        (f"--{BOUNDARY}\r\n".encode() + b"X: y\r\n" * 300 + b"\r\n", {}, 400),
    ],
)
def test_what_is_refused(body, more, status):
    with pytest.raises(Refusal) as refusal:
        read(body, **more)
    assert refusal.value.status == status and refusal.value.reason


def test_what_is_too_large_is_not_read_to_its_end():
    read_chunks = []

    async def endless():
        yield part(b"")[:-2]
        while True:
            read_chunks.append(1)
            yield bytes(100)

    with pytest.raises(Refusal) as refusal:
        asyncio.run(read_uploads(FORM, endless(), LIMITS, lambda count: None))
    assert refusal.value.status == 413 and len(read_chunks) < 25


def test_a_refusal_of_more_bytes_ends_it():
    def full(count):
        raise Refusal(503, "full", 3)

    with pytest.raises(Refusal) as refusal:
        read(form(part(b"x")), hold=full)
    assert refusal.value.retry_after == 3
