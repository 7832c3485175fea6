"""The work of `report` and `merge`: runs on disk, looked at and put together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from ..compare import VERDICTS, Row
from ..errors import UserError
from ..report.index import find, opened
from ..report.json_file import check_report_path, write_report
from ..report.model import Report
from ..report.terminal import short
from ..runs.description import RunDescription
from ..runs.folder import OUTCOMES_FILE, read_power
from ..runs.resume import merge, replay, unique_outcomes
from .output import deliver

INDEX = "index.sqlite"


def run_report(
    folder: Path,
    adapters: Sequence[str],
    verdicts: Sequence[str],
    case: str | None,
    worst: int | None,
    reports: Sequence[Path],
    as_json: bool,
) -> int:
    """Print the report of a folder, or the rows that fit; returns the run's exit code."""
    for path in reports:
        check_report_path(path)
    unknown = next((name for name in verdicts if name not in VERDICTS), None)
    if unknown is not None:
        raise UserError(f"--verdict is {unknown!r}, but should be one of {', '.join(VERDICTS)}")
    description = RunDescription.read(folder)
    strange = next((name for name in adapters if name not in description.adapters), None)
    if strange is not None:
        raise UserError(f"--adapter is {strange!r}, but {folder} holds {', '.join(description.adapters)}")
    report = report_of(folder, description)
    if not (adapters or verdicts or case or worst):
        return deliver(report, reports, as_json)
    for path in reports:
        write_report(report, path)
    with opened(folder / INDEX, folder / OUTCOMES_FILE, lambda: unique_outcomes(folder)) as index:
        rows = find(index, adapters=adapters, verdicts=verdicts, case=case or "", limit=worst)
        _print_rows(list(rows), as_json)
    return report.exit_code


def report_of(folder: Path, description: RunDescription) -> Report:
    """The report of a folder as it is."""
    report = Report.of(replay(folder))
    report.subject.update(description.subject)
    report.power = read_power(folder)
    return report


def run_merge(folders: Sequence[Path], out: Path, reports: Sequence[Path], as_json: bool) -> int:
    """Merge, then report; returns the exit code of the whole."""
    for path in reports:
        check_report_path(path)
    missing = merge(folders, out)
    if missing:
        click.echo(f"not all is here: {', '.join(missing)}; run verify --out {out} --resume, or merge again", err=True)
    return deliver(report_of(out, RunDescription.read(out)), reports, as_json)


def _print_rows(rows: list[Row], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"rows": [row.to_dict() for row in rows]}, indent=1))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("case", "adapter", "quantity", "verdict"):
        table.add_column(heading, no_wrap=True)
    for heading in ("error", "error / bound"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("reason", min_width=30)
    for row in rows:
        words = (row.case, row.adapter, row.quantity, row.verdict, short(row.max_abs), short(row.score), row.reason)
        table.add_row(*map(escape, words))
    console = Console()
    # Names and figures are never cut: where they do not fit, the terminal breaks the line.
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).minimum
    console.width = max(console.width, needed)
    console.print(table)
    console.print(f"{len(rows)} rows", highlight=False)
