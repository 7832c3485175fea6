"""`lstm-xcheck inspect`: what a checkpoint holds."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--layout", metavar="NAME", help="The layout of FILE, where its names do not say it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path, layout: str | None, as_json: bool) -> int:
    """Show every LSTM of FILE, with its spec, type, layout and parameter counts, and the names of all other tensors."""
    from .inspect_run import run_inspect

    return run_inspect(file, as_json, layout)
