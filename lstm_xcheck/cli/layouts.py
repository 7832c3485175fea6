"""`layouts`: rows of the layout table, with converted examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from ..layouts import Layout

#: Sizes of the examples: small enough to read, and another length for every axis.
_SIZES: dict[str, Any] = {"input_size": 3, "hidden_size": 2}
#: Label of an example -> further fields of its spec.
_EXAMPLES: dict[str, dict[str, Any]] = {
    "one layer": {},
    "two layers, both directions": {"num_layers": 2, "bidirectional": True},
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


@click.command("layouts")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """Show gate order, orientation, bias scheme, tensor names and source of each layout,
    or of NAME with an example.

    Gates are i (input), f (forget), g (cell candidate), o (output); x is the input size, h the hidden size.
    """
    from ..layouts import TABLE, layout_named
    from .output import print_json

    row = None if name is None else layout_named(name)
    if as_json:
        print_json([describe(row) for row in TABLE] if row is None else describe(row))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if row is None:
        _print_all(console)
    else:
        _print_one(row, console)


def orientation(row: Layout) -> str:
    """The shape of the stored input weights, in sizes.

    >>> from lstm_xcheck.layouts import layout_named
    >>> orientation(layout_named("torch")), orientation(layout_named("keras"))
    ('(4h, x)', '(x, 4h)')
    """
    kernel = row.tensors[0]
    gates = "h" if row.gates == "names" else "4h"
    inputs = "x+h" if "U" in kernel.parts else "x"
    shape = f"{inputs}, {gates}" if kernel.transposed or kernel.reshaped else f"{gates}, {inputs}"
    return f"(directions, {shape})" if row.direction_axis else f"({shape})"


def describe(row: Layout) -> dict[str, Any]:
    """A row as plain data, with the arrays of the examples."""
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
        "examples": {label: {**_SIZES, "arrays": _example(row, fields)} for label, fields in _EXAMPLES.items()},
    }


def _example(row: Layout, fields: dict[str, Any]) -> dict[str, list[int]]:
    """The shapes of an example by name."""
    from ..layouts import to_layout
    from ..model import LSTMSpec, LSTMWeights

    arrays = to_layout(LSTMWeights.random(LSTMSpec(**_SIZES, **fields)), row)
    return {name: list(array.shape) for name, array in arrays.items()}


def _print_all(console: Console) -> None:
    from ..layouts import TABLE
    from .output import plain_table

    table = plain_table(
        "layout", "order", "weights", "gates", "bias", "forget bias", "states", no_wrap=("layout", "order", "bias")
    )
    for row in TABLE:
        forget = f"{row.forget_bias:+g}" if row.forget_bias else ""
        states = ", ".join(row.state_order)
        table.add_row(row.name, row.order, orientation(row), _GATES[row.gates], row.bias, forget, states)
    console.print(table)
    tensors = {row.name: ", ".join(tensor.name for tensor in row.tensors) for row in TABLE}
    for title, texts in (("tensors", tensors), ("sources", {row.name: row.source for row in TABLE})):
        console.print(f"\n{title}", style="bold")
        for name, text in texts.items():
            console.print(f"  {name}: {text}", markup=False, soft_wrap=not console.is_terminal)
    console.print(
        "\ni input gate, f forget gate, g cell candidate, o output gate; x input size, h hidden size.\n"
        "lstm-xcheck layouts NAME shows one of them with an example.",
        markup=False,
        soft_wrap=not console.is_terminal,
    )


def _print_one(row: Layout, console: Console) -> None:
    from rich.table import Table

    for label, value in _facts(row):
        console.print(f"{label:<14} {value}", markup=False, soft_wrap=not console.is_terminal)
    for label, fields in _EXAMPLES.items():
        console.print(f"\n{label}, input 3, hidden 2", style="bold", markup=False)
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, shape in _example(row, fields).items():
            table.add_row(f"  {name}", str(tuple(shape)))
        console.print(table)
        if not fields:
            console.print(f"  {_positions(row)}", markup=False, soft_wrap=not console.is_terminal)


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
    for number, tensor in enumerate(row.tensors):
        parts = " and ".join(_WORDS[part] for part in tensor.parts)
        facts.append(("" if number else "holds", f"{tensor.name}: {parts}"))
    facts.append(("source", row.source))
    return facts


def _positions(row: Layout) -> str:
    """The indices of each gate along the gate axis of the first example."""
    h = _SIZES["hidden_size"]
    if row.gates == "names":
        return "one array for each gate"
    if row.gates == "units":
        places = [f"{gate} {', '.join(str(4 * unit + k) for unit in range(h))}" for k, gate in enumerate(row.order)]
    else:
        places = [f"{gate} {k * h} to {(k + 1) * h - 1}" for k, gate in enumerate(row.order)]
    kernel = row.tensors[0]
    axis = "columns" if kernel.transposed or kernel.reshaped else "rows"
    return f"{axis} of the weights: {'; '.join(places)}"
