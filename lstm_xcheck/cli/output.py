"""How a report leaves the command line: files, then JSON or tables on stdout, then the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from ..errors import UserError
from ..report.json_file import write_report
from ..report.model import Report
from ..report.terminal import print_report


def deliver(report: Report, files: Sequence[Path], as_json: bool) -> int:
    """Write and print; returns the exit code, whether or not somebody reads to the end.

    Raises:
        UserError: when a file or standard output cannot be written.
    """
    for path in files:
        write_report(report, path)
    try:
        if sys.stdout is not None:  # it may have been closed
            _write(report, as_json)
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the reader went away, as `head` does; rich would leave with code 1
        sys.stdout = None
    except OSError as error:
        sys.stdout = None  # Python would complain again while flushing at exit
        raise UserError(f"the report cannot be written to standard output: {error.strerror}") from error
    return report.exit_code


def _write(report: Report, as_json: bool) -> None:
    if as_json:
        sys.stdout.writelines(report.json_parts())
        click.echo()
    else:
        _print(report)


def _print(report: Report) -> None:
    console = Console()
    lstms = report.subject.get("lstms", [])
    for lstm in lstms:
        spec = lstm["spec"]
        console.print(
            f"{escape(lstm['file'])}: [bold]{escape(lstm['name'])}[/] "
            f"input {spec['input_size']}, hidden {spec['hidden_size']}, "
            f"layers {spec['num_layers']}{', bidirectional' if spec['bidirectional'] else ''}, bias {spec['bias']} "
            f"({escape(lstm['why'])})",
            highlight=False,
            soft_wrap=True,
        )
    print_report(report, console)
