"""`fuzz`: search for a disagreement, shrink it, name its cause."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import NothingComparedError
from .options import ADAPTERS, PATH, adapter_names, own_option
from .output import say

if TYPE_CHECKING:
    from ..diagnose import Diagnosis
    from ..fuzz import Finding, Search


@click.command("fuzz")
@click.option(
    "--adapters",
    metavar="A,B",
    type=ADAPTERS,
    help="Adapters to search; default: all whose framework is installed.",
)
@own_option("Search")
@click.option("--grid", "grid_text", metavar="AXES", help='Draw these values only: "layers=1 bias=split,single".')
@click.option("--minutes", type=click.FloatRange(min=0.01), default=1.0, metavar="N", help="How long.  [default: 1]")
@click.option("--examples", type=click.IntRange(min=1), metavar="N", help="Cases at most.  [default: no limit]")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="S", help="Draw other cases.  [default: 0]")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=30.0, metavar="S", help="Seconds for one case.")
@click.option("--out", type=PATH, metavar="FILE.py", help="The pytest file.  [default: test_xcheck_NAME.py]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else.")
def command(
    adapters: str | None,
    functions: tuple[str, ...],
    grid_text: str | None,
    minutes: float,
    examples: int | None,
    seed: int,
    timeout: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Draw LSTMs of all sizes, options and regimes of weights
    until an implementation disagrees with the oracle.

    The disagreement is shrunk to the smallest case that still shows it, its mistake is named, and a pytest file that
    reproduces it is written; that file needs NumPy and the implementation, not lstm-xcheck. A function of your own
    takes (weights, x, h0, c0, lengths) and returns y, h_n, c_n; it raises NotImplementedError for what it lacks.
    Needs hypothesis. Exit code 1 when something was found, 0 when not, 2 when nothing could be run or your function
    was never compared.
    """
    from .. import strategies  # first, since its error says how to install hypothesis
    from ..engine.custom_adapters import chosen_entries
    from ..fuzz import Budget, Search, explain
    from ..fuzz.reproducer_file import check_out, write_reproducer
    from ..report.model import Report
    from .output import print_json
    from .parsed_options import rerun_words

    if out is not None:
        check_out(out)
    strategy = strategies.lstm_recipes(max_hidden=12, max_steps=12, **axes_of(grid_text))
    entries = chosen_entries(adapter_names(adapters), functions)
    if not entries:
        raise NothingComparedError("no framework is installed; run for example: pip install 'lstm-xcheck[torch]'")
    search = Search(entries, strategy, Budget(60.0 * minutes, examples or 0), seed, timeout)
    start = time.monotonic()
    with _progress(search):
        finding = search.run()
    seconds = round(time.monotonic() - start, 1)
    effort: dict[str, Any] = {
        "seed": seed,
        "examples": len(search.asked),
        "compared": search.compared,
        "seconds": seconds,
    }
    effort["unsupported"] = {name: len(refused) for name, refused in search.unsupported.items()}
    if finding is None:
        return _report_nothing(search, effort, {text.partition("=")[0] for text in functions}, as_json)
    entry = next(entry for entry in entries if entry.name == finding.adapter)
    diagnosis = explain(finding, entry, timeout)
    file, note = write_reproducer(finding, entry, diagnosis, out)
    asked = Report(subject={"command": rerun_words(["lstm-xcheck", "verify"], functions, {})})
    rerun = asked.command(finding.recipe.id, finding.adapter)
    if as_json:
        print_json(_plain(finding, diagnosis, file, note, {**effort, "reproduce": rerun}))
    else:
        _print(finding, diagnosis, file, note)
        click.echo(f"run: {rerun}")
    return 2 if finding.outcome.verdict == "crashed" else 1


def axes_of(grid_text: str | None) -> dict[str, Any]:
    """The values of the axes that a grid names.

    >>> axes_of("layers=1 bias=split,none")
    {'layers': [1], 'bias': ['split', 'none']}
    """
    if grid_text is None:
        return {}
    from ..engine import parse_grid

    recipes = parse_grid(grid_text)
    names = ["seed" if word.startswith("seeds=") else word.partition("=")[0] for word in grid_text.split()]
    return {name: list(dict.fromkeys(getattr(recipe, name) for recipe in recipes)) for name in names}


