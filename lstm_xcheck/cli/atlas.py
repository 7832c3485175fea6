"""`atlas`: what each runtime does with each feature, from real runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import ADAPTERS

if TYPE_CHECKING:
    from ..atlas import Atlas
    from ..atlas.model import State

#: State -> how it is shown.
_STYLES: dict[State, str] = {"right": "green", "refuses": "dim", "wrong": "bold red", "not run": "yellow"}


@click.command("atlas")
@click.option("--adapters", metavar="A,B", type=ADAPTERS, help="Only these; by default every one that is installed.")
@click.option("--worker", "workers", multiple=True, metavar="NAME=PYTHON", help="Run an adapter by another Python.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=120.0, metavar="S", help="Seconds for one case.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Workers at a time; by default one a core.")
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a Markdown page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(adapters: str | None, page: Path | None, as_json: bool, **options: Any) -> int:
    """Run every feature of an LSTM in every runtime
    and say where each is right, refuses, or is silently wrong.

    What is wrong is shown with the mistake that the outputs prove and the size of its effect.
    The exit code is 1 where a runtime is silently wrong, and 0 where none is.
    """
    import os

    from ..atlas import draw, plan_of
    from ..atlas.page import page as page_of
    from ..atomic_files import write_atomically
    from ..engine import run
    from ..engine.plan import choose_entries
    from .options import adapter_names
    from .output import check_report_paths, print_json, watch
    from .parsed_options import WorkerOptions

    check_report_paths([page] if page else [])
    worker = WorkerOptions(**options)
    pythons = worker.pythons()
    entries = choose_entries(adapter_names(adapters, nothing="no adapter"), pythons, compiling=True, by_name=True)
    report = watch(run(plan_of(entries, pythons, worker.timeout, worker.jobs or os.cpu_count() or 1)))
    if report.interrupted:
        click.echo("interrupted: no atlas, which needs every feature", err=True)
        return 130
    atlas = draw(report.outcomes)
    if as_json:
        print_json(atlas.to_dict())
    else:
        _print(atlas)
    if page is not None:
        write_atomically(page, page_of(atlas).encode())
    return int(any(cell.state == "wrong" for cell in atlas.cells))


def _print(atlas: Atlas) -> None:
    """What is wrong first, then a line for each runtime."""
    from rich.console import Console
    from rich.markup import escape

    from ..atlas.model import totals
    from .output import plain_table

    console = Console()
    wrong = [cell for cell in atlas.cells if cell.state == "wrong"]
    if wrong:
        table = plain_table("runtime", "wrong in silence", "cause", "effect", no_wrap=("runtime", "wrong in silence"))
        for cell in wrong:
            effect = "" if cell.effect is None else f"{cell.effect:.2g}"
            table.add_row(cell.adapter, cell.feature, escape(cell.cause or cell.reason), effect)
        console.print(table)
        console.print()
    table = plain_table("runtime", *_STYLES, "refuses or was not run")
    for adapter in atlas.adapters:
        counted = totals(atlas.of(adapter))
        numbers = (f"[{style}]{counted[state]}[/]" for state, style in _STYLES.items())
        refused = ", ".join(cell.feature for cell in atlas.of(adapter, "refuses", "not run"))
        table.add_row(adapter, *numbers, escape(refused))
    console.print(table)
    console.print("reasons: --json or --page FILE", highlight=False)
