"""The prompt of a run: from its text to what acts on images."""

from __future__ import annotations

from ml_collections import ConfigDict

from vp_jax import prompts
from vp_jax.assembly.parts.augment import make_augment, make_mixing
from vp_jax.errors import UserError
from vp_jax.prompts.by_resize import by_resize

GIVEN = ("rng", "normalization", "resize_method", "label", "target", "features", "centroids")
"""What stages may ask for besides parameters and pixels."""


def make_prompt(config: ConfigDict) -> prompts.Chain:
    """The prompt of `config.prompt`, `normalize` among its stages.

    Raises:
      UserError: the text is wrong; says what, and shows where.
    """
    try:
        return prompts.parse(config.prompt)
    except UserError as error:
        raise UserError(f"--config.prompt: {error.args[0]}") from None


def acting_prompt(config: ConfigDict) -> prompts.Chain:
    """The prompt that acts on the images of a run: only one that trains does."""
    return make_prompt(config) if "prompt" in config.tune else prompts.parse("normalize")


def with_canonical_prompt(config: ConfigDict) -> ConfigDict:
    """The same settings with the text that all texts of this meaning share.

    Raises:
      UserError: as `make_prompt`.
    """
    config = config.copy_and_resolve_references()
    config.prompt = str(make_prompt(config))
    return config


def check_prompt(config: ConfigDict) -> None:
    """Refuses a prompt that cannot be trained.

    Raises:
      UserError: its text is wrong, it has no parameters and is to train, or as `check_needs`.
    """
    prompt = make_prompt(config)
    if "prompt" in config.tune and not prompt.has_parameters:
        raise UserError(
            f"config.tune has 'prompt', but the prompt {str(prompt)!r} has no parameters: give it "
            "a stage that has some, as in --config.prompt='normalize | pad(30)', or leave 'prompt' "
            "out of --config.tune"
        )
    if "prompt" in config.tune:
        augmented = make_augment(config) is not None
        check_needs(prompt, tuple(config.tune), augmented, make_mixing(config, 1) is not None)


def check_needs(prompt: prompts.Chain, tune: tuple[str, ...], augmented: bool, mixed: bool) -> None:
    """Refuses a prompt that needs what a run does not have.

    Args:
      prompt: what is to train.
      tune: the parts that train.
      augmented: whether single training images are.
      mixed: whether mixup or CutMix mixes images of two classes.

    Raises:
      UserError: names the stage and what it needs.
    """
    for stage in prompt.stages:
        unknown = stage.keywords.required - set(GIVEN)
        if unknown:
            raise UserError(
                f"the stage {stage} needs {' and '.join(sorted(unknown))}, which a run does not "
                f"have; stages may ask for {', '.join(GIVEN)}"
            )
    asked = prompt.keywords.names
    if {"label", "target"} & asked and mixed:
        raise UserError(
            f"the prompt {prompt} asks for the label of an image, and mixup and CutMix make images "
            "of two: turn them off"
        )
    if "features" in asked and "backbone" in tune:
        raise UserError(
            f"the prompt {prompt} asks for the features of a frozen backbone, and tune has "
            "'backbone': leave one of the two out"
        )
    if "features" in asked and by_resize(prompt)[0] and (augmented or mixed):
        raise UserError(
            f"the prompt {prompt} asks for the features of whole images, and augmentation changes "
            "the smaller ones that its first stage is for: turn it off, or leave shrink out"
        )
