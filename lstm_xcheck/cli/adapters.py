"""`lstm-xcheck adapters`: who is installed and what each supports."""

from __future__ import annotations

import click


@click.command("adapters")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--no-start", is_flag=True, help="Only look for the packages; start no framework.")
def command(as_json: bool, no_start: bool) -> int:
    """Show every adapter: what it runs, its version, and what it supports or why not.

    Each installed framework is started once and asked about every feature of the spec.
    """
    from .adapters_run import run_adapters

    return run_adapters(as_json, start=not no_start)
