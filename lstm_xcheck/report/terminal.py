"""The report on a terminal: verdict, matrix, what is wrong, verdict."""

from __future__ import annotations

import textwrap
from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..compare import VerdictName
from .detection_power import sentences
from .groups import Group
from .model import Report
from .summary import SYMBOLS, Summary, counted, headline, share, short, summarise

_STYLES: dict[VerdictName, str] = {
    "match": "green",
    "mismatch": "bold red",
    "crashed": "bold red",
    "suspect": "yellow",
    "inconclusive": "yellow",
    "unsupported": "dim",
    "skipped": "dim",
}
_WORD_STYLE = {"AGREE": "green", "DISAGREE": "bold red", "ERROR": "bold red", "INTERRUPTED": "yellow"}
#: Failures printed with worst case, fix and command; of further adapters one line each. Rows printed by -v.
_DETAILED, _ROWS = 6, 50
#: Notes printed without -v.
_NOTES = 3


def print_report(report: Report, console: Console, detail: int = 1) -> None:
    """The verdict first and last; between them the matrix and what is wrong.

    Args:
        detail: 0 for the last line alone, 1 for one screen, 2 for everything.
    """
    summary = summarise(report, _ROWS)
    if detail:
        console.print(_word(summary), end="")
        _say(console, headline(summary), indent=0, start=len(summary.word) + 2)
        _print_matrix(summary, console)
        if detail > 1:
            _print_adapters(summary, console)
        _print_groups(summary, console, detail)
        if detail > 1:
            _print_rows(summary, console)
        _print_remarks(report, summary, console, detail)
        console.print()
    totals = f"{summary.planned} planned = {counted(summary.totals)} ({report.seconds:.1f} s)"
    totals += f"; {len(summary.unread)} of the files' LSTMs not verified" if summary.unread else ""
    console.print(_word(summary), end="")
    console.print(totals, highlight=False, soft_wrap=True)


def _word(summary: Summary) -> Text:
    return Text(f"{summary.word}: ", style=_WORD_STYLE[summary.word])


def _say(console: Console, text: str, indent: int, start: int = 0, style: str = "") -> None:
    """Print words; on a terminal, lines end between words and later ones are indented."""
    for number, line in enumerate(text.splitlines()):
        begun = start if number == 0 else 0
        printed = line if begun else " " * indent + line
        if console.is_terminal:
            first, later = " " * (begun or indent), " " * (indent + 2)
            printed = textwrap.fill(
                line, console.width, initial_indent=first, subsequent_indent=later, break_long_words=False,
                break_on_hyphens=False,
            )[begun:]  # fmt: skip
        console.print(printed, markup=False, highlight=False, soft_wrap=True, style=style)


def _print_matrix(summary: Summary, console: Console) -> None:
    """Adapters by case families, in as many parts as the width needs."""
    if not summary.adapters:
        return
    name_width = max(map(len, (*summary.adapters, "adapter")))
    adapters = summary.adapters.values()
    columns: list[list[str | Text]] = [
        [name, *(_cell(adapter.families.get(name), console) for adapter in adapters)] for name in summary.families
    ]
    columns.append(["error / bound", *(Text(short(adapter.score)) for adapter in adapters)])
    while columns:
        width, part = name_width, list[list[str | Text]]()
        while columns and (not part or width + 2 + _width(columns[0]) <= console.width):
            part.append(columns.pop(0))
            width += 2 + _width(part[-1])
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("adapter", no_wrap=True)
        for heading, *_ in part:
            table.add_column(str(heading), no_wrap=True, justify="right")
        for place, name in enumerate(summary.adapters, 1):
            table.add_row(escape(name), *(column[place] for column in part))
        console.print()
        console.width, wide = max(console.width, width), console.width
        console.print(table)
        console.width = wide
    found = [f"{_symbol(verdict, console)} {verdict}" for verdict in summary.totals]
    console.print("  ".join(found), style="dim", highlight=False, soft_wrap=True)


def _width(column: list[str | Text]) -> int:
    return max(len(cell) for cell in column)


def _cell(cells: Counter[VerdictName] | None, console: Console) -> Text:
    """The worst verdict of a family, and in how many of its cells."""
    if not cells:
        return Text("")
    worst, how_many = share(cells)
    return Text(f"{_symbol(worst, console)} {how_many}", style=_STYLES[worst])


def _symbol(verdict: VerdictName, console: Console) -> str:
    return SYMBOLS[verdict][0 if console.encoding.lower().startswith("utf") else 1]


def _print_adapters(summary: Summary, console: Console) -> None:
    """Cells by verdict, the largest error and the environment of each adapter."""
    console.print("\n[bold]adapters[/]")
    for name, adapter in summary.adapters.items():
        error = "" if adapter.max_abs is None else f"; largest error {short(adapter.max_abs)}"
        _say(console, f"{name}: {counted(adapter.cells)}{error}; {adapter.versions or 'no environment stated'}", 2)


