"""Visual prompting of frozen pretrained models in JAX."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vp_jax.classifier import Classifier as Classifier
    from vp_jax.restored import load as load

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`load` and `Classifier`, imported when they are asked for: they need far more than JAX."""
    if name == "load":
        from vp_jax.restored import load

        return load
    if name == "Classifier":
        from vp_jax.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
