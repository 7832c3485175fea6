"""`inspect`: the LSTMs and other tensors of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import LAYOUT, PATH, keras_options
from .output import say

if TYPE_CHECKING:
    from ..checkpoints import Checkpoint


@click.command("inspect")
@click.argument("file", type=PATH)
@click.option("--layout", metavar="NAME", type=LAYOUT, help="The layout of FILE, where its names do not say it.")
@keras_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path, layout: str | None, as_json: bool, **keras: Any) -> None:
    """Show every LSTM of FILE, with its spec, type, layout and parameter counts,
    and the names of all other tensors.
    """
    from ..checkpoints.inspect import inspect
    from .output import print_json

    checkpoint = inspect(file, layout, **keras)
    if as_json:
        print_json(checkpoint.to_dict())
    else:
        _print(checkpoint)


def _print(checkpoint: Checkpoint) -> None:
    from ..checkpoints.codecs.limits import shortlist

    heading, *rows = _lines(checkpoint)
    say(f"{checkpoint.path}: {checkpoint.format}\n")
    click.echo("\n".join([click.style(heading, bold=True), *rows, ""]))
    for lstm in checkpoint.lstms:
        for line in (f"why: {lstm.why}", f"parameters: {lstm.explanation}", *(f"note: {note}" for note in lstm.notes)):
            say(f"{lstm.name}: {line}")
    for unread in checkpoint.unread:
        say(f"{unread.name}: {unread.note}")
    training = [tensor.name for tensor in checkpoint.other if tensor.training]
    if checkpoint.other:
        say(f"\nother tensors: {len(checkpoint.other)}")
    for tensor in checkpoint.other:
        if not tensor.training:
            say(f"  {tensor}" + (f" ({tensor.note})" if tensor.note else ""))
    if training:
        say(f"  {len(training)} of training: {shortlist(training)}")
    if checkpoint.content:
        say(f"\nother content: {len(checkpoint.content)}")
    for line in checkpoint.content:
        say(f"  {line}")


def _lines(checkpoint: Checkpoint) -> list[str]:
    """The table, heading first, without rich, which loads slowly."""
    summary = checkpoint.summary()
    rows = [summary.headings, *summary.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [*[str.ljust] * 4, *[str.rjust] * 5]
    return ["  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)) for row in rows]
