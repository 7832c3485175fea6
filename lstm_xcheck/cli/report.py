"""`lstm-xcheck report`: look at a run that verify --out keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--adapter", "adapters", multiple=True, metavar="NAME", help="List rows of this adapter.  [repeatable]")
@click.option("--verdict", "verdicts", multiple=True, metavar="NAME", help="List rows of this verdict.  [repeatable]")
@click.option("--case", metavar="TEXT", help="List rows whose case's name holds this text.")
@click.option("--worst", type=click.IntRange(min=1), metavar="N", help="List the N rows of the largest error / bound.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write FILE.{html,json,xml,md}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else.")
def command(**options: Any) -> int:
    """Show the run in DIR, finished or not: its verdicts, or the rows that fit what is asked.

    The exit code is that of the run; cells that have not ended yet make it 2.
    """
    from .report_run import run_report

    return run_report(**options)
