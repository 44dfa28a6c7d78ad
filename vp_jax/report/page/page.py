"""The page of a run, from what is known of it."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
from markupsafe import Markup

from vp_jax.report.page import story, svg
from vp_jax.report.page.by_class import of_classes
from vp_jax.report.page.confusions import confusions
from vp_jax.report.page.embed import picture
from vp_jax.report.page.figures.progress import progress
from vp_jax.report.page.figures.reliability import reliability
from vp_jax.report.page.mapping import read_mapping
from vp_jax.report.page.material import Material
from vp_jax.report.page.pairs import pairs
from vp_jax.report.page.render import render

TEMPLATE = "report.html.j2"


def page(found: Material) -> str:
    """The HTML text of a run's page."""
    result = found.result
    called = story.before_name(result)
    return render(
        TEMPLATE,
        title=story.title(result),
        sentences=story.sentences(result),
        verdict=story.verdict(result),
        metrics=story.metrics(result, found.start),
        flips=story.flips(found.tested),
        called=called,
        result=result,
        prompt=_prompt(found),
        pairs=_pairs(found),
        curves=_curves(found, called),
        **_answers(found, called),
        mapping=read_mapping(found.workdir),
        changes=found.reproduction.changes,
        command=found.reproduction.command,
        digests=found.digests,
        missing=found.missing,
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )


def _prompt(found: Material) -> dict[str, Any] | None:
    if found.picture is None:
        return None
    pixels = None if found.shown is None else found.shown.pixels
    size = found.picture.shape[0] if pixels is None else pixels.grey.shape[0]
    return {
        "drawn": picture(found.picture, None),
        "grey": None if pixels is None else picture(pixels.grey, None),
        "pixels": pixels,
        "side": size,
    }


def _pairs(found: Material) -> Any:
    if found.shown is None or found.choice is None or found.tested is None:
        return None
    return pairs(found.shown, found.choice, found.tested, found.result["class_names"])


def _curves(found: Material, called: str) -> Markup | None:
    if not any("train/loss" in row for row in found.rows):
        return None
    return Markup(progress(found.rows, found.start, called))


def _answers(found: Material, called: str) -> dict[str, Any]:
    """Sections that need the answer to every test image."""
    tested, names = found.tested, found.result["class_names"]
    if tested is None:
        return {"classes": None, "confusions": None, "reliability": None}
    models = [("trained", svg.TUNED, tested.tuned)]
    if tested.before is not None and found.result["tune"]:
        models.insert(0, (called, svg.BEFORE, tested.before))
    curves = [
        (name, colour, answers.confidence, np.equal(answers.predictions, tested.labels))
        for name, colour, answers in models
    ]
    classes = of_classes(tested, names, called)
    confused = confusions(tested, names)
    return {
        "classes": classes._replace(figure=Markup(classes.figure)),
        "confusions": confused._replace(figure=Markup(confused.figure)),
        "reliability": Markup(reliability(curves)),
    }
