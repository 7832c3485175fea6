"""A result in a few lines, as text or as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

#: Longer sentences are cut, and further rows and sentences counted; the attributes of a result have all of them.
_WIDEST, _MOST_ROWS, _MOST_NOTES = 300, 20, 8


@dataclass(frozen=True)
class Summary:
    """What a result says of itself.

    Attributes:
        title: the answer in one line.
        headings: of the columns; empty for a table of names and values.
        rows: of the table, as text.
        notes: sentences below the table.
    """

    title: str
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """The summary as lines.

        >>> print(Summary("12 parameters", rows=(("W", "4"), ("bias", "8"))).to_text())
        12 parameters
        W     4
        bias  8
        """
        table = [self.headings, *self.rows[:_MOST_ROWS]] if self.headings else list(self.rows[:_MOST_ROWS])
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        return "\n".join([self.title, *lines, *self._sentences()])

    def to_html(self) -> str:
        """The summary as HTML, with everything escaped.

        >>> Summary("a < b").to_html()
        '<div><p><strong>a &lt; b</strong></p></div>'
        """
        head = f"<thead>{_html_row('th', self.headings)}</thead>" if self.headings else ""
        body = "".join(_html_row("td", row) for row in self.rows[:_MOST_ROWS])
        table = f"<table>{head}<tbody>{body}</tbody></table>" if body else ""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self._sentences())
        return f"<div><p><strong>{escape(self.title)}</strong></p>{table}{notes}</div>"

    def _sentences(self) -> list[str]:
        """The notes, and how much is left out."""
        left = max(0, len(self.rows) - _MOST_ROWS) + max(0, len(self.notes) - _MOST_NOTES)
        notes = [note if len(note) <= _WIDEST else f"{note[: _WIDEST - 3]}..." for note in self.notes[:_MOST_NOTES]]
        return [*notes, f"and {left} more"] if left else notes


class Shown:
    """A result with a summary, which `str` and notebooks show."""

    def __init_subclass__(cls) -> None:
        # IPython prefers a `__repr__` of the class itself, which every dataclass has, to this method of its base.
        cls._repr_pretty_ = Shown._repr_pretty_  # type: ignore[method-assign]

    def summary(self) -> Summary:
        """The result in a few lines."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.summary().to_text()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.summary().to_html()

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """What IPython shows in a terminal."""
        printer.text(str(self))


def figure(value: float | None) -> str:
    """A number with three digits; empty where there is none.

    >>> figure(0.123456), figure(None)
    ('0.123', '')
    """
    return "" if value is None else f"{value:.3g}"


def _html_row(tag: str, cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
