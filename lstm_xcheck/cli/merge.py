"""`merge`: put the shards of a run together."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, report_options


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="DIR...")
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder to write into.")
@report_options()
def command(folders: tuple[Path, ...], out: Path, reports: tuple[Path, ...], as_json: bool) -> int:
    """Put runs of the same cases together: shards of a sweep,
    runs of different adapters, or both.

    What no folder holds is named, counts as not run, and makes the exit code 2.
    """
    from ..runs.folder import Description
    from ..runs.resume import merge
    from .output import check_report_paths, deliver
    from .report import report_of

    check_report_paths(reports)
    missing = merge(folders, out)
    if missing:
        click.echo(f"not all is here: {', '.join(missing)}; run verify --out {out} --resume, or merge again", err=True)
    return deliver(report_of(out, Description.read(out)), reports, as_json)
