"""A bundle in front of any framework: needs NumPy alone. Copy what you use.

Images are RGB in [0, 1], [N, S, S, 3], resized as `bundle["images"]` says: the short side, bicubic,
then the centre. `prompted` is what the frozen model takes, `probabilities` what its features mean.
"""

import json

import numpy as np

TYPES = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "BOOL": "?", "U8": "u1"}


def read(path):
    content = open(path, "rb").read()
    start = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:start])
    about = table.pop("__metadata__")
    texts = ("format", "prompt", "license")
    bundle = {name: x if name in texts else json.loads(x) for name, x in about.items()}
    for name, at in table.items():
        first, last = (start + place for place in at["data_offsets"])
        bundle[name] = np.frombuffer(content[first:last], TYPES[at["dtype"]]).reshape(at["shape"])
    return bundle


def prompted(bundle, x):
    x = np.array(x, np.float32)
    for i, stage in enumerate(bundle["prompt"].split(" | ")):
        own = {n.split(".")[-1]: v for n, v in bundle.items() if n.startswith(f"prompt.{i}.")}
        if stage == "normalize":
            x = (x - np.float32(bundle["images"]["mean"])) / np.float32(bundle["images"]["std"])
        elif stage == "clip":
            x = np.clip(x, 0, 1)
        elif stage.startswith("full"):
            x = x + own["delta"]
        elif stage.startswith("low_rank"):
            x = x + np.einsum("chr,crw->hwc", own["left"], own["right"])
        elif stage.startswith("pad"):
            middle = np.zeros((*x.shape[1:2], x.shape[2] - 2 * own["left"].shape[1], 3), np.float32)
            middle = middle[2 * len(own["top"]) :]
            rows = np.concatenate([own["left"], middle, own["right"]], 1)
            x = x + np.concatenate([own["top"], rows, own["bottom"]], 0)
        else:
            raise NotImplementedError(stage)
    return x


def probabilities(bundle, features):
    """Of a CLIP with the head `text`: features [N, D]."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    logits = bundle["head.logit_scale"] * unit @ bundle["head.text_features"].T
    z = np.exp((logits - logits.max(1, keepdims=True)) / bundle["temperature"])
    return z / z.sum(1, keepdims=True)
