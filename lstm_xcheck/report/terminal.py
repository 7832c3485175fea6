"""What a person sees: progress while it runs, then tables."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..compare import VERDICTS, Row
from ..events import Event, Outcome, Planned, Started
from .model import Report

_STYLE = {
    "match": "green",
    "suspect": "yellow",
    "mismatch": "bold red",
    "crashed": "bold red",
    "inconclusive": "yellow",
    "unsupported": "dim",
    "skipped": "dim",
}
#: Rows of trouble printed in full.
_SHOWN = 12


class ProgressBar:
    """A bar for each adapter on stderr; silent when that is no terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}", style="dim"),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.disable = not self._progress.console.is_terminal
        self._tasks: dict[str, object] = {}

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def handle(self, event: Event) -> None:
        """Move the bars."""
        if isinstance(event, Planned):
            for adapter in event.adapters:
                self._tasks[adapter] = self._progress.add_task(adapter, total=event.cases, now="")
        elif isinstance(event, Started):
            self._progress.update(self._tasks[event.adapter], now=event.case)  # type: ignore[arg-type]
        elif isinstance(event, Outcome) and event.adapter in self._tasks:
            self._progress.update(self._tasks[event.adapter], advance=1)  # type: ignore[arg-type]


def print_report(report: Report, console: Console) -> None:
    """Verdicts by adapter, parameter counts, what went wrong, and one line at the end."""
    console.print(_adapter_table(report))
    _print_counts(report, console)
    _print_reasons(report, console)
    console.print(summary(report), soft_wrap=True)


def summary(report: Report) -> str:
    """One line: the verdict and the totals that are not zero."""
    totals = report.totals
    counted = ", ".join(f"{totals[verdict]} {verdict}" for verdict in VERDICTS if totals[verdict])
    colour = {"agree": "green", "disagree": "bold red", "error": "bold red"}[report.verdict]
    word = {"agree": "AGREE", "disagree": "DISAGREE", "error": "ERROR"}[report.verdict]
    if report.interrupted:
        word, colour = "INTERRUPTED", "yellow"
    return f"[{colour}]{word}[/]: {totals['planned']} planned = {counted or 'nothing'} ({report.seconds:.1f} s)"


def _adapter_table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("adapter", "version"):
        table.add_column(heading)
    shown = [verdict for verdict in VERDICTS if report.totals[verdict]]
    for heading in (*shown, "largest error", "error / bound"):
        table.add_column(heading, justify="right")
    for adapter in report.adapters:
        outcomes = [outcome for outcome in report.outcomes if outcome.adapter == adapter]
        rows = [row for outcome in outcomes for row in outcome.rows]
        versions = next((o.environment for o in outcomes if o.environment), {})
        cells = [str(sum(o.verdict == verdict for o in outcomes) or "") for verdict in shown]
        cells = [f"[{_STYLE[verdict]}]{cell}[/]" if cell else "" for verdict, cell in zip(shown, cells, strict=True)]
        table.add_row(adapter, ", ".join(f"{k} {v}" for k, v in versions.items()), *cells, *_worst(rows))
    return table


def _worst(rows: list[Row]) -> tuple[str, str]:
    errors = [row.max_abs for row in rows if row.max_abs is not None]
    scores = [row.score for row in rows if row.score is not None]
    return (f"{max(errors):.2g}" if errors else "", f"{max(scores):.2g}" if scores else "")


def _print_counts(report: Report, console: Console) -> None:
    """Each kind of count once: how it relates to the canonical formula."""
    by_adapter: dict[str, list[str]] = {}
    for count in report.counts:
        kind = "canonical" if count.native == count.canonical else "second bias"
        example = by_adapter.setdefault(f"{count.adapter}: {kind}", [])
        example.append(count.explanation)
    if by_adapter:
        console.print("\n[bold]parameter counts[/]")
    for label, explanations in by_adapter.items():
        console.print(f"  {label} in {len(explanations)} cases, e.g. {explanations[0]}", highlight=False, soft_wrap=True)


def _print_reasons(report: Report, console: Console) -> None:
    troubled = [row for row in report.rows if row.verdict in ("mismatch", "crashed", "suspect", "inconclusive")]
    if troubled:
        console.print("\n[bold]what is wrong[/]")
    for row in troubled[:_SHOWN]:
        console.print(
            f"  [{_STYLE[row.verdict]}]{row.verdict.upper()}[/] {row.adapter}, case {row.case}: ", end="", soft_wrap=True
        )
        console.print(row.reason, markup=False, highlight=False, soft_wrap=True)
    if len(troubled) > _SHOWN:
        console.print(f"  and {len(troubled) - _SHOWN} more; --report FILE.json has them all")
    notes: dict[str, int] = {}
    for row in report.rows:
        if row.verdict == "unsupported" or (row.verdict == "match" and row.reason):
            notes[f"{row.adapter}: {row.reason}"] = notes.get(f"{row.adapter}: {row.reason}", 0) + 1
    if notes:
        console.print("\n[bold]notes[/]")
    for text, number in notes.items():
        console.print(f"  {text} ({number})", markup=False, highlight=False, soft_wrap=True)
    console.print()
