"""`adapters`: which frameworks are installed, what each adapter supports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..adapters import Entry
    from ..model import Case
    from ..workers.process import Worker


@click.command("adapters")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--no-start", is_flag=True, help="Only look for the packages; start no framework.")
def command(as_json: bool, no_start: bool) -> None:
    """Show every adapter: what it runs, its version,
    and what it supports or why not.

    Each installed framework is started once and asked about every feature; nothing is run.
    """
    from concurrent.futures import ThreadPoolExecutor

    from ..adapters import known
    from .output import print_json

    with ThreadPoolExecutor(max_workers=2) as threads:
        described = list(threads.map(lambda entry: describe(entry, start=not no_start), known().values()))
    if as_json:
        print_json({"adapters": described})
    else:
        _print(described)


def describe(entry: Entry, *, start: bool) -> dict[str, Any]:
    """One adapter as plain data, with the pip command if it is missing."""
    from ..errors import WorkerCrashed
    from ..model.features import FEATURES
    from ..workers.process import Worker

    missing = entry.missing()
    result: dict[str, Any] = {"name": entry.name, "runs": entry.summary, "installed": not missing}
    if missing:
        return {**result, "missing": missing, "install": f"pip install '{entry.install}'"}
    if not start:
        return result
    with Worker(entry) as worker:
        try:
            worker.start()
        except WorkerCrashed as crash:
            return {**result, "error": str(crash)}
        supports = {feature.name: _supports(worker, feature.case()) for feature in FEATURES}
        return {**result, "versions": worker.environment, "layout": worker.layout, "supports": supports}


def _supports(worker: Worker, case: Case) -> str:
    """`yes`, `yes` with a note, or `no` with the reason."""
    from ..errors import WorkerCrashed

    try:
        reason, note = worker.ask(case)
    except WorkerCrashed as crash:
        reason, note = str(crash), ""
    if reason:
        return f"no: {reason}"
    return f"yes, but {note}" if note else "yes"


def _print(described: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape

    from .output import plain_table

    console = Console()
    table = plain_table("adapter", "runs", "version", "supports")
    reasons: dict[str, dict[str, list[str]]] = {}
    for adapter in described:
        versions = ", ".join(f"{k} {v}" for k, v in adapter.get("versions", {}).items())
        found = "installed" if adapter["installed"] else "not installed"
        supports = adapter.get("supports", {})
        words = [name for name, answer in supports.items() if answer.startswith("yes")]
        status = ", ".join(words) if supports else adapter.get("install", adapter.get("error", ""))
        table.add_row(*(escape(cell) for cell in (adapter["name"], adapter["runs"], versions or found, status)))
        for name, answer in supports.items():
            if answer != "yes":
                reasons.setdefault(answer, {}).setdefault(adapter["name"], []).append(name)
    console.print(table)
    for answer, by_adapter in reasons.items():
        features = ", ".join(dict.fromkeys(name for names in by_adapter.values() for name in names))
        line = f"  {', '.join(by_adapter)}: {features}: {answer}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
