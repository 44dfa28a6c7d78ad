"""Prompts as text: `"shrink(164) | pad(30, init='zeros') | normalize"`."""

from __future__ import annotations

import ast
import itertools
import re
import reprlib
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from vp_jax.errors import UserError, unknown
from vp_jax.prompts.arguments import Argument, ArgumentError, arguments
from vp_jax.prompts.base import Prompt
from vp_jax.prompts.chain import Chain, OrderError, chain, normalizes
from vp_jax.prompts.stage import Stage, makers
from vp_jax.prompts.stages.normalize import normalize

LONGEST = 2000
"""Characters of a text; an accident would take Python's own parser long, or its whole stack."""

DEEPEST = 8
"""How many stages may stand inside one another."""

_SHOWN = 60
"""Characters of a text that are shown on either side of a mistake."""

_HOW = "a prompt is written as stages with | between them, as in normalize | pad(30)"


def parse(text: str) -> Chain:
    """Reads a prompt: stages by name with their arguments, with `|` between them.

    Arguments are literals, or stages and chains of them, as in `"within(pad(30) | clip, 8)"`;
    nothing is evaluated. Without `normalize` it comes last, so
    `"pad(30)"` acts on pixels in [0, 1]; the empty text is `"normalize"`. The text of the result,
    `str(parse(text))`, is the same for all texts that mean the same.

    Args:
      text: of at most 2,000 characters.

    Raises:
      UserError: says what is wrong in one sentence, and shows the place below it.

    >>> from vp_jax import prompts
    >>> prompts.parse("normalize | pad( size=30, )")
    normalize | pad(30)
    >>> prompts.parse("normalize | pad(0)")
    Traceback (most recent call last):
    vp_jax.errors.UserError: pad: size must be an int of at least 1, got 0
        normalize | pad(0)
                        ^
    """
    if not isinstance(text, str):
        raise UserError(
            f"a prompt is a text, as in 'normalize | pad(30)', got {reprlib.repr(text)}"
        )
    if len(text) > LONGEST:
        raise UserError(
            f"the text of a prompt has {len(text):,} characters, and at most {LONGEST:,} are read:"
            f" {reprlib.repr(text)}"
        )
    flat = re.sub(r"\s", " ", text)  # one line, so that a place is a column
    if not flat.isprintable():
        first = next(letter for letter in flat if not letter.isprintable())
        raise UserError(f"the text of a prompt has a character that cannot be printed, {first!a}")
    if not flat.strip():
        return chain(normalize())
    reader = _Reader(flat)
    return with_normalize(reader.prompt(reader.tree()))


def with_normalize(prompt: Prompt) -> Chain:
    """A prompt as a chain that ends in normalised values: `normalize` comes last if it has none."""
    stages = prompt.stages if normalizes(prompt) else (*prompt.stages, normalize())
    return chain(*stages)


_Places = dict[str | int | None, ast.expr | ast.keyword]
"""Of the arguments of a stage, by name or position."""


class _Reader:
    """A text of one line, whose mistakes are shown in it."""

    def __init__(self, text: str):
        self._text = text
        self._line = text.lstrip()  # Python takes what is indented for a part of something
        self._depth = 0

    def tree(self) -> ast.expr:
        """The text as Python reads it."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(self._line, mode="eval").body
        except SyntaxError as error:
            last = len(self._line.rstrip())  # also where Python knows no place
            start = min(error.offset or last, last) - 1
            self._fail(f"{error.msg}: {_HOW}", start, start + 1)
        except (ValueError, RecursionError, MemoryError) as error:
            what = "it is too deeply nested" if not isinstance(error, ValueError) else f"{error}"
            self._fail(f"this is no prompt, {what}: {_HOW}", 0, len(self._line))
        behind = self._column(tree.end_col_offset)
        if "#" in self._line[behind:]:
            self._fail("a prompt has no comments", self._line.index("#", behind), len(self._line))
        return tree

    def prompt(self, tree: ast.expr) -> Chain:
        """The stages of the text, or of an argument, one after the other."""
        nodes = self.split(tree)
        try:
            return chain(*map(self.stage, nodes))
        except OrderError as error:
            self.fail(error.args[0], nodes[error.position])

    def split(self, tree: ast.expr) -> list[ast.expr]:
        """The stages between the bars, in order."""
        waiting, found = [tree], []
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
                waiting += [node.left, node.right]
            else:
                found.append(node)
        return found[::-1]

    def stage(self, node: ast.expr) -> Stage:
        """The stage that a part of the text describes."""
        call = node if isinstance(node, ast.Call) else None
        name = call.func if call else node
        if not isinstance(name, ast.Name):
            self.fail(f"this is no stage: {_HOW}", node)
        known = makers()
        if name.id not in known:
            self.fail(str(unknown("stage", name.id, known)), name)
        expected = arguments(known[name.id])
        order = [argument for argument in expected.values() if argument.positional]
        given = itertools.zip_longest(call.args, order[: len(call.args)]) if call else ()
        values = [self._value(x, argument) for x, argument in given]
        named: dict[str, Any] = {}
        places: _Places = dict(enumerate(call.args)) if call else {}
        for keyword in call.keywords if call else []:
            if keyword.arg is None:
                self.fail("arguments are literals, and ** is not read", keyword)
            if keyword.arg in named:
                self.fail(f"{name.id}: {keyword.arg} is given twice", keyword)
            named[keyword.arg] = self._value(keyword.value, expected.get(keyword.arg))
            places[keyword.arg] = keyword
        return self._made(known[name.id], values, named, places, node)

    def _made(
        self,
        make: Callable[..., Stage],
        values: list[Any],
        named: dict[str, Any],
        places: _Places,
        node: ast.expr,
    ) -> Stage:
        try:
            return make(*values, **named)
        except ArgumentError as error:
            place = places.get(error.argument)
            if place is None and isinstance(error.argument, str):  # given by its position
                order = list(arguments(make))
                place = places.get(order.index(error.argument))
            if place is not None and error.place is not None:
                value = place.value if isinstance(place, ast.keyword) else place
                place = self.split(value)[error.place]
            self.fail(error.args[0], place or node)

    def _value(self, node: ast.expr, argument: Argument | None) -> Any:
        if argument is None or not argument.is_prompt:
            return self._literal(node)
        if self._depth == DEEPEST:
            self.fail(f"stages stand inside one another, and more than {DEEPEST} deep", node)
        self._depth += 1
        found = self.prompt(node)
        self._depth -= 1
        return found

    def _literal(self, node: ast.expr) -> Any:
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, RecursionError, MemoryError):
            self.fail("an argument is a number, a quoted text, True, False, None or a tuple", node)

    def fail(self, message: str, node: ast.expr | ast.keyword) -> NoReturn:
        """Raises an error that shows a part of the text."""
        self._fail(message, self._column(node.col_offset), self._column(node.end_col_offset))

    def _fail(self, message: str, start: int, end: int) -> NoReturn:
        first, last = max(start - _SHOWN, 0), min(end, start + _SHOWN) + _SHOWN
        shown = self._line[first:last].rstrip()
        before = "..." if first else ""
        after = "..." if last < len(self._line) else ""
        indent = " " * (4 + len(before) + start - first)
        marks = "^" * max(min(end, last) - start, 1)
        raise UserError(f"{message}\n    {before}{shown}{after}\n{indent}{marks}") from None

    def _column(self, offset: int | None) -> int:
        """The character at which Python's offset in bytes is."""
        return len(self._line.encode()[:offset].decode(errors="ignore"))
