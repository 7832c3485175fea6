"""What `adapters` does: ask each framework about each feature."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..adapters import Entry, known
from ..errors import Unsupported, WorkerCrashed
from ..model import Case, LSTMSpec
from ..model.activations import HARD_SIGMOID_KERAS2
from ..workers.process import Worker

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
    "hard sigmoid": ({"gate_activation": HARD_SIGMOID_KERAS2}, {}),
    "float64": ({}, {"precision": "float64"}),
    "float16": ({}, {"precision": "float16"}),
    "bfloat16": ({}, {"precision": "bfloat16"}),
}


def run_adapters(as_json: bool, *, start: bool) -> int:
    """Print the table or JSON; always 0, since a missing framework is no mistake."""
    with ThreadPoolExecutor(max_workers=2) as threads:
        described = list(threads.map(lambda entry: describe(entry, start=start), known().values()))
    if as_json:
        click.echo(json.dumps({"adapters": described}, indent=1))
    else:
        _print(described)
    return 0


def describe(entry: Entry, *, start: bool) -> dict[str, Any]:
    """One adapter as plain data: installed or the pip command, versions, and an answer for each feature."""
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
    """`yes`, a note, or the reason why not."""
    question = Case.random(LSTMSpec(**{**_PLAIN, **spec}), **{"steps": 3, "batch": 2, **case})
    try:
        result = worker.run(question)
    except (Unsupported, WorkerCrashed) as reason:
        return f"no: {reason}"
    return f"yes, but {result.note}" if result.note else "yes"


def _print(described: list[dict[str, Any]]) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("adapter", "runs", "version", "supports"):
        table.add_column(heading)
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
