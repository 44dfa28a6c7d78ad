"""Visual prompts: pure functions that change images before a frozen model sees them.

Every prompt is a `Prompt`, a pair `(init, apply)` of pure functions over a pytree of parameters:

>>> import jax
>>> from vp_jax import prompts
>>> prompt = prompts.pad(30)
>>> params = prompt.init(jax.random.key(0), (224, 224, 3))
>>> images = prompt.apply(params, jax.numpy.zeros((8, 224, 224, 3)))

Prompts are chained, in Python by `chain`, in a text by `|`:

>>> prompts.parse("shrink(164) | pad(30, init='zeros')")
shrink(164) | pad(30, init='zeros') | normalize

This package imports jax and numpy only.
"""

from vp_jax.prompts.base import Prompt as Prompt
from vp_jax.prompts.chain import Chain as Chain
from vp_jax.prompts.chain import chain as chain
from vp_jax.prompts.count import count as count
from vp_jax.prompts.images.to_image import to_image as to_image
from vp_jax.prompts.parse import parse as parse
from vp_jax.prompts.parse import with_normalize as with_normalize
from vp_jax.prompts.stage import Formula as Formula
from vp_jax.prompts.stage import Stage as Stage
from vp_jax.prompts.stage import stage as stage
from vp_jax.prompts.stages.affine import affine as affine
from vp_jax.prompts.stages.blur import blur as blur
from vp_jax.prompts.stages.border import border as border
from vp_jax.prompts.stages.class_wise import class_wise as class_wise
from vp_jax.prompts.stages.clip import clip as clip
from vp_jax.prompts.stages.cluster import cluster as cluster
from vp_jax.prompts.stages.color import color as color
from vp_jax.prompts.stages.conv import conv as conv
from vp_jax.prompts.stages.ensemble import ensemble as ensemble
from vp_jax.prompts.stages.fixed_patch import fixed_patch as fixed_patch
from vp_jax.prompts.stages.fourier import fourier as fourier
from vp_jax.prompts.stages.frame import frame as frame
from vp_jax.prompts.stages.full import full as full
from vp_jax.prompts.stages.generator import generator as generator
from vp_jax.prompts.stages.grey import grey as grey
from vp_jax.prompts.stages.invert import invert as invert
from vp_jax.prompts.stages.low_rank import low_rank as low_rank
from vp_jax.prompts.stages.masked import masked as masked
from vp_jax.prompts.stages.normalize import normalize as normalize
from vp_jax.prompts.stages.overlay import overlay as overlay
from vp_jax.prompts.stages.pad import pad as pad
from vp_jax.prompts.stages.quantize import quantize as quantize
from vp_jax.prompts.stages.random_patch import random_patch as random_patch
from vp_jax.prompts.stages.resize import resize as resize
from vp_jax.prompts.stages.shrink import shrink as shrink
from vp_jax.prompts.stages.within import within as within
