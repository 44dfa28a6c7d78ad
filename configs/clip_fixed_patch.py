"""The paper's second prompt design: a patch of 30 x 30 pixels in the top left corner, CLIP.

    python -m vp_jax.train --config=configs/clip_fixed_patch.py --workdir=runs/clip_fixed_patch
    python -m vp_jax.train --config=configs/clip_fixed_patch.py --workdir=runs/clip_one_pixel \
        --config.prompt="normalize | fixed_patch(1)"

Everything but the prompt is as in `configs/clip_pad.py`, with the same weights and data. A patch of
30 has 2,700 parameters, a single pixel 3.

Bahng et al. 2022 (arXiv 2203.17274) find padding better than both patches at every size, and about
3 points over zero-shot for a single pixel. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's protocol with another prompt."""
    config = base.default()
    config.prompt = "normalize | fixed_patch(30)"
    return config
