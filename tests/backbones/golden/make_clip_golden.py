"""Makes the golden files of test_clip_golden.py: small CLIPs of open_clip and transformers.

    PYTHONPATH=. python tests/backbones/golden/make_clip_golden.py

Needs torch (CPU), open_clip_torch and transformers. Of each model there are the weights, in float16
and the reference's own tensor names, and what the reference computes with just these weights in
float32: features of both towers, and the gradient with respect to the first image.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import safetensors.numpy
import torch

FOLDER = pathlib.Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parents[2] / "experiments")]

import clip_references  # noqa: E402
from tiny_clips import GOLDEN  # noqa: E402


def round_to_half(model: torch.nn.Module) -> None:
    """Makes every weight one that float16 holds exactly."""
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())


def main() -> None:
    for name, (size, layout) in GOLDEN.items():
        make = {
            "openai": clip_references.open_clip_model,
            "hf": clip_references.transformers_model,
        }[layout]
        model = make(size, seed=1)
        with torch.no_grad():
            round_to_half(model)
        weights = {
            n: x.astype(np.float16) if x.dtype == np.float32 else x
            for n, x in clip_references.state_dict(model).items()
        }
        safetensors.numpy.save_file(weights, FOLDER / f"{name}.safetensors")
        images, tokens, cotangent = clip_references.inputs(size, batch=3, seed=2)
        images = images.astype(np.float16).astype(np.float32)
        outputs = clip_references.run(model, images, tokens, cotangent)
        np.savez_compressed(
            FOLDER / f"{name}_io.npz",
            images=images.astype(np.float16),
            tokens=tokens,
            cotangent=cotangent,
            image_features=outputs.image_features,
            text_features=outputs.text_features,
            first_gradient=outputs.image_gradient[0],
        )


if __name__ == "__main__":
    main()
