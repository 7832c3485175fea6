"""Progress, report files, JSON and tables of the command line."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ..errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from ..events import Event
    from ..report.model import Report
    from .parsed_options import ReportOptions

Events = Generator["Event", None, None]


def print_json(data: Any, *, allow_nan: bool = True) -> None:
    """Print plain data as indented JSON."""
    import json

    click.echo(json.dumps(data, indent=1, allow_nan=allow_nan))


def say(text: str) -> None:
    """Print lines; on a terminal, long ones end between words.

    Lines that begin with four blanks are code or commands, and stay whole so that they can be copied.
    """
    width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else 0
    for line in text.split("\n"):
        if 0 < width < len(line) and not line.startswith("    "):
            indent = " " * (len(line) - len(line.lstrip()))
            wrapped = textwrap.fill(
                line.lstrip(), width, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False,
                break_on_hyphens=False,
            )  # fmt: skip
            click.echo(wrapped)
        else:
            click.echo(line)


def print_missing(commands: Mapping[str, str]) -> None:
    """The command that installs each missing adapter, whole, so that it can be copied."""
    if commands:
        say("not installed, each with the command that installs it:")
    for name, command in commands.items():
        say(f"    {name}: {command}")


def plain_table(*headings: str, no_wrap: Collection[str] = (), right: Collection[str] = ()) -> Table:
    """A table without lines; the arguments are headings."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in right else "left"
        table.add_column(heading, justify=justify, no_wrap=heading in no_wrap, overflow="fold")
    return table


def watch(events: Events, *, exit_first: bool = False) -> Report:
    """The report of a run, followed with a progress bar.

    Ctrl-C ends the run, with `exit_first` so does the first failure; the report then holds the results so far.
    """
    import time

    from ..events import Finished, Outcome
    from ..report.groups import TROUBLE
    from ..report.model import Report
    from ..report.progress import ProgressBar

    report, start = Report(), time.perf_counter()
    with ProgressBar() as bar:
        try:
            for event in events:
                report.handle(event)
                bar.handle(event)
                if exit_first and isinstance(event, Outcome) and event.verdict in TROUBLE:
                    report.handle(Finished(time.perf_counter() - start))
                    break
        except KeyboardInterrupt:
            report.handle(Finished(time.perf_counter() - start, interrupted=True))
        finally:
            events.close()
    return report


def check_report_paths(paths: Sequence[Path]) -> None:
    """Refuse report files that could not be written."""
    from ..report.json_file import check_report_path

    for path in paths:
        check_report_path(path)


def deliver(report: Report, options: ReportOptions) -> int:
    """Write and print a report; returns its exit code."""
    from ..report.json_file import write_report

    for path in options.reports:
        write_report(report, path)
    try:
        if sys.stdout is not None:  # it may have been closed
            _write(report, options)
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the reader went away, as `head` does; rich would leave with code 1
        sys.stdout = None
    except OSError as error:
        sys.stdout = None  # Python would complain again while flushing at exit
        raise UserError(f"the report cannot be written to standard output: {error.strerror}") from error
    return report.exit_code


def _write(report: Report, options: ReportOptions) -> None:
    if options.as_json:
        sys.stdout.writelines(report.json_parts())
        click.echo()
        return
    from rich.console import Console
    from rich.markup import escape

    from ..report.terminal import print_report

    console = Console(force_terminal=True) if options.color == "always" else Console()
    if options.color == "never":
        console = Console(color_system=None)
    detail = 0 if options.quiet else 2 if options.verbose else 1
    for lstm in report.subject.get("lstms", []) if detail else []:
        spec = lstm["spec"]
        console.print(
            f"{escape(lstm['file'])}: [bold]{escape(lstm['name'])}[/] "
            f"input {spec['input_size']}, hidden {spec['hidden_size']}, "
            f"layers {spec['num_layers']}{', bidirectional' if spec['bidirectional'] else ''}, bias {spec['bias']} "
            f"({escape(lstm['why'])})",
            highlight=False,
            soft_wrap=not console.is_terminal,
        )
    print_report(report, console, detail)
