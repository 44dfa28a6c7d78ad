"""The middle frame of a video, by PyAV."""

from __future__ import annotations

import collections
import importlib.util
import io
import pathlib

import numpy as np

from vp_jax.errors import UserError, brief

QUALITY = 95


def check_installed() -> None:
    """Looks for PyAV without importing it.

    Raises:
      UserError: it is not installed.
    """
    if importlib.util.find_spec("av") is None:
        raise UserError("videos are decoded by PyAV, which is not installed: pip install av")


def middle_frame(path: pathlib.Path) -> np.ndarray:
    """Frame T // 2 of the T frames of a video, counted from 0, uint8 `[h, w, 3]`.

    The frames are those that can be decoded; what the file says of their number is not looked at.

    Raises:
      UserError: PyAV is not installed, or the file is no video, damaged, or without frames.
    """
    check_installed()
    import av

    kept: collections.deque[av.VideoFrame] = collections.deque()
    try:
        with av.open(path) as container:
            container.streams.video[0].thread_type = "AUTO"
            for count, frame in enumerate(container.decode(video=0), start=1):
                kept.append(frame)
                if count % 2 == 0:
                    kept.popleft()  # Now the first of those kept is frame count // 2.
        if not kept:
            raise ValueError("it has no frames")
        return kept[0].to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError, ValueError) as e:
        reason = "it has no pictures" if isinstance(e, IndexError) else brief(e)
        raise UserError(
            f"the video {path} cannot be decoded ({reason}): extract it once more"
        ) from e


def jpeg(image: np.ndarray) -> bytes:
    """An image uint8 `[h, w, 3]` as a JPEG file, in high quality and with all of its colour."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()
