"""`inspect`: the LSTMs and other tensors of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import LAYOUT, PATH, keras_options

if TYPE_CHECKING:
    from ..checkpoints import Checkpoint, FoundLSTM
    from ..model import LSTMSpec


@click.command("inspect")
@click.argument("file", type=PATH)
@click.option("--layout", metavar="NAME", type=LAYOUT, help="The layout of FILE, where its names do not say it.")
@keras_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path, layout: str | None, as_json: bool, keras_config: Path | None, **keras: Any) -> None:
    """Show every LSTM of FILE, with its spec, type, layout and parameter counts,
    and the names of all other tensors.
    """
    from ..checkpoints import read_checkpoint
    from ..checkpoints.options import KerasOptions
    from .output import print_json

    checkpoint = read_checkpoint(file, layout, keras=KerasOptions.of(keras_config, **keras))
    checkpoint.require_lstms()
    if as_json:
        print_json(describe(checkpoint))
    else:
        _print(checkpoint)


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint as plain data."""
    return {
        "file": str(checkpoint.path),
        "format": checkpoint.format,
        "lstms": [_describe_lstm(lstm) for lstm in checkpoint.lstms],
        "unread": [{"name": lstm.name, "why": lstm.why} for lstm in checkpoint.unread],
        "other": [
            {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype, "note": tensor.note}
            for tensor in checkpoint.other
        ],
        "content": list(checkpoint.content),
    }


def _describe_lstm(lstm: FoundLSTM) -> dict[str, Any]:
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


def _explained(lstm: FoundLSTM) -> str:
    from ..layouts import explain_count

    spec = lstm.weights.spec
    return explain_count(spec, lstm.weights.parameter_count if lstm.native_count is None else lstm.native_count)


def _print(checkpoint: Checkpoint) -> None:
    heading, *rows = _lines(checkpoint)
    click.echo(f"{checkpoint.path}: {checkpoint.format}\n")
    click.echo("\n".join([click.style(heading, bold=True), *rows, ""]))
    for lstm in checkpoint.lstms:
        for line in (f"why: {lstm.why}", f"parameters: {_explained(lstm)}", *(f"note: {note}" for note in lstm.notes)):
            click.echo(f"{lstm.name}: {line}")
    for unread in checkpoint.unread:
        click.echo(f"{unread.name}: {unread.note}")
    if checkpoint.other:
        click.echo(f"\nother tensors: {len(checkpoint.other)}")
    for tensor in checkpoint.other:
        click.echo(f"  {tensor}" + (f" ({tensor.note})" if tensor.note else ""))
    if checkpoint.content:
        click.echo(f"\nother content: {len(checkpoint.content)}")
    for line in checkpoint.content:
        click.echo(f"  {line}")


def _lines(checkpoint: Checkpoint) -> list[str]:
    """The table, heading first, without rich, which loads slowly."""
    rows = [["LSTM", "kind", "type", "layout", "input", "hidden", "layers", "stored", "canonical"]]
    for lstm in checkpoint.lstms:
        spec = lstm.weights.spec
        sizes = (spec.input_size, spec.hidden_size, spec.num_layers, lstm.native_count, spec.canonical_count)
        counts = ["" if size is None else f"{size:,}" for size in sizes]
        rows.append([lstm.name, kind(spec), lstm.source_dtype, lstm.layout, *counts])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [*[str.ljust] * 4, *[str.rjust] * 5]
    return ["  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)) for row in rows]


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
