"""`lstm-xcheck trace`: gates and states, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .spec_options import spec_options


@click.command("trace")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--layer-name", metavar="NAME", help="Which LSTM of FILE, where it holds several.")
@spec_options
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="S", help="Of random weights.  [default: 0]")
@click.option("--init", metavar="NAME", help="How to draw weights: probe, keras, torch, ...  [default: probe]")
@click.option(
    "--input", "input_file", type=click.Path(path_type=Path), metavar="X.npy", help="(steps, features), or a batch."
)
@click.option("--one-hot", metavar="4,7,8,4", help="One-hot steps by their indices; needs --depth.")
@click.option("--depth", type=int, metavar="N", help="Width of a one-hot step.")
@click.option("--values", metavar="1,2,3,4", help="One number per step; 1,2;3,4 is two features in two steps.")
@click.option("--steps", type=click.IntRange(min=1), metavar="T", help="Random input of T steps.  [default: 5]")
@click.option("--row", type=int, default=0, metavar="N", help="Row of the batch to show.  [default: 0]")
@click.option("--layer", type=int, metavar="K", help="Layer to show.  [default: the top one]")
@click.option("--direction", type=click.Choice(["forward", "backward"]), help="Direction to show.  [default: all]")
@click.option("--unit", metavar="0,3", help="Units to show.  [default: the first 8]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON: all layers, units and rows.")
def command(**options: Any) -> None:
    """Show the gates i, f, g (cell candidate), o and the states c, h of every step, in float64.

    The LSTM comes from FILE (a checkpoint) or, with random weights, from --input-size and --hidden-size. The input
    comes from --input, --one-hot or --values. Initial states are zero.

    For example: lstm-xcheck trace --input-size 1 --hidden-size 1 --values 1,2,3,4

    For a checkpoint: lstm-xcheck trace model.pt --one-hot 4,7,8,4 --depth 10
    """
    from .trace_run import run_trace

    run_trace(**options)
