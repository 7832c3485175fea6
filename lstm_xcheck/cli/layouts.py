"""`lstm-xcheck layouts`: how each framework stores an LSTM, as the conversion itself reads it."""

from __future__ import annotations

import click


@click.command("layouts")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """Show gate order, orientation, bias scheme, tensor names and source of each layout, or of NAME with an example.

    Gates are i (input), f (forget), g (cell candidate), o (output); x is the input size, h the hidden size.
    """
    from .layouts_run import run_layouts

    run_layouts(name, as_json)
