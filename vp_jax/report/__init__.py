"""What people look at: pictures of prompts, curves, examples and tables.

matplotlib is imported when a picture is drawn, not before, and no global state of it is used.
"""

from vp_jax.report.pictures.curves import curves
from vp_jax.report.pictures.examples import examples
from vp_jax.report.pictures.prompt_picture import prompt_picture
from vp_jax.report.pictures.sweep_curves import sweep_curves
from vp_jax.report.table import table
from vp_jax.report.wording import before_training

__all__ = [
    "before_training",
    "curves",
    "examples",
    "prompt_picture",
    "sweep_curves",
    "table",
]
