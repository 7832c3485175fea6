"""The work of `layouts`: rows of the table in words, and an example made by the conversion itself."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..layouts import TABLE, Layout, layout_named, to_layout
from ..model import LSTMSpec, LSTMWeights

#: Small enough to read, and every axis of another length.
_EXAMPLES = {
    "one layer": LSTMSpec(input_size=3, hidden_size=2),
    "two layers, both directions": LSTMSpec(input_size=3, hidden_size=2, num_layers=2, bidirectional=True),
}
_WORDS = {
    "W": "input weights W",
    "U": "recurrent weights U",
    "b": "bias b",
    "b_r": "second bias b_r",
    "peephole": "peephole weights",
    "projection": "projection weights",
}
_GATES = {"blocks": "blocks of h", "units": "interleaved, four per unit", "names": "an array for each gate"}


def run_layouts(name: str | None, as_json: bool) -> None:
    """Print all rows, or one with its example.

    Raises:
        SpecError: for an unknown name.
    """
    rows = TABLE if name is None else (layout_named(name),)
    if as_json:
        described = [describe(row) for row in rows]
        click.echo(json.dumps(described if name is None else described[0], indent=1))
        return
    console = Console(highlight=False)
    if name is None:
        _print_all(console)
    else:
        _print_one(rows[0], console)


def orientation(row: Layout) -> str:
    """The shape of the stored input weights, in sizes.

    >>> orientation(layout_named("torch")), orientation(layout_named("keras"))
    ('(4h, x)', '(x, 4h)')
    """
    kernel = row.tensors[0]
    gates = "h" if row.gates == "names" else "4h"
    inputs = "x+h" if "U" in kernel.parts else "x"
    shape = f"{inputs}, {gates}" if kernel.transposed or kernel.reshaped else f"{gates}, {inputs}"
    return f"(directions, {shape})" if row.direction_axis else f"({shape})"


def describe(row: Layout) -> dict[str, Any]:
    """A row as plain data, with the names and shapes of the example specs."""
    return {
        "name": row.name,
        "order": row.order,
        "gates": row.gates,
        "orientation": orientation(row),
        "bias": row.bias,
        "forget_bias": row.forget_bias,
        "state_order": row.state_order,
        "peephole_order": row.peephole_order if row.tensor_for("peephole") else None,
        "tensors": [
            {"name": tensor.name, "parts": list(tensor.parts), "transposed": tensor.transposed}
            for tensor in row.tensors
        ],
        "source": row.source,
        "examples": {
            label: {"input_size": 3, "hidden_size": 2, "arrays": _example(row, spec)}
            for label, spec in _EXAMPLES.items()
        },
    }


def _example(row: Layout, spec: LSTMSpec) -> dict[str, list[int]]:
    arrays = to_layout(LSTMWeights.random(spec), row)
    return {name: list(array.shape) for name, array in arrays.items()}


def _print_all(console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("layout", "order", "weights", "gates", "bias", "forget bias", "states"):
        table.add_column(heading, no_wrap=heading in ("layout", "order", "bias"))
    for row in TABLE:
        forget = f"{row.forget_bias:+g}" if row.forget_bias else ""
        states = ", ".join(row.state_order)
        table.add_row(row.name, row.order, orientation(row), _GATES[row.gates], row.bias, forget, states)
    console.print(table)
    console.print("\ntensors", style="bold")
    for row in TABLE:
        names = ", ".join(tensor.name for tensor in row.tensors)
        console.print(f"  {row.name}: {names}", markup=False, soft_wrap=True)
    console.print("\nsources", style="bold")
    for row in TABLE:
        console.print(f"  {row.name}: {row.source}", markup=False, soft_wrap=True)
    console.print(
        "\ni input gate, f forget gate, g cell candidate, o output gate; x input size, h hidden size.\n"
        "lstm-xcheck layouts NAME shows one of them with an example.",
        markup=False,
        soft_wrap=True,
    )


def _print_one(row: Layout, console: Console) -> None:
    for label, value in _facts(row):
        console.print(f"{label:<14} {value}", markup=False, soft_wrap=True)
    for label, spec in _EXAMPLES.items():
        console.print(f"\n{label}, input 3, hidden 2", style="bold", markup=False)
        table = Table(box=None, pad_edge=False, show_header=False)
        arrays = _example(row, spec)
        for name, shape in arrays.items():
            table.add_row(f"  {name}", str(tuple(shape)))
        console.print(table)
        if spec.num_layers == 1:
            console.print(f"  {_positions(row, spec)}", markup=False, soft_wrap=True)


def _facts(row: Layout) -> list[tuple[str, str]]:
    facts = [
        ("layout", row.name),
        ("gate order", f"{', '.join(row.order)}; {_GATES[row.gates]}"),
        ("weights", orientation(row)),
        ("bias", "two vectors, added at run time" if row.bias == "split" else "one vector"),
    ]
    if row.forget_bias:
        facts.append(("forget bias", f"{row.forget_bias:+g} at run time, not stored; conversion accounts for it"))
    facts.append(("states", ", ".join(row.state_order)))
    if row.tensor_for("peephole"):
        facts.append(("peepholes", ", ".join(row.peephole_order)))
    labels = ["holds", *[""] * (len(row.tensors) - 1)]
    facts += [
        (label, f"{tensor.name}: {_contents(tensor.parts)}") for label, tensor in zip(labels, row.tensors, strict=True)
    ]
    facts.append(("source", row.source))
    return facts


def _contents(parts: tuple[str, ...]) -> str:
    return " and ".join(_WORDS[part] for part in parts)


def _positions(row: Layout, spec: LSTMSpec) -> str:
    """Where each gate lies along the gate axis of the example."""
    h = spec.hidden_size
    if row.gates == "names":
        return "one array for each gate"
    if row.gates == "units":
        places = [f"{gate} {', '.join(str(4 * unit + k) for unit in range(h))}" for k, gate in enumerate(row.order)]
    else:
        places = [f"{gate} {k * h} to {(k + 1) * h - 1}" for k, gate in enumerate(row.order)]
    kernel = row.tensors[0]
    axis = "columns" if kernel.transposed or kernel.reshaped else "rows"
    return f"{axis} of the weights: {'; '.join(places)}"
