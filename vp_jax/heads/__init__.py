"""Heads turn a backbone's output into logits over the downstream classes."""

from vp_jax.heads.text import class_texts, text_features, text_head

__all__ = ["class_texts", "text_features", "text_head"]
