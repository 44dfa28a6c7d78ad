"""What costs no training comes first: how images are best shown to the frozen backbone."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from vp_jax import data, distributed, prompts
from vp_jax.assembly.checks import check
from vp_jax.assembly.parts.backbone import get_backbone
from vp_jax.assembly.parts.prompt import make_prompt
from vp_jax.assembly.parts.task import load_task
from vp_jax.assembly.settings import check_settings, read_config, settled
from vp_jax.backbones import Backbone
from vp_jax.data.images.preprocess import preprocess
from vp_jax.errors import UserError
from vp_jax.heads.fit.ridge import Score, ridge_score
from vp_jax.host.progress_bar import progress_bar
from vp_jax.prompts.stages.shrink import shrink
from vp_jax.records.names import CONFIG, SCAN
from vp_jax.records.workdir import hold, read_scan, write_json
from vp_jax.step.forward import resize_rule
from vp_jax.training.experiment import Experiment

SHARES = (1.0, 0.875, 0.75, 0.625, 0.5)
"""Sizes of the image, as shares of the backbone's."""
BATCH = 64


class Row(NamedTuple):
    """One way of showing images.

    Attributes:
      start: stages before all others of the prompt, as text; empty for none.
      score: of the backbone's features then.
    """

    start: str
    score: Score


def scanned(
    run: ConfigDict | Experiment, workdir: pathlib.Path, backbone: Backbone | None
) -> ConfigDict | Experiment:
    """The run with the prompt that `start.scan` finds; the same where that is off.

    What was found is kept in the workdir, so that the same command goes on with the same run.

    Raises:
      UserError: settings that cannot work, the folder is another run's, is being trained in, or has
        been scanned for another prompt, or what was found there cannot be read.
    """
    if isinstance(run, Experiment) or not run.start.scan:
        return run
    check(run, backbone)
    if "prompt" not in run.tune:
        raise UserError(
            "config.start.scan chooses how a prompt begins, and config.tune has no 'prompt': add "
            "it, or leave --config.start.scan out"
        )
    prompt, config = str(make_prompt(run)), run.copy_and_resolve_references()
    kept = read_scan(workdir)
    if kept is None:
        with hold(workdir):
            _check_owner(workdir, config, backbone)
            kept = _made(config, get_backbone(config, backbone))
            write_json(workdir / SCAN, kept)
    if kept["prompt"] != prompt:
        raise UserError(
            f"{workdir} holds the scan of the prompt {kept['prompt']}, and this run's is {prompt}: "
            "give another --workdir"
        )
    config.prompt = kept["chosen"]
    return config


def _check_owner(workdir: pathlib.Path, config: ConfigDict, backbone: Backbone | None) -> None:
    """Refuses a folder that holds another run, whatever a scan would choose."""
    chosen = config.copy_and_resolve_references()
    if (workdir / CONFIG).exists():
        chosen.prompt = read_config(workdir).prompt
    check_settings(workdir, settled(chosen, backbone))


def _made(config: ConfigDict, backbone: Backbone) -> dict[str, Any]:
    """A scan and what it chooses, as the workdir keeps it."""
    prompt, rows = make_prompt(config), scan(config, backbone)
    best = max(rows, key=lambda row: row.score.likelihood)
    for line in table(rows, best):
        distributed.say(line)
    return {
        "prompt": str(prompt),
        "chosen": str(begun(prompt, best.start)),
        "tried": [{"start": row.start, **row.score._asdict()} for row in rows],
    }


def scan(config: ConfigDict, backbone: Backbone) -> list[Row]:
    """Scores of sizes of the image, then of grey, inverted and blurred ones of the best size."""
    whole = config.copy_and_resolve_references()
    whole.prompt, whole.task.pipeline = "normalize", "auto"
    task = load_task(whole, backbone)
    count = config.start.scan_images
    train, val = (_some(split, count, config.seed) for split in (task.train, task.val))
    images = [np.asarray(_ready(split, backbone)) for split in (train, val)]

    def row(start: str) -> Row:
        found = [_features(start, backbone, x) for x in images]
        return Row(start, ridge_score(found[0], train.labels, found[1], val.labels))

    side = backbone.image_size
    sizes = [round(share * side) for share in SHARES]
    rows = [row("" if size == side else str(shrink(size))) for size in sizes]
    best = max(rows, key=lambda row: row.score.likelihood).start
    looks = ("grey", "invert", f"blur({max(side / 64, 0.5):g})")
    return rows + [row(" | ".join(filter(None, (best, look)))) for look in looks]


def begun(prompt: prompts.Chain, start: str) -> prompts.Chain:
    """A prompt that begins with these stages, in the place of its own first `shrink`.

    >>> begun(prompts.parse("shrink(20) | pad(4)"), "shrink(24) | clip")
    shrink(24) | clip | pad(4) | normalize
    """
    texts = [str(stage) for stage in prompt.stages]
    if texts[0].startswith("shrink("):
        del texts[0]
    return prompts.parse(" | ".join(filter(None, (start, *texts))))


def table(rows: Sequence[Row], best: Row) -> list[str]:
    """The scores as lines of text."""
    lines = ["start of the prompt: log-likelihood and accuracy of val by a ridge classifier"]
    for row in rows:
        mark = "  <- taken" if row is best else ""
        start = row.start or "(images as they are)"
        lines.append(f"  {start:28} {row.score.likelihood:8.3f} {row.score.accuracy:7.1%}{mark}")
    return lines


def _some(split: data.Split, count: int, seed: int) -> data.Split:
    if len(split) <= count:
        return split
    chosen = np.random.default_rng(seed).permutation(len(split))[:count]
    return split.take(np.sort(chosen))


def _ready(split: data.Split, backbone: Backbone) -> np.ndarray:
    """Images of a split, resized and cropped, uint8."""
    if split.resized is not None:
        return split.images[np.arange(len(split))]
    rule = resize_rule(backbone)
    chunks = [
        np.asarray(preprocess(split.images[np.arange(at, min(at + BATCH, len(split)))], rule))
        for at in range(0, len(split), BATCH)
    ]
    return np.rint(255 * np.concatenate(chunks)).astype(np.uint8)


def _features(start: str, backbone: Backbone, images: np.ndarray) -> np.ndarray:
    prompt = prompts.parse(start)
    fixed = {
        "normalization": (backbone.mean, backbone.std),
        "resize_method": backbone.resize_method,
    }

    @jax.jit
    def run(params: Any, batch: jax.Array) -> jax.Array:
        x = prompt.apply([{}] * len(prompt.members), preprocess(batch, None), **fixed)
        return backbone.apply(params, x)

    params = backbone.image_params("features")
    chunks = []
    with progress_bar(len(images), f"scan of {start or 'images'}", leave=False) as bar:
        for at in range(0, len(images), BATCH):
            batch = np.zeros((BATCH, *images.shape[1:]), np.uint8)
            batch[: len(images) - at] = images[at : at + BATCH]
            chunks.append(np.asarray(run(params, batch)))
            bar.update(min(BATCH, len(images) - at))
    return np.concatenate(chunks)[: len(images)]
