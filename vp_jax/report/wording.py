"""What a model is called before anything of it has been trained."""

from __future__ import annotations

from collections.abc import Sequence


def before_training(head: str | None, tune: Sequence[str]) -> str:
    """Only a model that classes are told to by texts is called zero-shot.

    A mapping has looked at training images, and a linear layer may be from another run.

    Args:
      head: name of the head; None of a text head, as results without it had.
      tune: the parts that train.

    >>> before_training("text", ("prompt",)), before_training("frequency", ("prompt",))
    ('zero-shot', 'without prompt')
    """
    if head in (None, "text", "descriptions"):
        return "zero-shot"
    return "without prompt" if "prompt" in tune else "untrained"
