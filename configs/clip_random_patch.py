"""The paper's third prompt design: a patch that lies somewhere else in every batch, CLIP.

    python -m vp_jax.train --config=configs/clip_random_patch.py --workdir=runs/clip_random_patch

Everything but the prompt is as in `configs/clip_pad.py`, with the same weights and data. The place
is drawn anew for every batch, in training and in evaluation, from the run's seed, so that results
repeat; the released code drew it without one.

Bahng et al. 2022 (arXiv 2203.17274): behind padding, 2,700 parameters at size 30. Not yet measured
with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's protocol with another prompt."""
    config = base.default()
    config.prompt = "normalize | random_patch(30)"
    return config
