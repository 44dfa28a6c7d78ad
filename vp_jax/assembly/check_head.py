"""Refuses a head that cannot work with the other settings."""

from __future__ import annotations

from ml_collections import ConfigDict

from vp_jax import heads
from vp_jax.assembly.parts.augment import MIXES, make_augment, mixes
from vp_jax.assembly.parts.head import FITTED, base_name, is_probe
from vp_jax.assembly.parts.prompt import make_prompt
from vp_jax.assembly.texts import descriptions
from vp_jax.errors import UserError, unknown
from vp_jax.heads.on_top import LAYERS
from vp_jax.heads.on_top import NAMES as ON_TOP

TRAINABLE_HEADS = ("text", *LAYERS, *ON_TOP)
RANDOM_HEADS = LAYERS  # before they are trained


def check_head(config: ConfigDict) -> None:
    """Refuses a head that cannot be trained, or cannot be used without.

    Raises:
      UserError: says what does not fit, and what would.
    """
    name, tune = config.head.name, config.tune
    if "head" in tune and name not in TRAINABLE_HEADS:
        how = "refitted by counting" if name in FITTED else "fixed"
        raise UserError(
            f"config.tune has 'head', but the head {name!r} is {how}, not trained by gradients; "
            f"leave 'head' out, or give --config.head.name={' or '.join(TRAINABLE_HEADS)}"
        )
    if name in RANDOM_HEADS and "head" not in tune and config.head.from_run is None:
        raise UserError(
            f"the head {name!r} would keep its random initial values; add 'head' to config.tune, "
            "or name a run that has trained one with --config.head.from_run=WORKDIR"
        )
    if name in ON_TOP:
        _check_on_top(config)
    if config.head.from_run is not None and name not in TRAINABLE_HEADS:
        raise UserError(
            f"config.head.from_run names a run, but the head {name!r} has nothing that is trained; "
            f"give --config.head.name={' or '.join(TRAINABLE_HEADS)}"
        )
    if is_probe(config):
        for setting, given in (
            ("head.from_run", config.head.from_run is not None),
            ("augment", make_augment(config) is not None),
            *((f"augment.{mix}", config.augment[mix] > 0) for mix in MIXES),
        ):
            if given:
                raise UserError(
                    f"config.{setting} has no meaning for a linear probe, which is solved on "
                    "cached features; train its layer by steps with --config.head.solver=sgd"
                )
    if config.start.head:
        _check_start(config)
    if base_name(config) == "fixed" and not config.head.table:
        raise UserError(
            "the head 'fixed' needs --config.head.table: a source class, by name or number, for "
            "each class, as in \"('tabby', 207)\", or the path of a mapping.csv"
        )
    if base_name(config) == "descriptions" and config.head.descriptions is None:
        descriptions.read(None, ())
    mixing, name = mixes(config), base_name(config)
    counts = name in FITTED and heads.by_name(name).refit == "epoch"
    if mixing and counts and not config.head.second_pass:
        raise UserError(
            f"config.augment.{mixing[0]} mixes images of two classes, and the head {name!r} counts "
            f"the class of each as it trains; turn {' and '.join(mixing)} off, or let it count "
            "unmixed images before an epoch with --config.head.second_pass=True"
        )
    if name.startswith("bayesian"):
        settings = {"smoothing": config.head.smoothing}
        if name == "bayesian_plus":
            settings["top_share"] = config.head.top_share
        heads.by_name(name, **settings)
    if name.startswith("mean_"):
        heads.by_name(name, sources=config.head.sources)


def _check_on_top(config: ConfigDict) -> None:
    name, base = config.head.name, config.head.base
    valid = [n for n in heads.names() if n not in TRAINABLE_HEADS or n == "text"]
    if base not in valid:
        raise unknown("value of config.head.base", base, valid)
    if "head" not in config.tune and config.head.from_run is None:
        raise UserError(
            f"the head {name!r} would stay as it begins, which is the head {base!r}: add 'head' to "
            f"config.tune, or give --config.head.name={base}"
        )


def _check_start(config: ConfigDict) -> None:
    """Refuses to fit a head before the start that is none of those that can be."""
    fitting = (*RANDOM_HEADS, "residual")
    if "head" not in config.tune or config.head.name not in fitting:
        raise UserError(
            f"config.start.head fits a head that trains, one of {', '.join(fitting)}: give "
            f"--config.head.name, now {config.head.name!r}, and 'head' in --config.tune, now "
            f"{tuple(config.tune)}"
        )
    for setting, given in (
        ("head.from_run", config.head.from_run is not None),
        ("head.solver", is_probe(config)),
    ):
        if given:
            raise UserError(
                f"config.start.head fits the head that config.{setting} gives already: leave one "
                "of the two out"
            )
    if "prompt" in config.tune and (prompt := make_prompt(config)).combine is not None:
        raise UserError(
            f"config.start.head fits what a head sees of an image, and the prompt {prompt} makes "
            "several of each: leave --config.start.head out"
        )
    if not config.task.val_fraction:
        raise UserError(
            "config.start.head chooses its regularisation on val, and config.task.val_fraction is "
            "0: give a positive fraction"
        )
