"""RVP: a frame and a residual of the classes' logits, CLIP ViT-B/16, 16 images a class.

    python -m vp_jax.train --config=configs/methods/rvp.py --workdir=runs/rvp

arXiv 2609.36680 (September 2026): one prompt, a frame of 16 pixels around an image of 192, and
logits f (I + E), where f are those of the class's texts and E begins at zero. SGD with learning
rate 40 for the prompt and 0.001 for E, 200 epochs of batch 64, 16 training images of each class.

There is no released code. In the paper a class has many texts, with learned weights, which bring
0.1 of its points and are left out here: `--config.head.base=descriptions
--config.head.descriptions=FILE.json` gives each class several, without weights. Without E the paper
loses 4.8 points. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's settings, with one text a class."""
    config = base.default()
    config.backbone.name = "clip_vit_b16"
    config.tune = ("prompt", "head")
    config.head.name = "residual"
    config.prompt = "shrink(192) | pad(16, init='zeros') | normalize"
    config.task.shots = 16
    config.batch_size = 64
    config.epochs = 200
    config.optimizer.learning_rate = 40.0
    config.optimizer.learning_rates.head = 0.001
    config.schedule.warmup_steps = 0
    return config
