"""`lstm-xcheck replay`: judge recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--expect", default="", metavar="A,B", help="Environments that must be there; a missing one is an error.")
@click.option("--run", "run_id", default="", metavar="ID", help="Run they must belong to; others are stale.")
@click.option("--adapters", metavar="A,B", help="Also ask these frameworks the recorded cases, live.")
@click.option("--worker", "workers", multiple=True, metavar="NAME=PYTHON", help="Run an adapter by another Python.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Workers at a time.  [default: one per core]")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=120.0, metavar="S", help="Seconds for one case.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write .html .json .xml .md.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON report on stdout and nothing else.")
def command(**options: Any) -> int:
    """Judge recordings, any number of them, by the same bound as live frameworks; needs NumPy alone.

    FILE is a recording or a folder of them. Each case is made again from its recipe: where its sha256 is not the
    recorded one, that is INPUT DRIFT and an error. So are environments that are missing, and recordings that are stale
    or contradict each other.
    """
    from .replay_run import run_replay

    return run_replay(**options)
