"""The same training problem in PyTorch: the paper's procedure, and the backbone frozen.

Needs torch, and transformers for a CLIP, timm for a classifier. These models compute the whole last
block of a transformer, of which the class token alone is used.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from problem import LEARNING_RATE, MOMENTUM, FirstStep, Problem

from vp_jax.backbones import classifier, is_clip
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.errors import UserError

sys.path.append(str(pathlib.Path(__file__).parents[1]))  # where the parity references are
import classifier_references  # noqa: E402
import clip_references  # noqa: E402


class Built(NamedTuple):
    """What PyTorch does with a problem.

    Attributes:
      step: makes a training step and returns its loss.
      evaluate: the likely classes of the batch with the prompt, without gradients.
      parts: of the prompt.
    """

    step: Callable[[], torch.Tensor]
    evaluate: Callable[[], torch.Tensor]
    parts: Sequence[torch.nn.Parameter]


def reference(model: str) -> torch.nn.Module:
    """The model in PyTorch, with random weights: the same at every call.

    Raises:
      UserError: there is none.
    """
    if model in SIZES and SIZES[model].patch_size is not None:
        return clip_references.transformers_model(SIZES[model])
    if model in classifier_references.REFERENCES:
        make = classifier_references.REFERENCES[model]
        return classifier_references.random_model(make, CLASSIFIERS[model].image_size)
    raise UserError(f"{model} is not compared with PyTorch: transformers has no CLIP with a ResNet")


def reference_params(model: str) -> Mapping[str, Any]:
    """The reference's weights as parameters of this library."""
    tensors = clip_references.state_dict(reference(model))
    if is_clip(model):
        return clip_params.from_tensors(tensors, SIZES[model], file="reference", model=model)
    return classifier.from_tensors(tensors, CLASSIFIERS[model], file="reference", name=model)


def make_step(problem: Problem, **options: Any) -> tuple[Built, FirstStep]:
    """What `build` builds, after its first step."""
    built = build(problem, **options)
    loss = float(built.step().detach())
    grad_norm = torch.sqrt(sum((part.grad**2).sum() for part in built.parts))
    return built, FirstStep(loss, float(grad_norm))


def build(
    problem: Problem,
    *,
    as_the_paper: bool = False,
    dtype: str = "float32",
    device: str = "cpu",
    compiled: bool = False,
) -> Built:
    """The training step and the evaluation of a problem.

    Args:
      problem: what is computed, with the weights of `reference_params`.
      as_the_paper: whether the backbone gets gradients too and the texts are encoded every step;
        if not, the backbone is frozen and the texts' features are computed once.
      dtype: of the backbone's weights and computation; prompt, logits and loss are float32.
      device: to compute on.
      compiled: by `torch.compile`.
    """
    backbone, precision = problem.backbone, getattr(torch, dtype)
    layout = torch.contiguous_format if is_clip(backbone.name) else torch.channels_last
    model = reference(backbone.name).requires_grad_(as_the_paper)
    model = model.to(device, precision).to(memory_format=layout)
    mean, std = (torch.tensor(x, device=device) for x in (backbone.mean, backbone.std))
    images = (torch.tensor(problem.images, device=device) / 255 - mean) / std
    images = images.permute(0, 3, 1, 2).contiguous(memory_format=layout)
    labels = torch.tensor(problem.labels, device=device).long()
    parts = {
        side: torch.nn.Parameter(
            torch.tensor(np.ascontiguousarray(pixels.transpose(2, 0, 1)), device=device)[None]
        )
        for side, pixels in problem.prompt.items()
    }
    inner = backbone.image_size - 2 * problem.pad
    centre = torch.zeros(1, 3, inner, inner, device=device)
    optimizer = torch.optim.SGD(parts.values(), lr=LEARNING_RATE, momentum=MOMENTUM)
    to_logits = _logits(model, problem, as_the_paper, device)

    def prompted_logits() -> torch.Tensor:
        middle = torch.cat([parts["left"], centre, parts["right"]], dim=3)
        prompt = torch.cat([parts["top"], middle, parts["bottom"]], dim=2)
        return to_logits((images + prompt).to(precision)).float()

    def to_loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(prompted_logits(), labels)

    loss_of = torch.compile(to_loss, dynamic=False) if compiled else to_loss

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss

    @torch.no_grad()
    def evaluate() -> torch.Tensor:
        return prompted_logits().argmax(dim=1)

    return Built(step, evaluate, list(parts.values()))


def _logits(
    model: torch.nn.Module, problem: Problem, as_the_paper: bool, device: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """From prompted images to logits over the downstream classes."""
    if problem.tokens is None:
        return lambda images: model(images)[:, : problem.classes]
    tokens = torch.tensor(problem.tokens, device=device).long()
    if as_the_paper:
        return lambda images: model(pixel_values=images, input_ids=tokens).logits_per_image
    with torch.no_grad():
        text = _unit(model.get_text_features(input_ids=tokens))
        scale = model.logit_scale.exp()
    return lambda images: scale * _unit(model.get_image_features(pixel_values=images)) @ text.T


def _unit(features: Any) -> torch.Tensor:
    """Vectors of length one; newer versions of transformers wrap them."""
    return torch.nn.functional.normalize(getattr(features, "pooler_output", features), dim=-1)
