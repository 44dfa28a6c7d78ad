"""What a server takes, and how it says no."""

from __future__ import annotations

import dataclasses

from vp_jax.errors import UserError

MIB = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What one process of a server takes.

    Attributes:
      files: images of a request.
      body: bytes of a request.
      pixels: of an image, by its header, before it is decoded.
      waiting: images that have arrived and are not answered; more are refused.
      held: bytes of all requests together, while they arrive and are decoded.
      connections: open at a time.
      upload_seconds: for a request to arrive, from its first byte to its last.
      answer_seconds: from then to its answer.

    Raises:
      UserError: one is not positive, or a request that is within one is always beyond another.
    """

    files: int = 64
    body: int = 32 * MIB
    pixels: int = 50_000_000
    waiting: int = 256
    held: int = 256 * MIB
    connections: int = 500
    upload_seconds: float = 30.0
    answer_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise UserError(f"the limit {name!r} of a server must be positive, got {value}")
        if self.waiting < self.files:
            raise UserError(
                f"a request of {self.files} images would never find room among {self.waiting} that "
                "wait: let more wait, or take fewer of a request"
            )
        if self.held < self.body:
            raise UserError(
                f"a request of {self.body:,} bytes would never find room among {self.held:,} that "
                "are held: hold more, or take fewer of a request"
            )


class Refusal(Exception):
    """A request that is not answered as it wished.

    Attributes:
      status: of HTTP.
      reason: one sentence, for whoever sent it.
      retry_after: seconds after which it is worth another try; None: it is wrong itself.
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None):
        super().__init__(reason)
        self.status, self.reason, self.retry_after = status, reason, retry_after


BUSY = 503
