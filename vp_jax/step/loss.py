"""The loss of an image, of its logits and what is known of its class."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from vp_jax.data.augment import Mix


class Loss(NamedTuple):
    """How the losses of images are made.

    Attributes:
      label_smoothing: s, in [0, 1): what all classes together have of a label.
      teacher_share: a, in [0, 1]: how much of the loss is what a teacher says; 0 without one.
      teacher_temperature: T, above 0.
    """

    label_smoothing: float = 0.0
    teacher_share: float = 0.0
    teacher_temperature: float = 1.0

    def of(
        self,
        logits: jax.Array,
        label: jax.Array,
        mix: Mix | None = None,
        teacher: jax.Array | None = None,
    ) -> jax.Array:
        """Losses in nats, `[B]`.

        The cross-entropy of the label; of mixed images that of both labels in proportion to their
        shares. With smoothing s it is 1 - s times that and s times the mean of the cross-entropies
        of all classes (Szegedy et al., 1512.00567). With a teacher it is 1 - a times all this and
        `a T^2` times the cross-entropy of `softmax(teacher / T)` against `softmax(logits / T)`
        (Hinton et al., 1503.02531).

        Args:
          logits: `[B, K]`.
          label: int32 `[B]`.
          mix: how the images are mixed.
          teacher: logits of another model for the same images, `[B, K]`.
        """
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        if mix is not None:
            other = label[mix.partner]
            of_other = optax.softmax_cross_entropy_with_integer_labels(logits, other)
            losses = mix.share * losses + (1.0 - mix.share) * of_other
        if self.label_smoothing:
            of_all = jax.nn.logsumexp(logits, axis=-1) - logits.mean(axis=-1)
            losses = (1.0 - self.label_smoothing) * losses + self.label_smoothing * of_all
        if self.teacher_share:
            assert teacher is not None
            t, a = self.teacher_temperature, self.teacher_share
            soft = jax.nn.softmax(teacher / t)
            of_teacher = -jnp.sum(soft * jax.nn.log_softmax(logits / t), axis=-1)
            losses = (1.0 - a) * losses + a * t**2 * of_teacher
        return losses


PLAIN = Loss()
"""Cross-entropy alone."""
