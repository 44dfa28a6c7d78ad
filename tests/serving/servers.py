"""Servers of a small bundle in processes of their own, as their command line starts them."""

import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import numpy as np

from vp_jax import backbones
from vp_jax.records import bundle_file

TESTS = pathlib.Path(__file__).parents[1]
SMALL_CLIP = TESTS / "runs" / "small_clip.py"
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LIMITS = ("--max_files=4", "--max_mib=1", "--max_megapixels=1", "--upload_seconds=2")


def write_bundle(path, **changes):
    """A bundle for `clip_small`, of a random prompt and random texts."""
    rng = np.random.default_rng(0)
    own = backbones.load("clip_small")
    prompt = {
        f"prompt.1.{side}": rng.normal(size=shape).astype(np.float32)
        for side, shape in (
            *(("top", (4, 32, 3)), ("bottom", (4, 32, 3))),
            *(("left", (24, 4, 3)), ("right", (24, 4, 3))),
        )
    }
    head = {
        "head.text_features": rng.normal(size=(10, 32)).astype(np.float32),
        "head.logit_scale": np.float32(20),
    }
    bundle = bundle_file.Bundle(
        arrays={**prompt, **head},
        prompt="normalize | pad(4)",
        class_names=NAMES,
        head={"name": "text", "base": "text", "reads": "features"},
        backbone={
            "name": "clip_small",
            "source": "vp_jax",
            "weights": None,
            "dtype": "float32",
            "fingerprint": own.fingerprint,
        },
        images={"upright": False},
        temperature=1.0,
        training={"tune": ["prompt"], "seed": 0, "batch_size": 8, "task": "digits"},
        metrics={},
    )
    bundle_file.write(path, bundle._replace(**changes))
    return path


class Server:
    """A running server: its address, its process, and what it has printed so far."""

    def __init__(self, bundle, *arguments):
        self.log = tempfile.TemporaryFile("w+")
        small = [sys.executable, str(SMALL_CLIP), "vp_jax.serve"]
        self.process = subprocess.Popen(
            [*small, f"--workdir={bundle}", "--port=0", "--batch_size=8", *arguments],
            cwd=TESTS.parent,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        line = self.process.stdout.readline()
        found = re.fullmatch(r"serving on http://(127\.0\.0\.1):(\d+)\n", line)
        assert found, line + self.said()
        self.address = found[1], int(found[2])
        self.url = f"http://{found[1]}:{found[2]}"

    def said(self):
        """What it has written to standard error."""
        self.log.seek(0)
        return self.log.read()

    def workers(self):
        """The numbers of its processes that answer."""
        number = self.process.pid
        text = pathlib.Path(f"/proc/{number}/task/{number}/children").read_text()
        return [int(x) for x in text.split()]

    def stop(self):
        """Asks it to stop, and returns its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)
