"""Refuses a head that cannot work with the other settings."""

from __future__ import annotations

from ml_collections import ConfigDict

from vp_jax import heads
from vp_jax.assembly.augment import MIXES, make_augment, mixes
from vp_jax.assembly.head import FITTED, is_probe
from vp_jax.errors import UserError

TRAINABLE_HEADS = ("text", "linear", "fully_connected")
RANDOM_HEADS = ("linear", "fully_connected")  # before they are trained


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
    if name == "fixed" and not config.head.table:
        raise UserError(
            "the head 'fixed' needs --config.head.table: a source class, by name or number, for "
            "each class, as in \"('tabby', 207)\", or the path of a mapping.csv"
        )
    mixing = mixes(config)
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
