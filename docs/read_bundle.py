"""A bundle in front of any framework: needs NumPy alone. Copy what you use.

Images are RGB in [0, 1], [N, s, s, 3], resized as `bundle["images"]` says: the short side to
`seen_resize_size`, `resize_method`, antialiased, rounded to whole grey levels; then the centre,
`seen_size`. `prompted` is what the frozen model takes, [N, S, S, 3]; `probabilities` what its
features mean, or its logits where `bundle["head"]["reads"]` says so. A stage or head that is not
here is a KeyError.

    images = prompted(bundle, images)                      # then, as with a CLIP of torch:
    features = clip.encode_image(torch.tensor(images).permute(0, 3, 1, 2))
    found = probabilities(bundle, features.numpy())
"""

import json

import numpy as np

STAGES = {
    "normalize": lambda x, own, about: (x - about["mean"]) / about["std"],
    "clip": lambda x, own, about: np.clip(x, 0, 1),
    "full": lambda x, own, about: x + own["delta"],
    "low_rank": lambda x, own, about: x + np.einsum("chr,crw->hwc", own["left"], own["right"]),
    "pad": lambda x, own, about: x + np.nan_to_num(border(x, own)),
    "frame": lambda x, own, about: np.where(np.isnan(b := border(x, own)), x, 1 / (1 + np.exp(-b))),
}


def read(path):
    content = open(path, "rb").read()
    start = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:start])
    about, texts = table.pop("__metadata__"), ("format", "prompt", "license")
    bundle = {name: x if name in texts else json.loads(x) for name, x in about.items()}
    for name, at in table.items():
        place, kind = slice(*at["data_offsets"]), {"F32": "<f4", "I32": "<i4"}[at["dtype"]]
        bundle[name] = np.frombuffer(content[start:][place], kind).reshape(at["shape"])
    return bundle


def border(x, own):
    n, found = len(own["top"]), np.full(x.shape[1:], np.nan, np.float32)
    found[:n], found[-n:] = own["top"], own["bottom"]
    found[n:-n, :n], found[n:-n, -n:] = own["left"], own["right"]
    return found


def prompted(bundle, x):
    sides = (bundle["images"]["image_size"] - np.shape(x)[1] + np.arange(2)) // 2
    x = np.pad(np.float32(x), [(0, 0), sides, sides, (0, 0)])  # the middle, where it was shrunk
    for i, stage in enumerate(bundle["prompt"].split(" | ")):
        own = {n.split(".")[-1]: v for n, v in bundle.items() if n.startswith(f"prompt.{i}.")}
        if i or not stage.startswith("shrink"):
            x = np.float32(STAGES[stage.split("(")[0]](x, own, bundle["images"]))
    return x


def probabilities(bundle, x):
    p = {name[5:]: value for name, value in bundle.items() if name.startswith("head.")}
    w = p["text_features"].T if "text_features" in p else p.get("kernel")
    x = x if "logit_scale" not in p else p["logit_scale"] * x / np.linalg.norm(x, axis=1)[:, None]
    z = x[:, p["indices"]] if w is None else x @ w + p.get("bias", 0)
    z = np.exp((z - z.max(1, keepdims=True)) / bundle["temperature"])
    return z / z.sum(1, keepdims=True)
