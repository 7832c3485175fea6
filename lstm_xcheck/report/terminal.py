"""The report on a terminal: progress bars, then tables."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..events import Event, Outcome, Planned, Started
from .detection_power import sentences
from .model import Report
from .summary import Summary, counted, short, summarise

_STYLE = {
    "match": "green",
    "suspect": "yellow",
    "mismatch": "bold red",
    "crashed": "bold red",
    "inconclusive": "yellow",
    "unsupported": "dim",
    "skipped": "dim",
}
_WORD_STYLE = {"AGREE": "green", "DISAGREE": "bold red", "ERROR": "bold red", "INTERRUPTED": "yellow"}
#: Rows of trouble printed in full.
_LISTED = 12


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
    summary = summarise(report, _LISTED)
    console.print(_adapter_table(summary))
    _print_counts(summary, console)
    _print_reasons(summary, console)
    _print_section("diagnosis", report.causes, console)
    for program in report.programs:
        console.print(f"\n{program}", markup=False, highlight=False, soft_wrap=True)
    _print_section("power", sentences(report.power, report.adapters), console)
    _print_section("not verified", summary.unread, console)
    console.print()
    word = f"[{_WORD_STYLE[summary.word]}]{summary.word}[/]"
    totals = f"{summary.planned} planned = {counted(summary.totals)} ({report.seconds:.1f} s)"
    totals += f"; {len(summary.unread)} of the files' LSTMs not verified" if summary.unread else ""
    console.print(f"{word}: {totals}", soft_wrap=True)


def _adapter_table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    # A name cut short could be that of another recording of the same environment.
    table.add_column("adapter", min_width=max(map(len, summary.adapters), default=0))
    table.add_column("version")
    verdicts = list(summary.totals)
    for heading in (*verdicts, "largest error", "error / bound"):
        table.add_column(heading, justify="right")
    for name, adapter in summary.adapters.items():
        cells = [
            f"[{_STYLE[verdict]}]{number}[/]" if (number := adapter.cells[verdict]) else "" for verdict in verdicts
        ]
        versions = ", ".join(f"{k} {v}" for k, v in adapter.environment.items() if str(v)[:1].isdigit())
        table.add_row(escape(name), escape(versions), *cells, short(adapter.max_abs), short(adapter.score))
    return table


def _print_counts(summary: Summary, console: Console) -> None:
    if summary.counts:
        console.print("\n[bold]parameter counts[/]")
    for label, (number, example) in summary.counts.items():
        text = f"  {label} in {number} case{'s' if number > 1 else ''}, e.g. {example}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_reasons(summary: Summary, console: Console) -> None:
    if summary.troubles:
        console.print("\n[bold]what is wrong[/]")
    for row in summary.troubles:
        verdict = f"  [{_STYLE[row.verdict]}]{row.verdict.upper()}[/]"
        console.print(f"{verdict} {escape(row.adapter)}, case {escape(row.case)}: ", end="", soft_wrap=True)
        rule = f" (decided by {row.decided_by})" if row.decided_by else ""
        console.print(row.reason + rule, markup=False, highlight=False, soft_wrap=True)
    if summary.troubled > len(summary.troubles):
        console.print(f"  and {summary.troubled - len(summary.troubles)} more; --report FILE.json has them all")
    if summary.notes:
        console.print("\n[bold]notes[/]")
    for text, number in summary.notes.items():
        console.print(f"  {text} ({number})", markup=False, highlight=False, soft_wrap=True)


def _print_section(heading: str, lines: list[str], console: Console) -> None:
    if lines:
        console.print(f"\n[bold]{heading}[/]")
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
