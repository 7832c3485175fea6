"""What `fuzz` does once its options are read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..diagnose import Diagnosis
from ..engine import parse_grid
from ..errors import NothingComparedError
from ..fuzz import Budget, Finding, Search, explain
from ..strategies import lstm_recipes
from .custom_adapters import chosen_entries
from .fuzz_file import check_out, written
from .record_run import names_in


def run_fuzz(
    adapters: str | None,
    functions: Sequence[str],
    grid_text: str | None,
    minutes: float,
    examples: int | None,
    seed: int,
    timeout: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Search, explain, write, print; returns the exit code."""
    if out is not None:
        check_out(out)
    strategy = lstm_recipes(max_hidden=12, max_steps=12, **axes_of(grid_text))
    entries = chosen_entries(None if adapters is None else names_in(adapters, "--adapters"), functions)
    if not entries:
        raise NothingComparedError("no framework is installed; run for example: pip install 'lstm-xcheck[torch]'")
    search = Search(entries, strategy, Budget(60.0 * minutes, examples or 0), seed, timeout)
    start = time.monotonic()
    with _progress(search):
        finding = search.run()
    seconds = round(time.monotonic() - start, 1)
    told = {"seed": seed, "examples": len(search.asked), "compared": search.compared, "seconds": seconds}
    if finding is None:
        return _nothing_found(search, told, as_json)
    entry = next(entry for entry in entries if entry.name == finding.adapter)
    diagnosis = explain(finding, entry, timeout)
    file, note = written(finding, entry, diagnosis, out)
    if as_json:
        click.echo(json.dumps(_plain(finding, diagnosis, file, note, told), indent=1))
    else:
        _print(finding, diagnosis, file, note)
    return 2 if finding.outcome.verdict == "crashed" else 1


def axes_of(grid_text: str | None) -> dict[str, Any]:
    """The values of the axes that a grid names; the others are drawn freely.

    >>> axes_of("layers=1 bias=split,none")
    {'layers': [1], 'bias': ['split', 'none']}
    """
    if grid_text is None:
        return {}
    recipes = parse_grid(grid_text)
    names = ["seed" if word.startswith("seeds=") else word.partition("=")[0] for word in grid_text.split()]
    return {name: list(dict.fromkeys(getattr(recipe, name) for recipe in recipes)) for name in names}


@contextmanager
def _progress(search: Search) -> Iterator[None]:
    """One line on stderr that says how far the search is; silent when that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status("starting workers") as status:

        def show(asked: int, found: bool) -> None:
            doing = "something disagrees; making it smaller" if found else "no disagreement so far"
            status.update(f"{asked} cases: {doing}")

        search.progress = show
        yield


def _nothing_found(search: Search, told: dict[str, Any], as_json: bool) -> int:
    names = [entry.name for entry in search.entries]
    silent = [name for name in names if not search.compared.get(name)]
    if len(silent) == len(names):
        raise NothingComparedError(
            f"of {len(search.asked)} cases, none could be compared with {', '.join(names)}; give more --minutes, or "
            "with --grid the kind of LSTM that is supported"
        )
    if as_json:
        click.echo(json.dumps({"schema": 1, "verdict": "agree", **told, "finding": None}, indent=1))
        return 0
    counts = ", ".join(f"{name} {search.compared.get(name, 0)}" for name in names)
    click.echo(f"no disagreement in {told['examples']} cases ({told['seconds']:g} s); compared: {counts}")
    if silent:
        click.echo(f"never compared: {', '.join(silent)}, which supported none of them")
    return 0


def _lines(finding: Finding) -> list[str]:
    """What was found, as a person reads it."""
    rows = [row for row in finding.outcome.rows if row.verdict == finding.outcome.verdict]
    lines = [
        f"{finding.outcome.verdict.upper()}: {finding.adapter}, in case {finding.examples}, "
        f"made smaller in {finding.shrinks} more",
        f"  case {finding.recipe.id}",
        *(f"  {row.reason}" for row in rows),
    ]
    if finding.outcome.verdict == "crashed":
        lines.append("  what a function does not support should raise NotImplementedError, or be left out with --grid")
    if not finding.repeatable:
        lines.append("  a fresh process does not repeat it: something is carried over from call to call, or random")
    return lines


def _print(finding: Finding, diagnosis: Diagnosis | None, file: Path | None, note: str) -> None:
    lines = _lines(finding)
    if diagnosis is not None:
        lines.append(f"diagnosis: {diagnosis.cause or diagnosis.explanation}")
        lines += [f"  fix: {diagnosis.fix}"] if diagnosis.fix else []
        lines += [f"  or: {other['cause']}" for other in diagnosis.alternatives]
    lines.append(f"reproducer: {file} ({note})" if file else note)
    for line in lines:
        click.echo(line)


def _plain(
    finding: Finding, diagnosis: Diagnosis | None, file: Path | None, note: str, told: dict[str, Any]
) -> dict[str, Any]:
    """Plain data for JSON."""
    crashed = finding.outcome.verdict == "crashed"
    found = {
        "adapter": finding.adapter,
        "case": finding.recipe.id,
        "recipe": asdict(finding.recipe),
        "rows": [row.to_dict() for row in finding.outcome.rows],
        "repeatable": finding.repeatable,
        "examples": finding.examples,
        "shrinks": finding.shrinks,
        "diagnosis": None if diagnosis is None else diagnosis.to_dict(),
        "reproducer": None if file is None else str(file),
        "note": note,
    }
    return {"schema": 1, "verdict": "error" if crashed else "disagree", **told, "finding": found}
