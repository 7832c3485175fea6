"""`report`: look at a run that `verify --out` keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import ADAPTERS, PATH, VERDICT, report_options

if TYPE_CHECKING:
    from ..compare import Row
    from ..report.model import Report
    from ..runs.description import RunDescription

INDEX = "index.sqlite"


@click.command("report")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--adapter",
    "adapters",
    multiple=True,
    metavar="NAME",
    type=ADAPTERS,
    help="List rows of this adapter.  [repeatable]",
)
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    metavar="NAME",
    type=VERDICT,
    help="List rows of this verdict.  [repeatable]",
)
@click.option("--case", metavar="TEXT", help="List rows whose case's name holds this text.")
@click.option("--worst", type=click.IntRange(min=1), metavar="N", help="List the N rows of the largest error / bound.")
@report_options(what="JSON")
def command(
    folder: Path,
    adapters: tuple[str, ...],
    verdicts: tuple[str, ...],
    case: str | None,
    worst: int | None,
    **arguments: Any,
) -> int:
    """Show the run in DIR, finished or not: its verdicts,
    or the rows that fit what is asked.

    The exit code is that of the run; cells that have not ended yet make it 2, unless
    something is wrong already (1).
    """
    from ..compare import VERDICTS
    from ..report.index import find, opened
    from ..report.json_file import write_report
    from ..runs.description import RunDescription
    from ..runs.folder import OUTCOMES_FILE
    from ..runs.resume import unique_outcomes
    from .output import check_report_paths, deliver
    from .parsed_options import ReportOptions

    options = ReportOptions(**arguments)
    check_report_paths(options.reports)
    for verdict in verdicts:
        if verdict not in VERDICTS:
            raise UserError(f"--verdict is {verdict!r}, but should be one of {', '.join(VERDICTS)}")
    description = RunDescription.read(folder)
    for adapter in adapters:
        if adapter not in description.adapters:
            raise UserError(f"--adapter is {adapter!r}, but {folder} holds {', '.join(description.adapters)}")
    report = report_of(folder, description)
    if not (adapters or verdicts or case or worst):
        return deliver(report, options)
    for path in options.reports:
        write_report(report, path)
    with opened(folder / INDEX, folder / OUTCOMES_FILE, lambda: unique_outcomes(folder)) as index:
        rows = find(index, adapters=adapters, verdicts=verdicts, case=case or "", limit=worst)
        _print_rows(report, list(rows), options.as_json)
    return report.exit_code


def report_of(folder: Path, description: RunDescription) -> Report:
    """The report of a folder, finished or not."""
    from ..report.model import Report
    from ..runs.folder import read_power
    from ..runs.resume import replay

    report = Report.of(replay(folder))
    report.subject.update(description.subject)
    report.power = read_power(folder)
    return report


def _print_rows(report: Report, rows: list[Row], as_json: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement

    from ..report.summary import short
    from .output import plain_table, print_json, say

    if as_json:
        print_json({"rows": [report.row_data(row) for row in rows]})
        return
    names, figures = ("case", "adapter", "quantity", "verdict"), ("error", "error / bound")
    table = plain_table(*names, *figures, "decided by", no_wrap=(*names, *figures, "decided by"), right=figures)
    table.add_column("reason", min_width=30)
    for row in rows:
        judged = (row.case, row.adapter, row.quantity, row.verdict, short(row.max_abs), short(row.score))
        table.add_row(*map(escape, (*judged, row.decided_by, row.reason)))
    console = Console()
    measured = Measurement.get(console, console.options.update(max_width=10_000), table)
    needed = measured.minimum if console.is_terminal else measured.maximum
    if console.is_terminal and needed > console.width:  # names and figures are never cut
        for row in rows:
            rule = f" (decided by {row.decided_by})" if row.decided_by else ""
            place = f"{row.quantity} of case {row.case}" if row.quantity else f"case {row.case}"
            figure = f": error {short(row.max_abs)}, {short(row.score)} times the bound{rule}" if row.score else ""
            say(f"{row.verdict.upper()} {row.adapter}, {place}{figure}" + (f"\n  {row.reason}" if row.reason else ""))
    else:
        console.width = max(console.width, needed)
        console.print(table)
    console.print(f"{len(rows)} rows", highlight=False)
