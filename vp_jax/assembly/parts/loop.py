"""What the loop of a run is told of its settings."""

from __future__ import annotations

from ml_collections import ConfigDict

from vp_jax.assembly.parts.optimizer import cut_warmup, longer_warmup
from vp_jax.training.experiment import Advice
from vp_jax.training.loop_settings import LoopSettings


def loop_settings(config: ConfigDict) -> LoopSettings:
    """What the train loop has to know of the settings."""
    return LoopSettings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        eval_every_epochs=config.eval_every_epochs,
        select_on=config.select_on,
        patience=config.patience,
        log_every_steps=config.log_every_steps,
        checkpoint_every_steps=config.checkpoint_every_steps,
        call_seconds=config.call_seconds,
        fits_head=config.start.head,
        calibrates=None if config.head.calibrate == "auto" else config.head.calibrate,
        label_smoothing=config.loss.label_smoothing,
        teacher=config.loss.teacher or "",
        teacher_share=config.loss.teacher_share,
        teacher_temperature=config.loss.teacher_temperature,
        workers=config.task.workers,
        accept_changed_data=config.task.accept_changed_data,
        logger=tuple(config.logger),
    )


def penalties_of(config: ConfigDict) -> dict[str, float]:
    """The weights of what is added to the loss, without zeros."""
    return {name: float(weight) for name, weight in config.penalties.items() if weight}


def make_advice(config: ConfigDict, total_steps: int) -> Advice:
    """What to say of the settings, with the flags that change them."""
    rate = config.optimizer.learning_rate
    return Advice(
        notice=(total_steps and cut_warmup(config, total_steps)) or "",
        divergence=f"Lower --config.optimizer.learning_rate ({rate}) or "
        f"{longer_warmup(config, total_steps)} in another --workdir",
        weights="--config.backbone.weights",
    )
