"""The application alone, with a model that waits: no room, nobody there any more, too long."""

import asyncio
import json
import threading
import types

import numpy as np
import pytest
from clients import FORM, form, part, picture

from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.serving.app import make_app
from vp_jax.serving.limits import Limits
from vp_jax.serving.metrics import Metrics
from vp_jax.serving.model import ANSWER, EXPLAIN, Found
from vp_jax.serving.prepare import prepared
from vp_jax.serving.service import Service

NAMES = ("dark", "bright")


class Model:
    """Says whether an image is bright, as soon as it is let go."""

    shapes = {ANSWER: (1, 4), EXPLAIN: (2,)}
    plain, about_plain = "There is none.", "There is none."

    def __init__(self):
        self.go, self.begun, self.computed = threading.Event(), threading.Event(), 0
        backbone = types.SimpleNamespace(name="own", image_size=4)
        self.classifier = types.SimpleNamespace(
            class_names=NAMES, backbone=backbone, prompt="normalize", parts={}
        )

    def prepare(self, lane, upload, most_pixels):
        return prepared(upload, (ResizeRule(4),), False, most_pixels)

    def compute(self, lane, batch, size):
        self.begun.set()
        assert self.go.wait(20)
        self.computed += len(batch)
        means = [one[0].mean() / 255 for one in batch]
        pictures = [(one[0] / 255,) if lane == EXPLAIN else () for one in batch]
        rows = [np.array([1 - x, x], np.float32) for x in means]
        return [Found(row, None, p) for row, p in zip(rows, pictures, strict=True)]


class Client:
    """Calls an application as a server does, and may go away."""

    def __init__(self, app):
        self._app, self.gone = app, asyncio.Event()

    async def ask(self, *parts, query=b""):
        body, sent, state = form(*parts), [], {"asked": 0}

        async def receive():
            state["asked"] += 1
            if state["asked"] == 1:
                return {"type": "http.request", "body": body, "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {
            **{"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict"},
            **{"query_string": query, "headers": [(b"content-type", FORM.encode())]},
            **{"http_version": "1.1", "scheme": "http", "server": ("h", 1), "root_path": ""},
        }
        await self._app(scope, receive, send)
        headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
        content = b"".join(x.get("body", b"") for x in sent[1:])
        return sent[0]["status"], headers, json.loads(content) if content else None


@pytest.fixture
def made():
    """A function that makes a client of an application with some limits; and its model."""
    model, services = Model(), []

    def make(**limits):
        service = Service(model, Limits(**limits), Metrics(), 2)
        services.append(service)
        return Client(make_app(service)), service

    yield make, model
    model.go.set()
    for service in services:
        service.close()


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("nothing happened")


def images(count):
    return [part(picture(i), f"{i}.png") for i in range(count)]


def test_a_full_queue_is_503_and_all_that_were_let_in_are_answered(made):
    make, model = made

    async def run():
        client, service = make(files=3, waiting=6)
        let_in = [asyncio.create_task(client.ask(*images(3))) for _ in range(2)]
        await until(lambda: service.admission.images == 6)
        status, headers, body = await client.ask(*images(1))
        assert status == 503 and int(headers["retry-after"]) >= 1 and "6 images" in body["error"]
        assert headers["connection"] == "close"
        model.go.set()
        for status, _, body in await asyncio.gather(*let_in):
            assert status == 200 and [x["image"] for x in body["images"]] == [
                *("0.png", "1.png", "2.png")
            ]
        assert service.admission.images == service.admission.bytes == 0
        assert (await client.ask(*images(1)))[0] == 200

    asyncio.run(run())


def test_bytes_of_all_requests_together(made):
    make, model = made

    async def run():
        size = len(form(*images(1)))
        client, service = make(body=size, held=size, files=1)
        first = asyncio.create_task(client.ask(*images(1)))
        await until(model.begun.is_set)
        assert (await client.ask(*images(1)))[0] == 503
        model.go.set()
        assert (await first)[0] == 200 and service.admission.bytes == 0

    asyncio.run(run())


def test_abandoned_requests_are_not_computed(made):
    make, model = made

    async def run():
        client, service = make()
        first = asyncio.create_task(client.ask(*images(1)))
        await until(model.begun.is_set)
        leaving = Client(client._app)
        second = asyncio.create_task(leaving.ask(*images(4)))
        await until(lambda: service.admission.images == 5)
        await asyncio.sleep(0.1)  # until they are decoded and wait
        leaving.gone.set()
        assert (await second)[0] == 499
        assert service.admission.images == 1
        model.go.set()
        assert (await first)[0] == 200
        assert (await client.ask(*images(1)))[0] == 200
        assert model.computed == 2
        text = service.metrics.text().decode()
        assert 'vp_jax_requests_total{status="abandoned"} 1.0' in text
        assert 'vp_jax_requests_total{status="200"} 2.0' in text

    asyncio.run(run())


def test_an_answer_that_takes_too_long_is_503(made):
    make, model = made

    async def run():
        client, service = make(answer_seconds=0.2)
        status, headers, body = await client.ask(*images(2))
        assert status == 503 and "0.2 seconds" in body["error"] and "retry-after" in headers
        assert service.admission.images == 0
        model.go.set()

    asyncio.run(run())


def test_a_failure_is_500_and_the_next_request_is_answered(made):
    make, model = made
    model.go.set()

    async def run():
        client, _ = make()
        compute, model.compute = model.compute, None
        client, service = make()
        with pytest.raises(TypeError):  # which uvicorn logs
            await client.ask(*images(1))
        service._batcher._compute = compute
        assert (await client.ask(*images(1)))[0] == 200

    asyncio.run(run())


def test_pictures_and_no_class_before_where_there_is_none(made):
    make, model = made
    model.go.set()

    async def run():
        client, _ = make()
        status, _, body = await client.ask(*images(3), query=b"explain=true&top=1")
        assert status == 200
        for one in body["images"]:
            assert len(one["predictions"]) == 1 and one["before"] is None
            assert one["pictures"]["before"].startswith("data:image/png;base64,")
            assert one["pictures"]["with_prompt"] is None

    asyncio.run(run())
