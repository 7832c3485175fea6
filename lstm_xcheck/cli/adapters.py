"""`adapters`: which frameworks are installed, what each adapter supports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..adapters import Entry
    from ..workers.pool import Worker

_PLAIN: dict[str, Any] = {"input_size": 3, "hidden_size": 4}

#: Feature -> changes to a plain spec and to its case.
FEATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "stack": ({"num_layers": 2}, {}),
    "bidirectional": ({"bidirectional": True}, {}),
    "no bias": ({"bias": "none"}, {}),
    "lengths": ({}, {"ragged": True}),
    "reverse": ({"reverse": True}, {}),
    "projection": ({"proj_size": 2}, {}),
    "peepholes": ({"peepholes": True}, {}),
    "clip": ({"cell_clip": 1.0}, {}),
    "coupled gates": ({"coupling": "f=1-i"}, {}),
    "hard sigmoid": ({"gate_activation": "hard_sigmoid:0.2,0.5"}, {}),  # Keras 2's
    "float64": ({}, {"precision": "float64"}),
    "float16": ({}, {"precision": "float16"}),
    "bfloat16": ({}, {"precision": "bfloat16"}),
}


@click.command("adapters")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--no-start", is_flag=True, help="Only look for the packages; start no framework.")
def command(as_json: bool, no_start: bool) -> None:
    """Show every adapter: what it runs, its version,
    and what it supports or why not.

    Each installed framework is started once and asked about every feature of the spec.
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
    from ..workers.pool import Worker

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
        features = {name: _supports(worker, *changes) for name, changes in FEATURES.items()}
        return {**result, "versions": worker.environment, "layout": worker.layout, "supports": features}


def _supports(worker: Worker, spec: dict[str, Any], case: dict[str, Any]) -> str:
    """`yes`, `yes` with a note, or `no` with the reason."""
    from ..errors import Unsupported, WorkerCrashed
    from ..model import Case, LSTMSpec

    question = Case.random(LSTMSpec(**{**_PLAIN, **spec}), **{"steps": 3, "batch": 2, **case})
    try:
        result = worker.run(question)
    except (Unsupported, WorkerCrashed) as reason:
        return f"no: {reason}"
    return f"yes, but {result.note}" if result.note else "yes"


def _print(described: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape

    from .output import plain_table

    console = Console()
    table = plain_table("adapter", "runs", "version", "supports")
    reasons: dict[str, list[str]] = {}
    for adapter in described:
        versions = ", ".join(f"{k} {v}" for k, v in adapter.get("versions", {}).items())
        found = "installed" if adapter["installed"] else "not installed"
        supports = adapter.get("supports", {})
        words = [name for name, answer in supports.items() if answer.startswith("yes")]
        status = ", ".join(words) if supports else adapter.get("install", adapter.get("error", ""))
        table.add_row(*(escape(cell) for cell in (adapter["name"], adapter["runs"], versions or found, status)))
        for name, answer in supports.items():
            if answer != "yes":
                reasons.setdefault(f"{name}: {answer}", []).append(adapter["name"])
    console.print(table)
    for reason, names in reasons.items():
        console.print(f"  {', '.join(names)}: {reason}", markup=False, highlight=False, soft_wrap=True)
