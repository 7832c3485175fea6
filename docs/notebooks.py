"""An executed notebook as Markdown: its text, its code, and what each cell printed or showed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

#: Colours of a terminal.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def markdown_of(text: str) -> str:
    """The page of a notebook."""
    return "\n\n".join(part for cell in json.loads(text)["cells"] for part in _cell(cell)) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"]).rstrip()
    if cell["cell_type"] == "markdown":
        yield source
    if cell["cell_type"] == "code":
        yield _fenced("python", source)
        yield from (_output(output) for output in cell["outputs"])


def _output(output: dict[str, Any]) -> str:
    """A picture, else HTML, else text."""
    shown = {kind: "".join(lines) for kind, lines in output.get("data", {}).items()}
    if "image/png" in shown:
        return f'<img alt="output" src="data:image/png;base64,{shown["image/png"].strip()}">'
    if "text/html" in shown:
        # A blank line would end the block.
        return "<div>\n" + re.sub(r"\n\s*\n", "\n", shown["text/html"]).strip() + "\n</div>"
    text = "".join(output.get("text", shown.get("text/plain", "\n".join(output.get("traceback", [])))))
    return _fenced("text", _COLOUR.sub("", text).rstrip())


def _fenced(language: str, text: str) -> str:
    fence = "~" * 8
    return f"{fence}{language}\n{text}\n{fence}"