@contextmanager
def _progress(search: Search) -> Iterator[None]:
    """A progress line on stderr, if stderr is a terminal."""
    from rich.console import Console

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


def _report_nothing(search: Search, effort: dict[str, Any], own: set[str], as_json: bool) -> int:
    from ..fuzz.supported_grid import supported_grid
    from .output import print_json

    names = [entry.name for entry in search.entries]
    silent = [name for name in names if not search.compared.get(name)]
    refusals = [_refusal(name, search) for name in silent if name in search.unsupported]
    if len(silent) == len(names):
        advice = "; ".join(refusals) or "give more --minutes"
        raise NothingComparedError(
            f"of {len(search.asked)} cases, none could be compared with {', '.join(names)}, so nothing is proven: "
            f"{advice}"
        )
    code = 2 if own.intersection(silent) else 0  # the user's is what the search was for
    if as_json:
        print_json({"schema": 1, "verdict": "error" if code else "agree", **effort, "finding": None})
        return code
    counts = ", ".join(f"{name} {search.compared.get(name, 0)}" for name in names)
    say(f"no disagreement in {effort['examples']} cases ({effort['seconds']:g} s); compared: {counts}")
    for name, refused in search.unsupported.items():
        if name not in silent:
            avoided = supported_grid(search.asked, refused)
            advice = f'; leave them out with --grid "{avoided}"' if avoided else ""
            say(f"unsupported by {name}: {len(refused)} case{'s' if len(refused) > 1 else ''}{advice}")
    if silent:
        say(f"never compared, so that nothing is proven of it: {'; '.join(refusals) or ', '.join(silent)}")
    return code


def _refusal(name: str, search: Search) -> str:
    """Why an adapter refused every case, and what it supports."""
    from ..fuzz.supported_grid import supported_grid

    refused, supported = search.unsupported[name], search.supported.get(name, [])
    ((reason, _),) = Counter(refused[recipe] for recipe in search.asked if recipe in refused).most_common(1)
    grid = supported_grid([*refused, *supported], refused)
    advice = f'; --grid "{grid}" draws what it supports' if grid else ", and simple ones, too, so that no --grid helps"
    return f"{name} refused all of them ({reason}){advice}"


def _print(finding: Finding, diagnosis: Diagnosis | None, file: Path | None, note: str) -> None:
    from ..diagnose import full_explanation

    outcome = finding.outcome
    lines = [
        f"{outcome.verdict.upper()}: {finding.adapter}, in case {finding.examples}"
        + (f", made smaller in {finding.shrinks} more" if finding.shrinks else ""),
        f"  case {finding.recipe.id}",
        *(f"  {row.reason}" for row in outcome.rows if row.verdict == outcome.verdict),
    ]
    if outcome.verdict == "crashed":
        lines.append("  what a function does not support should raise NotImplementedError, or be left out with --grid")
    if not finding.repeatable:
        lines.append("  a fresh process does not repeat it: something is carried over from call to call, or random")
    if diagnosis is not None:
        lines.append(f"diagnosis: {diagnosis.cause or full_explanation(diagnosis.to_dict())}")
        lines += [f"  fix: {diagnosis.fix}"] if diagnosis.fix else []
        lines += [f"  or: {other['cause']}" for other in diagnosis.alternatives]
    lines.append(f"reproducer: {file} ({note})" if file else note)
    say("\n".join(lines))


def _plain(
    finding: Finding, diagnosis: Diagnosis | None, file: Path | None, note: str, effort: dict[str, Any]
) -> dict[str, Any]:
    """The finding as plain data for JSON."""
    crashed = finding.outcome.verdict == "crashed"
    found = {
        "adapter": finding.adapter,
        "case": finding.recipe.id,
        "recipe": finding.recipe.fields(),
        "rows": [row.to_dict() for row in finding.outcome.rows],
        "repeatable": finding.repeatable,
        "examples": finding.examples,
        "shrinks": finding.shrinks,
        "diagnosis": None if diagnosis is None else diagnosis.to_dict(),
        "reproducer": None if file is None else str(file),
        "note": note,
    }
    return {"schema": 1, "verdict": "error" if crashed else "disagree", **effort, "finding": found}
