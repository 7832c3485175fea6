"""A trace as a table, as a plot in characters, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from ..arrays import Array

if TYPE_CHECKING:
    from ..oracle.trace import CellTrace, Trace

_QUANTITIES = ("i", "f", "g", "o", "c", "h")
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*%#"
#: Columns of a plot; longer sequences are averaged into this many.
_PLOT_WIDTH = 60
#: Marks for one step of a short sequence.
_STEP_WIDTH = 6


@dataclass(frozen=True)
class Choice:
    """The printed part of a trace: a batch row, cells and units."""

    row: int
    cells: tuple[CellTrace, ...]
    units: tuple[int, ...]


def print_trace(trace: Trace, choice: Choice, console: Console) -> None:
    """Print table and plot of each chosen cell, then the outputs."""
    for cell in choice.cells:
        console.print(f"\n{_title(trace, cell)}", style="bold", markup=False, soft_wrap=True)
        heading, *rows = _table(trace, cell, choice)
        console.print(heading, style="bold", markup=False, soft_wrap=True)
        _print_lines(console, [*rows, "", *plot(cell, choice, console.encoding)])
    for line in ("", *_outputs(trace, choice.row)):
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _print_lines(console: Console, lines: list[str]) -> None:
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _title(trace: Trace, cell: CellTrace) -> str:
    backward = trace.case.spec.is_backward(cell.direction)
    way = "backward, from the last step to the first" if backward else "forward"
    return f"layer {cell.layer}, {way}"


def _table(trace: Trace, cell: CellTrace, choice: Choice) -> list[str]:
    """Headings, and one line for each step and unit; there may be thousands."""
    inputs = _inputs(trace, choice.row) if cell.layer == 0 else None
    top = cell.layer == trace.case.spec.num_layers - 1
    rows = [["t", *(["input"] if inputs else []), "unit", *_QUANTITIES, ""]]
    for t in range(trace.case.steps):
        mark = ("last" if top else "final") if t == cell.last[choice.row] else ""
        for position, unit in enumerate(choice.units):
            first = position == 0
            label = [str(t) if first else "", *([inputs[t] if first else ""] if inputs else [])]
            numbers = [_number(getattr(cell, name), choice.row, t, unit) for name in _QUANTITIES]
            rows.append([*label, str(unit), *numbers, mark if first else ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.rjust, row, widths)).rstrip() for row in rows]


def _number(array: Array, row: int, t: int, unit: int) -> str:
    """The number at a step, or blank at padding."""
    if unit >= array.shape[2] or np.isnan(array[row, t, unit]):
        return ""
    return _short(float(array[row, t, unit]))


def _short(value: float) -> str:
    """Four decimals, or three digits of a very small or large number."""
    plain = value == 0 or 1e-4 <= abs(value) < 1e4
    return f"{value:.4f}" if plain else f"{value:.2e}"


def _inputs(trace: Trace, row: int) -> list[str] | None:
    """The inputs as short texts: a number, or the index of a one-hot row."""
    x = np.asarray(trace.case.x[row], dtype=np.float64)
    if x.shape[1] == 1:
        return [f"{value:g}" for value in x[:, 0]]
    if ((x == 0) | (x == 1)).all() and (x.sum(axis=1) == 1).all():
        return [f"one-hot {index}" for index in x.argmax(axis=1)]
    return None


def plot(cell: CellTrace, choice: Choice, encoding: str = "utf-8") -> list[str]:
    """One line of marks for each unit and quantity, with its scale.

    The scale of the gates i, f, o is 0 to 1 and of g -1 to 1, wider where an unusual activation leaves that range; of
    the states c and h plus and minus their largest value.
    """
    marks = _BLOCKS if _can_write(_BLOCKS, encoding) else _ASCII
    steps = cell.i.shape[1]
    times = max(1, min(_STEP_WIDTH, _PLOT_WIDTH // steps))
    lines = [f"over the steps t = 0 to {steps - 1}{_column_note(steps, times)}"]
    for unit in choice.units:
        for name in _QUANTITIES:
            array = getattr(cell, name)
            if unit < array.shape[2]:
                values = array[choice.row, :, unit]
                low, high = _scale(name, values)
                drawn = "".join(mark * times for mark in sparkline(_squeezed(values), low, high, marks))
                lines.append(f"unit {unit}  {name}  {drawn}  [{low:.3g}, {high:.3g}]")
    return lines


def sparkline(values: Sequence[float] | Array, low: float, high: float, marks: str = _BLOCKS) -> str:
    """A mark for each value between `low` and `high`; blank for NaN and infinity.

    >>> sparkline([0.0, 0.5, 1.0, float("nan")], 0.0, 1.0, "123")
    '123 '
    """
    top = len(marks) - 1
    span = (high - low) or 1.0
    return "".join(
        marks[min(top, max(0, int((value - low) / span * (top + 1))))] if np.isfinite(value) else " "
        for value in values
    )


def _scale(name: str, values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    if name in "ifo":
        return 0.0, max(1.0, largest)
    bound = max(1.0, largest) if name == "g" else largest or 1.0
    return -bound, bound


def _squeezed(values: Array) -> Array:
    """Means of neighbouring steps where there are too many for the columns."""
    if len(values) <= _PLOT_WIDTH:
        return values
    parts = np.array_split(values, _PLOT_WIDTH)
    return np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan for part in parts])


def _column_note(steps: int, times: int) -> str:
    if steps > _PLOT_WIDTH:
        return f", averaged into {_PLOT_WIDTH} marks"
    return f", {times} marks each" if times > 1 else ""


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _outputs(trace: Trace, row: int) -> list[str]:
    """What frameworks return: every h of the top layer, or the last one."""
    y, last = trace.result.y, trace.result.last
    assert y is not None  # forward always observes them
    assert last is not None
    where = " and ".join(f"t = {cell.last[row]}" for cell in trace.cells[-1])
    return [
        f"whole sequence {tuple(y.shape)}: h of the top layer at every step (Keras return_sequences=True, "
        "the output of nn.LSTM)",
        f"last output    {tuple(last.shape)}: {_listed(last[row])}, h at {where} (Keras by default, h_n of nn.LSTM)",
    ]


def _listed(values: Array) -> str:
    first = ", ".join(_short(float(value)) for value in values[:8])
    return f"[{first}, ... {len(values)} numbers]" if len(values) > 8 else f"[{first}]"


def to_dict(trace: Trace, cells: Sequence[CellTrace]) -> dict[str, Any]:
    """The chosen cells as JSON data; null where a number is not finite."""
    case, result = trace.case, trace.result
    return {
        "spec": case.spec.to_dict(),
        "precision": case.precision,
        "x": case.x.tolist(),
        "cells": [
            {
                "layer": cell.layer,
                "direction": cell.direction,
                "backward": case.spec.is_backward(cell.direction),
                **{name: _plain(getattr(cell, name)) for name in _QUANTITIES},
                "last_step": cell.last.tolist(),
            }
            for cell in cells
        ],
        **{name: _plain(getattr(result, name)) for name in ("y", "last", "h_n", "c_n")},
    }


def _plain(array: Array) -> Any:
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist()
