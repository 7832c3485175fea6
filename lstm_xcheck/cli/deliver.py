"""How a report leaves the command line: files, then JSON or tables on stdout, then the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from ..report.json_file import write_report
from ..report.model import Report
from ..report.terminal import print_report


def deliver(report: Report, files: Sequence[Path], as_json: bool) -> int:
    """Write and print; returns the exit code."""
    for path in files:
        write_report(report, path)
    if as_json:
        sys.stdout.writelines(report.json_parts())
        click.echo()
    else:
        _print(report)
    return report.exit_code


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
