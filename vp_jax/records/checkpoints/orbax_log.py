"""What orbax logs of errors that it raises too."""

from __future__ import annotations

import logging

from vp_jax.host import files

LOGGER = "absl"  # orbax's own


class _ToldElsewhere(logging.Filter):
    """Drops tracebacks of a full disk, which whoever waits for the checkpoint tells."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return error is None or not files.is_disk_full(error)


def quieten() -> None:
    """Makes orbax's threads log no tracebacks of a full disk; may be called again."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(known, _ToldElsewhere) for known in logger.filters):
        logger.addFilter(_ToldElsewhere())
