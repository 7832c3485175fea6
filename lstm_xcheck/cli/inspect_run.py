"""What `inspect` prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..checkpoints import Checkpoint, Found, read_checkpoint
from ..layouts import explain_count
from ..spec import LSTMSpec

if TYPE_CHECKING:
    from rich.table import Table


def run_inspect(path: Path, as_json: bool, layout: str | None = None) -> int:
    """Read and print; 2 when the file holds no LSTM, as an error that says what it holds."""
    held = read_checkpoint(path, layout)
    held.require_lstms()
    if as_json:
        click.echo(json.dumps(describe(held), indent=1))
    else:
        _print(held)
    return 0


def describe(held: Checkpoint) -> dict[str, Any]:
    """A file as plain data."""
    return {
        "file": str(held.path),
        "format": held.format,
        "lstms": [_describe_lstm(lstm) for lstm in held.lstms],
        "other": [
            {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype, "note": tensor.note}
            for tensor in held.other
        ],
    }


def _describe_lstm(lstm: Found) -> dict[str, Any]:
    spec = lstm.weights.spec
    return {
        "name": lstm.name,
        "spec": spec.to_dict(),
        "dtype": lstm.source_dtype,
        "layout": lstm.layout,
        "why": lstm.why,
        "native_count": lstm.native_count,
        "canonical_count": spec.canonical_count,
        "explanation": _explained(lstm),
        "tensors": list(lstm.tensors),
        "notes": list(lstm.notes),
    }


def _explained(lstm: Found) -> str:
    spec = lstm.weights.spec
    return explain_count(spec, lstm.weights.parameter_count if lstm.native_count is None else lstm.native_count)


def _print(held: Checkpoint) -> None:
    from rich.console import Console

    # What is piped into a file or another program has no width; a long name is shown whole.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    console.print(f"{held.path}: {held.format}", markup=False, soft_wrap=True)
    console.print()
    console.print(_table(held))
    console.print()
    for lstm in held.lstms:
        lines = [f"why: {lstm.why}", f"parameters: {_explained(lstm)}", *(f"note: {note}" for note in lstm.notes)]
        for line in lines:
            console.print(f"{lstm.name}: {line}", markup=False, soft_wrap=True)
    if held.other:
        console.print(f"\nother tensors: {len(held.other)}", markup=False)
    for tensor in held.other:
        note = f" ({tensor.note})" if tensor.note else ""
        console.print(f"  {tensor}{note}", markup=False, soft_wrap=True)


def _table(held: Checkpoint) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("LSTM", "kind", "type", "layout"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "type")
    for heading in ("input", "hidden", "layers", "stored", "canonical"):
        table.add_column(heading, justify="right")
    for lstm in held.lstms:
        spec = lstm.weights.spec
        sizes = (spec.input_size, spec.hidden_size, spec.num_layers)
        stored = "" if lstm.native_count is None else f"{lstm.native_count:,}"
        table.add_row(
            lstm.name, kind(spec), lstm.source_dtype, lstm.layout, *(f"{size:,}" for size in sizes), stored,
            f"{spec.canonical_count:,}",
        )  # fmt: skip
    return table


def kind(spec: LSTMSpec) -> str:
    """Everything but the sizes, in a few words."""
    words = ["bidirectional"] if spec.bidirectional else ["backward"] if spec.reverse else []
    words.append({"split": "2 biases", "single": "1 bias", "none": "no bias"}[spec.bias])
    words += [f"projection {spec.proj_size}"] if spec.proj_size else []
    words += ["peepholes"] if spec.peepholes else []
    functions = (spec.gate_activation, spec.cell_activation, spec.output_activation)
    words += ["/".join(functions)] if functions != ("sigmoid", "tanh", "tanh") else []
    for name in ("gate_clip", "cell_clip", "proj_clip", "coupling"):
        value = getattr(spec, name)
        words += [f"{name} {value}"] if value is not None else []
    return ", ".join(words)