def _print_groups(summary: Summary, console: Console, detail: int) -> None:
    if not summary.groups:
        return
    console.print("\n[bold]what is wrong[/]")
    first = {group.adapter: group for group in reversed(summary.groups)}
    others = [group for group in summary.groups if first[group.adapter] is not group]
    groups = [group for group in summary.groups if first[group.adapter] is group] + others
    shown = len(groups) if detail > 1 else max(len(first), _DETAILED)
    for place, group in enumerate(groups[:shown]):
        _print_group(group, console, detail, whole=detail > 1 or place < _DETAILED)
    if len(groups) > shown:
        console.print(f"  and {len(groups) - shown} more causes; -v lists them", highlight=False)


def _print_group(group: Group, console: Console, detail: int, *, whole: bool) -> None:
    style = _STYLES[group.verdict]
    name = f"{group.adapter}: " if group.verdict == "mismatch" else f"{group.adapter} {group.verdict}: "
    _say(console, f"{_symbol(group.verdict, console)} {name}{group.sentence}", 2, style=style)
    if not whole:
        return
    worst = group.worst
    figures = f", error {short(worst.max_abs)}, {short(worst.score)} times the bound" if worst.score else ""
    if worst.quantity:
        _say(console, f"worst: {worst.quantity} of case {worst.case}{figures}", 6)
    elif group.command:
        _say(console, f"first: case {worst.case}", 6)
    if group.fix:
        _say(console, f"fix: {group.fix}", 6)
    if group.explanation and (detail > 1 or not group.named):
        _say(console, group.explained, 6)
    if group.command:
        console.print(f"      run: {group.command}", markup=False, highlight=False, soft_wrap=True)
    if group.program and detail > 1:
        console.print(textwrap.indent(group.program, "      "), markup=False, highlight=False, soft_wrap=True)
    elif group.code and detail > 1:
        console.print(textwrap.indent(group.code, "      "), markup=False, highlight=False, soft_wrap=True)
    elif group.program:
        console.print("      code: -v prints the weights that it must get as a program", highlight=False)


def _print_rows(summary: Summary, console: Console) -> None:
    """Every wrong or undecided row with its reason."""
    if summary.troubles:
        console.print("\n[bold]rows[/]")
    for row in summary.troubles:
        rule = f" (decided by {row.decided_by})" if row.decided_by else ""
        _say(console, f"{row.verdict.upper()} {row.adapter}, case {row.case}: {row.reason}{rule}", 2)
    if summary.troubled > len(summary.troubles):
        console.print(f"  and {summary.troubled - len(summary.troubles)} more; --report FILE.json has them all")


def _print_remarks(report: Report, summary: Summary, console: Console, detail: int) -> None:
    """Versions, counts, power and notes: a line each, or all of them."""
    console.print()
    _say(console, f"versions: {', '.join(_versions(summary))}", 0)
    counts = [
        f"{label} in {number} case{'s' if number > 1 else ''}, e.g. {example}"
        for label, (number, example) in summary.counts.items()
    ]
    _remark(console, "parameter counts", _counts(summary), counts, detail)
    power = sentences(report.power, report.adapters)
    _remark(console, "power", "".join(power[:1]), power, detail)
    notes = [f"{text} ({number})" for text, number in summary.notes.items()]
    many = f"{len(notes)} kinds, such as {notes[0]}; -v lists them" if len(notes) > _NOTES else ""
    _remark(console, "notes", many, notes, detail)
    _remark(console, "not verified", "", summary.unread, detail)


def _remark(console: Console, heading: str, line: str, lines: list[str], detail: int) -> None:
    """The one line, or with -v, or where there is none, all lines."""
    if not lines:
        return
    if line and detail < 2:
        _say(console, f"{heading}: {line}", 0)
        return
    console.print(f"\n[bold]{heading}[/]" if detail > 1 else f"{heading}:")
    for text in lines:
        _say(console, text, 2)


def _counts(summary: Summary) -> str:
    """How the parameter counts relate to the canonical formula, in one line."""
    doubled = [label.partition(": ")[0] for label in summary.counts if label.endswith("second bias")]
    cells = sum(number for number, _ in summary.counts.values())
    second = f"; {', '.join(doubled)} keep{'s' if len(doubled) == 1 else ''} a second bias" if doubled else ""
    return f"reconciled with 4((x+h)h+h) in {cells} cells{second}"


def _versions(summary: Summary) -> list[str]:
    """Packages once; of those with several versions, each with its adapter."""
    packages: dict[str, dict[str, list[str]]] = {}
    for name, adapter in summary.adapters.items():
        for package, version in adapter.environment.items():
            if str(version)[:1].isdigit():
                packages.setdefault(package, {}).setdefault(str(version), []).append(name)
    return [
        f"{package} {version}" + (f" ({', '.join(names)})" if len(versions) > 1 else "")
        for package, versions in packages.items()
        for version, names in versions.items()
    ] or ["none stated"]
