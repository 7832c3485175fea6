"""`lstm-xcheck verify`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .layout_option import HELP


@click.command("verify")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--adapters", metavar="A,B", help="Adapters to run; default: all whose framework is installed.")
@click.option(
    "--adapter", "functions", multiple=True, metavar="NAME=MODULE:FUNCTION", help="Run a function of your own."
)
@click.option("--preset", metavar="NAME", help="Cases to run: quick, standard or deep.  [default: standard]")
@click.option("--grid", "grid_text", metavar="AXES", help='Cases to run: "hidden=1,32 steps=1,20 bias=split,none".')
@click.option("--layout", "layouts", multiple=True, metavar="NAME", help=HELP)
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Run every case with N seeds.")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", default=0, help="First seed.  [default: 0]")
@click.option("--precision", metavar="NAME", help="float32, float64, bfloat16 or float16 for every case.")
@click.option("--gradients", is_flag=True, help="Compare gradients, too, by each framework's own differentiation.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Workers at a time.  [default: one per core]")
@click.option("--worker", "workers", multiple=True, metavar="NAME=PYTHON", help="Run an adapter by another Python.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=120.0, metavar="S", help="Seconds for one case.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Keep every finished cell in this folder.")
@click.option("--resume", is_flag=True, help="Go on with the run that --out DIR holds.")
@click.option("--shard", metavar="I/N", help="Run only part I of N of the cases; merge puts the parts together.")
@click.option("--dask", metavar="ADDRESS", help="Run on the workers of a Dask scheduler, such as tcp://host:8786.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write FILE.{html,json,xml,md}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON report on stdout and nothing else.")
def command(**options: Any) -> int:
    """Run the same LSTMs in every framework and judge every number by what honest rounding allows.

    Without FILE: a grid of designed cases. With FILE: every LSTM found in each checkpoint of any readable format,
    with its own weights. No tolerance is guessed: a float64 oracle follows each framework's
    own outputs and bounds the rounding of every element.
    """
    from .verify_run import run_verify

    return run_verify(**options)
