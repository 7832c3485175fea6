"""`lstm-xcheck merge`: put the shards of a run together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder to write into.")
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
    """Put runs of the same cases together: shards of a sweep, runs of different adapters, or both.

    What no folder holds is named, counts as not run, and makes the exit code 2.
    """
    from .report_run import run_merge

    return run_merge(**options)
