"""Visual prompting of frozen pretrained models in JAX."""

__version__ = "0.1.0"
