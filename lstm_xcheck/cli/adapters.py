"""`adapters`: which frameworks are installed, what each adapter supports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..adapters import Entry
    from ..model import Case
    from ..workers.process import Worker
    from ..workers.sharing import Workers


@click.command("adapters")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--reasons", is_flag=True, help="Print why each feature is refused.")
@click.option("--no-start", is_flag=True, help="Only look for the packages; start no framework.")
def command(as_json: bool, reasons: bool, no_start: bool) -> None:
    """Show every adapter: what it runs, its version,
    and which features it accepts or why not.

    Each installed framework is started once and asked about every feature; nothing is run, so that what is accepted
    may still be refused by the framework or wrong: `atlas` runs it.
    """
    from concurrent.futures import ThreadPoolExecutor

    from ..adapters import known
    from ..workers.sharing import Workers
    from .output import print_json

    entries = list(known().values())
    here = [entry for entry in entries if not entry.missing()] if not no_start else []
    with (
        ThreadPoolExecutor(max_workers=2) as threads,
        Workers(here) as workers,
    ):  # an interrupt ends the processes first
        futures = [threads.submit(_describe_all, workers, group) for group in workers.by_process()]
        try:
            started = {one["name"]: one for future in futures for one in future.result()}
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    described = [started.get(entry.name) or describe(entry) for entry in entries]
    if as_json:
        print_json({"adapters": described})
    else:
        _print(described, reasons=reasons)


def describe(entry: Entry) -> dict[str, Any]:
    """One adapter as plain data, with the pip command if it is missing."""
    missing = entry.missing()
    result: dict[str, Any] = {"name": entry.name, "runs": entry.summary, "installed": not missing}
    if entry.by_name:
        result["by_name"] = entry.by_name
    if missing:
        return {**result, "missing": missing, "install": f"pip install '{entry.install}'"}
    return result


def _describe_all(workers: Workers, entries: list[Entry]) -> list[dict[str, Any]]:
    """The adapters of one process, each asked about every feature; the process then ends."""
    from ..errors import WorkerCrashed
    from ..model.features import FEATURES

    found = []
    for entry in entries:
        result, worker = describe(entry), workers[entry.name]
        try:
            worker.start()
        except WorkerCrashed as crash:
            found.append({**result, "error": str(crash)})
            continue
        supports = {feature.name: _supports(worker, feature.case()) for feature in FEATURES}
        found.append({**result, "versions": worker.environment, "layout": worker.layout, "supports": supports})
    workers[entries[0].name].close()
    return found


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


def _print(described: list[dict[str, Any]], *, reasons: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    from .output import plain_table, print_missing

    console = Console()
    table = plain_table("adapter", "runs", "version", "accepts", no_wrap=("adapter",))
    refused: dict[str, dict[str, list[str]]] = {}
    for adapter in described:
        versions = ", ".join(f"{k} {v}" for k, v in adapter.get("versions", {}).items() if v[:1].isdigit())
        found = "installed" if adapter["installed"] else "not installed"
        supports = adapter.get("supports", {})
        yes = sum(answer.startswith("yes") for answer in supports.values())
        status = f"{yes} of {len(supports)}" if supports else adapter.get("error", "")
        status += f"; by name: {adapter['by_name']}" if "by_name" in adapter else ""
        table.add_row(*(escape(cell) for cell in (adapter["name"], adapter["runs"], versions or found, status)))
        for name, answer in supports.items():
            if answer != "yes":
                shared = answer.replace(f"{adapter['name']} ", "it ")
                refused.setdefault(shared, {}).setdefault(adapter["name"], []).append(name)
    console.print(table)
    print_missing({adapter["name"]: adapter["install"] for adapter in described if "install" in adapter})
    if not reasons:
        console.print(
            "accepted features and reasons: --json, --reasons; what is right: lstm-xcheck atlas",
            markup=False,
            highlight=False,
        )
        return
    for answer, by_adapter in refused.items():
        features = ", ".join(dict.fromkeys(name for names in by_adapter.values() for name in names))
        line = f"  {', '.join(by_adapter)}: {features}: {answer}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
