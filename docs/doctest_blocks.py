"""Examples of docstrings become blocks of code on the site."""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_FLAGS = re.compile(r" +# doctest: .*$", re.MULTILINE)


class DoctestBlocks(griffe.Extension):
    """Puts a fence around each paragraph that begins with `>>>`."""

    def on_instance(
        self,
        *,
        node: ast.AST | griffe.ObjectNode,
        obj: griffe.Object,
        agent: griffe.Visitor | griffe.Inspector,
        **_: Any,
    ) -> None:
        """Change the docstring of an object once it is known."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(match: re.Match[str]) -> str:
    fence = f"{match['indent']}```"
    return f"{fence}pycon\n{_FLAGS.sub('', match[0])}\n{fence}"
