"""Mappings by frequency: the source class predicted most often stands for the class."""

from __future__ import annotations

import jax
import numpy as np

from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.mappings import matching
from vp_jax.heads.mappings.counts import check_counts, top_vote
from vp_jax.heads.mappings.indices import first_indices, select


def frequency(many_to_one: bool = False) -> Head:
    """The logits of the source classes predicted most often, found once before training.

    The counts [Ks, K] say how many training images of each class get each source class as their
    largest logit. One to one, the pair with the largest count is taken first, then the largest
    among the classes still free, and so on; among equal counts the lowest source class, then the
    lowest downstream class. Classes without a count left get the free source classes in order.

    Frequency mapping of Tsai, Chen and Ho, "Transfer Learning without Knowing: Reprogramming
    Black-box Machine Learning Models" (ICML 2020, arXiv 2007.08714), called FLM in Chen et al.,
    "Understanding and Improving Visual Prompting: A Label-Mapping Perspective" (CVPR 2023, arXiv
    2211.11635).

    Args:
      many_to_one: whether every class takes its own most frequent source class, which others may
        take too (classes without any count: the source classes nobody took, in order).

    Returns:
      The head. It reads logits; its parameters are `indices`, [K], int32; until `fit` they are
      those of `first_k`.

    Raises:
      UserError: here for a `many_to_one` that is no bool; in `init` and `fit`, for more downstream
        than source classes, unless `many_to_one`; in `fit` for counts that are
        negative, not finite or not [Ks, K].
    """
    return _by_counts("frequency", "once", many_to_one)


def iterative(many_to_one: bool = False) -> Head:
    """The logits of the source classes predicted most often, found anew before every epoch.

    The same fit as `frequency`, on the logits of images with the prompt as it is by then: ILM of
    Chen et al., "Understanding and Improving Visual Prompting: A Label-Mapping Perspective" (CVPR
    2023, arXiv 2211.11635).

    Args:
      many_to_one: as for `frequency`.

    Returns:
      The head. It reads logits; its parameters are `indices`, [K], int32; until `fit` they are
      those of `first_k`.

    Raises:
      UserError: as for `frequency`.
    """
    return _by_counts("iterative", "epoch", many_to_one)


def _by_counts(name: str, refit: str, many_to_one: bool) -> Head:
    matching.check_many_to_one(many_to_one)

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        del rng
        inputs, classes = check_sizes(inputs, classes)
        if not many_to_one:
            matching.check_one_to_one(inputs, classes)
        return {"indices": first_indices(inputs, classes)}

    def fit(counts: np.ndarray) -> Params:
        counts = check_counts(counts)
        return {"indices": shared(counts) if many_to_one else matching.one_to_one(counts)}

    return Head("logits", init_fn, select, False, refit, top_vote, fit, name=name)


def shared(counts: np.ndarray) -> np.ndarray:
    """Every class's most frequent source class; classes without counts take those left over."""
    indices = matching.many_to_one(counts)
    counted = counts.max(axis=0) > 0
    unused = np.setdiff1d(np.arange(len(counts), dtype=np.int32), indices[counted])
    if not unused.size:
        unused = np.arange(len(counts), dtype=np.int32)
    indices[~counted] = np.resize(unused, np.count_nonzero(~counted))
    return indices
