"""Reads the plain YAML that `model.to_yaml()` of Keras 2 gave.

Mappings, sequences, plain and quoted scalars, anchors and aliases; a tag such as `!!python/tuple` is dropped and never
looked up. Anything else is refused.
Source: keras 2.2.4, keras/engine/network.py (`to_yaml`); what PyYAML 3.13 and 6.0 write for it.
"""

from __future__ import annotations

import json
import re
from typing import Any

_KEY = re.compile(r"""([\w.-]+|"[^"\\]*"|'[^']*'):(?:\s+(.*))?$""", re.DOTALL)
_PREFIX = re.compile(r"(?:&(?P<anchor>\w+)|!\S*)(?:\s+|$)")
_SCALAR = re.compile(
    r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|(?!["'])(?:[^\s,\[\]{}:]|:(?!\s|$)|[^\S\n]+(?=[^\s,\[\]{}:]))+""", re.DOTALL
)
_WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}
#: What all aliases together may repeat, in letters of JSON.
_MAX_REPEATED = 1 << 20


def read_yaml(text: str) -> Any:
    r"""The value of a document.

    Raises:
        ValueError: for what is not plain.

    >>> read_yaml("config:\\n  layers:\\n  - {class_name: LSTM, shape: !!python/tuple [null, 5]}\\n")
    {'config': {'layers': [{'class_name': 'LSTM', 'shape': [None, 5]}]}}
    """
    return _Document(text).value()


class _Document:
    """The lines that are left, and the anchors so far."""

    def __init__(self, text: str) -> None:
        lines = [line.rstrip() for line in text.splitlines()]
        kept = [line for line in lines if line.strip() and line not in ("---", "...") and line.lstrip()[0] != "#"]
        self._lines = [(len(line) - len(line.lstrip()), line.lstrip()) for line in kept]
        self._at = 0
        self._anchors: dict[str, Any] = {}
        self._repeated = 0

    def value(self) -> Any:
        """The whole document."""
        value = self._block(self._lines[0][0]) if self._lines else None
        if self._at < len(self._lines):
            raise ValueError(f"no plain YAML: {self._lines[self._at][1][:40]!r}")
        return value

    def _next(self) -> tuple[int, str]:
        return self._lines[self._at] if self._at < len(self._lines) else (-1, "")

    def _block(self, indent: int) -> Any:
        """The value that starts in this line and has this indent."""
        _, text = self._next()
        if text == "-" or text.startswith("- "):
            return self._sequence(indent)
        if _KEY.match(text):
            return self._mapping(indent)
        self._at += 1
        return self._after(text, indent - 1)

    def _sequence(self, indent: int) -> list[Any]:
        items = []
        while self._next()[0] == indent and (self._next()[1] + " ").startswith("- "):
            text = self._next()[1]
            rest = text[1:].lstrip()
            if not rest or _PREFIX.match(rest):
                self._at += 1
                items.append(self._after(rest, indent))
            else:
                inner = indent + len(text) - len(rest)
                self._lines[self._at] = (inner, rest)
                items.append(self._block(inner))
        return items

    def _mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._next()[0] == indent and (match := _KEY.match(self._next()[1])):
            self._at += 1
            found[match[1].strip("\"'")] = self._after(match[2] or "", indent, in_mapping=True)
        return found

    def _after(self, rest: str, indent: int, *, in_mapping: bool = False) -> Any:
        """The value of the rest of a line and of the deeper lines below."""
        prefix = _PREFIX.match(rest)
        if prefix:
            value = self._after(rest[prefix.end() :], indent, in_mapping=in_mapping)
            return self._anchored(prefix["anchor"], value)
        below, text = self._next()
        if not rest:
            listed = in_mapping and below == indent and (text + " ").startswith("- ")
            return self._block(below) if below > indent or listed else None
        parts = [rest]
        while self._next()[0] > indent:
            # A backslash at the end of a line of a quoted text joins it with the next.
            joined = parts[-1].endswith("\\")
            parts[-1:] = [parts[-1][:-1], self._next()[1]] if joined else [parts[-1], " ", self._next()[1]]
            self._at += 1
        rest = "".join(parts)
        value, end = self._flow(rest, 0)
        if rest[end:].strip():
            raise ValueError(f"no plain YAML: {rest[:40]!r}")
        return value

    def _anchored(self, anchor: str | None, value: Any) -> Any:
        if anchor:
            self._anchors[anchor] = value
        return value

    def _flow(self, text: str, at: int) -> tuple[Any, int]:
        """A value within a line, and where it ends."""
        at = _blank(text, at)
        prefix = _PREFIX.match(text, at)
        if prefix:
            value, end = self._flow(text, prefix.end())
            return self._anchored(prefix["anchor"], value), end
        if text[at : at + 1] in ("[", "{"):
            return self._collection(text, at)
        match = _SCALAR.match(text, at)
        if not match or match[0][0] in "|>%@`":
            raise ValueError(f"no plain YAML: {text[at : at + 40]!r}")
        return (self._alias(match[0][1:]) if match[0][0] == "*" else _scalar(match[0])), match.end()

    def _collection(self, text: str, at: int) -> tuple[Any, int]:
        """A list or mapping in brackets."""
        close = {"[": "]", "{": "}"}[text[at]]
        items: list[Any] = []
        at = _blank(text, at + 1)
        while text[at : at + 1] != close:
            value, at = self._flow(text, at)
            at = _blank(text, at)
            if close == "}":
                if text[at : at + 1] != ":":
                    raise ValueError(f"no plain YAML: {text[at : at + 40]!r}")
                own, at = self._flow(text, at + 1)
                value, at = (str(value), own), _blank(text, at)
            items.append(value)
            if text[at : at + 1] == ",":
                at = _blank(text, at + 1)
            elif text[at : at + 1] != close:
                raise ValueError(f"no plain YAML: {text[at : at + 40]!r}")
        return (dict(items) if close == "}" else items), at + 1

    def _alias(self, name: str) -> Any:
        if name not in self._anchors:
            raise ValueError(f"no plain YAML: there is no anchor {name[:40]!r}")
        self._repeated += len(json.dumps(self._anchors[name]))
        if self._repeated > _MAX_REPEATED:
            raise ValueError("its aliases repeat too much")
        return self._anchors[name]


def _blank(text: str, at: int) -> int:
    """The first place from here that is not blank."""
    while text[at : at + 1].isspace():
        at += 1
    return at


def _as_json(escape: re.Match[str]) -> str:
    """An escape of YAML that JSON writes otherwise."""
    return " " if escape[3] else f"\\u00{escape[1] or '00'}"


def _scalar(text: str) -> Any:
    """A quoted text, number, word or plain text."""
    if text[0] == '"':
        plain = re.sub(r"\\(?:x([0-9A-Fa-f]{2})|(0)|( ))", _as_json, text)
        return json.loads(plain, strict=False)
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    if text in _WORDS:
        return _WORDS[text]
    try:
        return int(text)
    except ValueError:
        return float(text) if re.fullmatch(r"[-+]?(?:[0-9]*\.[0-9]+|[0-9]+\.)(?:e[-+]?[0-9]+)?", text) else text
