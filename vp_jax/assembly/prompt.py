"""The prompt of a run: from its text to what acts on images."""

from __future__ import annotations

from ml_collections import ConfigDict

from vp_jax import prompts
from vp_jax.errors import UserError

GIVEN = ("rng", "normalization", "resize_method")
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
      UserError: its text is wrong, it has no parameters and is to train, or as `check_chain`.
    """
    prompt = make_prompt(config)
    if "prompt" in config.tune and not has_parameters(prompt):
        raise UserError(
            f"config.tune has 'prompt', but the prompt {str(prompt)!r} has no parameters: give it "
            "a stage that has some, as in --config.prompt='normalize | pad(30)', or leave 'prompt' "
            "out of --config.tune"
        )
    check_chain(prompt)


def has_parameters(prompt: prompts.Chain) -> bool:
    """Whether there is something to train in a prompt."""
    return any(
        not isinstance(stage, prompts.Stage) or stage.formula.init is not None
        for stage in prompt.stages
    )


def check_chain(prompt: prompts.Chain) -> None:
    """Refuses a prompt that needs what no run has.

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
