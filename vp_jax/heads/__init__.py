"""Heads turn a backbone's output into logits over the downstream classes.

Every head is a `Head`: what it reads, `init`, `apply`, and for fitted mappings `votes` and `fit`.

>>> import jax
>>> from vp_jax import heads
>>> head = heads.linear()
>>> params = head.init(jax.random.key(0), 512, 10)
>>> head.apply(params, jax.numpy.zeros((8, 512))).shape
(8, 10)
"""

from vp_jax.heads.base import Head
from vp_jax.heads.descriptions import descriptions
from vp_jax.heads.fit.calibration_error import calibration_error, reliability
from vp_jax.heads.fit.residual_fit import fit_residual
from vp_jax.heads.linear import fully_connected, linear
from vp_jax.heads.mappings.bayesian import bayesian, bayesian_plus
from vp_jax.heads.mappings.counts import add_votes, zero_counts
from vp_jax.heads.mappings.first_k import first_k
from vp_jax.heads.mappings.fixed import fixed, swapped
from vp_jax.heads.mappings.frequency import frequency, iterative
from vp_jax.heads.mappings.mapping_table import mapping_rows, read_table, write_csv
from vp_jax.heads.mappings.mean_frequency import mean_frequency, mean_iterative
from vp_jax.heads.mappings.random import random
from vp_jax.heads.mappings.semantic import semantic
from vp_jax.heads.on_top import split
from vp_jax.heads.registry import by_name, names, restored
from vp_jax.heads.residual import fold, residual
from vp_jax.heads.temperature import fit_temperature, temperature
from vp_jax.heads.text import class_texts, encode_texts, text, text_features, text_head

__all__ = [
    "Head",
    "add_votes",
    "bayesian",
    "bayesian_plus",
    "by_name",
    "calibration_error",
    "class_texts",
    "descriptions",
    "encode_texts",
    "first_k",
    "fit_residual",
    "fit_temperature",
    "fixed",
    "fold",
    "frequency",
    "fully_connected",
    "iterative",
    "linear",
    "mapping_rows",
    "mean_frequency",
    "mean_iterative",
    "names",
    "random",
    "read_table",
    "reliability",
    "residual",
    "restored",
    "semantic",
    "split",
    "swapped",
    "temperature",
    "text",
    "text_features",
    "text_head",
    "write_csv",
    "zero_counts",
]
