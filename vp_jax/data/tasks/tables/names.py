"""The class names that travel with the package."""

from __future__ import annotations

import pathlib

FOLDER = pathlib.Path(__file__).parents[2] / "task_class_names"

DIGITS = tuple("0123456789")
DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def class_names(task: str) -> tuple[str, ...]:
    """The names of a task's classes in the order of its labels, from the file of that name."""
    return tuple((FOLDER / f"{task}.txt").read_text(encoding="utf-8").splitlines())
