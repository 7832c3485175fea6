"""`merge`: put the shards of a run together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import PATH, report_options


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="DIR...")
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder to write into.")
@report_options()
def command(folders: tuple[Path, ...], out: Path, **arguments: Any) -> int:
    """Put runs of the same cases together: shards of a sweep,
    runs of different adapters, or both.

    What no folder holds is named and counts as not run: the exit code is then 2, or 1 where something is wrong.
    """
    from ..runs.description import RunDescription
    from ..runs.resume import merge
    from .output import check_report_paths, deliver
    from .parsed_options import ReportOptions, resume_command
    from .report import report_of

    options = ReportOptions(**arguments)
    check_report_paths(options.reports)
    missing = merge(folders, out)
    description = RunDescription.read(out)
    if missing:
        command = resume_command(description.subject.get("command", {}), description.adapters, out)
        advice = command or f"lstm-xcheck verify, with the options of the run, --out {out} --resume"
        click.echo(f"not all is here: {', '.join(missing)}; merge again with it, or run: {advice}", err=True)
    return deliver(report_of(out, description), options)
