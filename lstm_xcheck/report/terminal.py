"""What a person sees: progress while it runs, then tables."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..compare import VERDICTS
from ..events import Event, Outcome, Planned, Started
from .detection_power import summarise
from .model import Report
from .summary import Digest, digest

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
    found = digest(report, _SHOWN)
    console.print(_adapter_table(report, found))
    _print_counts(found, console)
    _print_reasons(found, console)
    _print_section("diagnosis", report.causes, console)
    _print_section("power", summarise(report.power), console)
    console.print()
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


def _adapter_table(report: Report, found: Digest) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    # A name cut short could be that of another recording of the same environment.
    table.add_column("adapter", min_width=max(map(len, found.adapters), default=0))
    table.add_column("version")
    totals, environments = report.totals, report.environment()["adapters"]
    shown = [verdict for verdict in VERDICTS if totals[verdict]]
    for heading in (*shown, "largest error", "error / bound"):
        table.add_column(heading, justify="right")
    for name, adapter in found.adapters.items():
        cells = [
            f"[{_STYLE[verdict]}]{adapter.cells[verdict]}[/]" if adapter.cells[verdict] else "" for verdict in shown
        ]
        versions = ", ".join(f"{k} {v}" for k, v in environments.get(name, {}).items() if str(v)[:1].isdigit())
        table.add_row(escape(name), escape(versions), *cells, short(adapter.max_abs), short(adapter.score))
    return table


def short(number: float | None) -> str:
    """Two digits, or nothing."""
    return "" if number is None else f"{number:.2g}"


def _print_counts(found: Digest, console: Console) -> None:
    if found.counts:
        console.print("\n[bold]parameter counts[/]")
    for label, (number, example) in found.counts.items():
        text = f"  {label} in {number} case{'s' if number > 1 else ''}, e.g. {example}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_reasons(found: Digest, console: Console) -> None:
    if found.troubles:
        console.print("\n[bold]what is wrong[/]")
    for row in found.troubles:
        verdict = f"  [{_STYLE[row.verdict]}]{row.verdict.upper()}[/]"
        console.print(f"{verdict} {escape(row.adapter)}, case {escape(row.case)}: ", end="", soft_wrap=True)
        console.print(row.reason, markup=False, highlight=False, soft_wrap=True)
    if found.troubled > len(found.troubles):
        console.print(f"  and {found.troubled - len(found.troubles)} more; --report FILE.json has them all")
    if found.notes:
        console.print("\n[bold]notes[/]")
    for text, number in found.notes.items():
        console.print(f"  {text} ({number})", markup=False, highlight=False, soft_wrap=True)


def _print_section(heading: str, lines: list[str], console: Console) -> None:
    if lines:
        console.print(f"\n[bold]{heading}[/]")
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
