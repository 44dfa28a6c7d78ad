"""HTTP connections that do not wait for ever, neither for bytes nor to send some, and are not too
many."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vp_jax.serving.limits import Limits

_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
)
_REASON = b'{"error":"too many connections are open: send it later"}'


def protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol, with an end to its waiting.

    Uvicorn itself waits for ever for the headers of a request, and for a client to read.

    Args:
      limits: `connections` are open at most, another is told 503 and closed. Headers have
        `upload_seconds` from the opening of a connection, or from the first byte of a further
        request, and a client as long to go on reading; then it is closed.
    """

    class Protocol(HttpToolsProtocol):
        _overdue: asyncio.TimerHandle | None = None
        _unread: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect()
            if len(self.connections) > limits.connections:
                transport.write(_TOO_MANY % (len(_REASON), _REASON))
                transport.close()

        def data_received(self, data: bytes) -> None:
            if self._overdue is None and (self.cycle is None or self.cycle.response_complete):
                self._expect()
            if self.parser is not None:
                super().data_received(data)

        def on_headers_complete(self) -> None:
            self._stop_expecting()
            super().on_headers_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unread = self.loop.call_later(limits.upload_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._unread is not None:
                self._unread.cancel()
                self._unread = None

        def timeout_keep_alive_handler(self) -> None:
            if self.transport.get_write_buffer_size():  # Closing would wait until it is read.
                self.transport.abort()
            super().timeout_keep_alive_handler()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_expecting()
            self.resume_writing()
            super().connection_lost(exc)

        def _expect(self) -> None:
            self._overdue = self.loop.call_later(limits.upload_seconds, self.transport.close)

        def _stop_expecting(self) -> None:
            if self._overdue is not None:
                self._overdue.cancel()
                self._overdue = None

    return Protocol
