"""`lstm-xcheck record`: what the frameworks of this environment answer, kept for `replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("record")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Write this .npz file.")
@click.option("--env", "environment", default="", metavar="NAME", help="Name of this environment, such as py311-torch.")
@click.option("--run", "run_id", default="", metavar="ID", help="Run it belongs to; default: a digest of the content.")
@click.option("--adapters", metavar="A,B", help="Adapters to ask; default: all whose framework is installed.")
@click.option("--preset", metavar="NAME", help="Cases to ask: quick, standard or deep.  [default: standard]")
@click.option("--grid", "grid_text", metavar="AXES", help='Cases to ask: "hidden=1,32 steps=1,20 bias=split,none".')
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Ask every case with N seeds.")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", default=0, help="First seed.  [default: 0]")
@click.option("--precision", metavar="NAME", help="float32, float64, bfloat16 or float16 for every case.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Workers at a time.  [default: one per core]")
@click.option("--worker", "workers", multiple=True, metavar="NAME=PYTHON", help="Run an adapter by another Python.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=120.0, metavar="S", help="Seconds for one case.")
def command(**options: Any) -> int:
    """Ask the frameworks of this environment deterministic cases and keep what they answer in one file.

    Nothing is judged here. `lstm-xcheck replay` judges any number of such files, in any environment that has NumPy,
    and notices when the cases were not the same there. An existing recording is replaced, any other file is not.
    """
    from .record_run import run_record

    return run_record(**options)
