"""`lstm-xcheck compare`: two checkpoints, one LSTM?"""

from __future__ import annotations

from pathlib import Path

import click

from .layout_option import HELP


@click.command("compare")
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@click.option("--layout", "layouts", multiple=True, metavar="NAME", help=HELP)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(first: Path, second: Path, layouts: tuple[str, ...], as_json: bool) -> int:
    """Say whether A and B, checkpoints of any formats, hold the same LSTMs.

    Weights are compared bit for bit in canonical form, the function by the float64 oracle on inputs that show every
    mistake, and the parameter counts are reconciled. Where they differ, the mistake that turns A into B is named.
    """
    from .compare_run import run_compare

    return run_compare(first, second, as_json, layouts)
