"""The service as an ASGI application: its pages and what programs ask for."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import pathlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vp_jax.serving import openapi
from vp_jax.serving.limits import Refusal
from vp_jax.serving.metrics import CONTENT_TYPE
from vp_jax.serving.model import ANSWER, EXPLAIN
from vp_jax.serving.service import Abandoned, Service
from vp_jax.serving.uploads import Upload, read_uploads, too_large

PAGE = pathlib.Path(__file__).with_name("page.html")
DISCARD_SECONDS = 5.0
"""For which a body is still read that has been refused, so that its sender hears of it."""

CLIENT_CLOSED_REQUEST = 499
TOP = 5


def make_app(service: Service) -> Starlette:
    """The application of a service."""
    document = openapi.document(service)
    page, reference = PAGE.read_text(encoding="utf-8"), openapi.page(document)
    about = openapi.about_model(service)

    async def predict(request: Request) -> Response:
        began = time.monotonic()
        response = await _predict(service, request)
        abandoned = response.status_code == CLIENT_CLOSED_REQUEST
        status = "abandoned" if abandoned else str(response.status_code)
        service.metrics.requests.labels(status).inc()
        service.metrics.seconds.observe(time.monotonic() - began)
        return response

    def given(make: Callable[[], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            del request
            return make()

        return respond

    routes = {
        "/": lambda: HTMLResponse(page),
        "/docs": lambda: HTMLResponse(reference),
        "/openapi.json": lambda: JSONResponse(document),
        "/model": lambda: JSONResponse(about),
        "/healthz": lambda: JSONResponse({"status": "ok"}),
        "/metrics": lambda: Response(service.metrics.text(), media_type=CONTENT_TYPE),
    }
    app = Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            *(Route(path, given(make)) for path, make in routes.items()),
        ],
        exception_handlers={HTTPException: _not_found, Exception: _failed},
    )
    app.add_middleware(_Headers, policy=_policy(page, reference))
    return app


async def _predict(service: Service, request: Request) -> Response:
    try:
        lane, top = _options(request, len(service.model.classifier.class_names))
        with service.admission.of_bytes() as hold:
            uploads = await _uploads(service, request, hold)
            said = await service.answers(uploads, lane, top, request.receive)
    except Refusal as refusal:
        await _discard(request)
        return _refused(refusal)
    except Abandoned:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    is_read = any("error" not in one for one in said)
    return JSONResponse({"images": said}, 200 if is_read else 422)


def _options(request: Request, classes: int) -> tuple[str, int]:
    """The lane and the number of classes that a request asks for.

    Raises:
      Refusal: it asks for something else.
    """
    asked = dict(request.query_params)
    explain, top = asked.pop("explain", "false"), asked.pop("top", str(TOP))
    if asked:
        raise Refusal(422, f"{next(iter(asked))!r} is no parameter: explain and top are")
    if explain not in ("true", "false"):
        raise Refusal(422, f"explain must be true or false, got {explain!r}")
    if not re.fullmatch("[0-9]{1,6}", top) or int(top) < 1:
        raise Refusal(422, f"top must be a whole number of at least 1, got {top!r}")
    return EXPLAIN if explain == "true" else ANSWER, min(int(top), classes)


async def _uploads(service: Service, request: Request, hold: Callable[[int], None]) -> list[Upload]:
    limits, content_type = service.limits, request.headers.get("content-type")
    if int(request.headers.get("content-length", 0)) > limits.body:  # Uvicorn has read it too.
        raise Refusal(413, too_large(limits))
    try:
        async with asyncio.timeout(limits.upload_seconds):
            return await read_uploads(content_type, _body(request), limits, hold)
    except TimeoutError:
        reason = f"the request did not arrive within {limits.upload_seconds:g} seconds"
        raise Refusal(408, f"{reason}: send fewer or smaller images") from None


async def _body(request: Request) -> AsyncIterator[bytes]:
    """The chunks of a body, each as it comes.

    Raises:
      Abandoned: the client has gone.
    """
    is_more = True
    while is_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Abandoned
        is_more = message.get("more_body", False)
        request.state.whole = not is_more
        yield message.get("body", b"")


async def _discard(request: Request) -> None:
    """Reads what is left of a body for a while.

    A connection that is closed with something unread takes the answer with it.
    """
    if not getattr(request.state, "whole", False):
        try:
            async with asyncio.timeout(DISCARD_SECONDS):
                async for _ in _body(request):
                    pass
        except (TimeoutError, Abandoned):
            pass


def _refused(refusal: Refusal) -> Response:
    headers = {"connection": "close"}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    return JSONResponse({"error": refusal.reason}, refusal.status, headers)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"{request.method} {request.url.path}: {error.detail}; /docs says what there is"
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    del request, error
    return JSONResponse({"error": "the server has failed at this request; its log says why"}, 500)


def _policy(*pages: str) -> str:
    """What pages may load: their own styles and scripts, known by checksum, and nothing else."""

    def hashes(element: str) -> str:
        found = [
            x for page in pages for x in re.findall(rf"(?s)<{element}>(.*?)</{element}>", page)
        ]
        digests = (hashlib.sha256(x.encode()).digest() for x in found)
        return " ".join(f"'sha256-{base64.b64encode(x).decode()}'" for x in digests) or "'none'"

    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {hashes('style')}",
            f"script-src {hashes('script')}",
            *("img-src 'self' data: blob:", "connect-src 'self'", "base-uri 'none'"),
            *("form-action 'none'", "frame-ancestors 'none'"),
        )
    )


class _Headers:
    """Adds to every answer what browsers are to be strict about."""

    def __init__(self, app: ASGIApp, policy: str):
        self._app = app
        self._headers: list[Any] = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-store"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        await self._app(scope, receive, send_with if scope["type"] == "http" else send)
