"""What whoever runs a program has to know of it."""

from __future__ import annotations

from typing import Any

import jax

from vp_jax.exports.program import Program


def about_program(program: Program, license: str) -> dict[str, Any]:  # noqa: A002 # its name there
    """Names and numbers as JSON holds them.

    `class_names` in the order of the probabilities; `images`: how they are prepared; `prompt`;
    `backbone`, its fingerprint; `temperature`, which is part of the program; `license`; and `jax`,
    the version that made it.
    """
    classifier = program.classifier
    return {
        "class_names": list(classifier.class_names),
        "images": program.images(),
        "prompt": str(classifier.prompt),
        "backbone": classifier.backbone.fingerprint,
        "temperature": classifier.temperature,
        "license": license,
        "jax": jax.__version__,
    }
