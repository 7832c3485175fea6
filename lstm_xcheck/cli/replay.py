"""`replay`: judge recordings."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import NothingComparedError, UserError
from .options import ADAPTERS, PATH, adapter_names, report_options

if TYPE_CHECKING:
    from ..engine import Plan
    from ..events import Event
    from ..recordings import Recording


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option("--expect", metavar="A,B", help="Environments that must be there; a missing one is an error.")
@click.option("--run", "run_id", default="", metavar="ID", help="Run they must belong to; others are stale.")
@click.option("--adapters", metavar="A,B", type=ADAPTERS, help="Also ask these frameworks the recorded cases, live.")
@click.option("--worker", "workers", multiple=True, metavar="NAME=PYTHON", help="Run an adapter by another Python.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Workers at a time.  [default: one per core]")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=120.0, metavar="S", help="Seconds for one case.")
@report_options(files=".html .json .xml .md .sarif")
def command(**arguments: Any) -> int:
    """Judge recordings, any number of them, by the same bound as live frameworks;
    needs NumPy alone.

    FILE is a recording or a folder of them. Each case is made again from its recipe: where its sha256 is not the
    recorded one, that is INPUT DRIFT and an error. So are environments that are missing, and recordings that are stale
    or contradict each other.
    """
    from ..engine import choose_entries
    from ..recordings import read
    from ..report.detection_power import statements
    from ..runs.replay import live_recipes
    from .output import check_report_paths, deliver, watch
    from .parsed_options import ReplayOptions

    options = ReplayOptions(**arguments)
    check_report_paths(options.reports)
    pythons = options.pythons()
    expected = [name.strip() for name in (options.expect or "").split(",") if name.strip()]
    if options.expect is not None and not expected:
        raise UserError("--expect names no environment, but should name one or more, as in --expect py311,py312")
    recordings = [read(path) for path in recording_files(options.files, expected)]
    if not recordings and not expected:
        where = ", ".join(map(str, options.files))
        raise NothingComparedError(f"there is no recording in {where}; write one with: lstm-xcheck record")
    plan = None
    if options.adapters is not None or pythons:
        entries = choose_entries(adapter_names(options.adapters) or [], pythons)
        recipes = live_recipes(recordings)
        plan = options.plan(recipes, entries, pythons) if recipes else None
    report = watch(_events(recordings, expected, options.run_id, plan))
    report.subject["recordings"] = [_described(recording) for recording in recordings]
    if report.ok:
        report.power = statements(live_recipes(recordings), report)
    return deliver(report, options)


def recording_files(files: Sequence[Path], expected: Sequence[str] = ()) -> list[Path]:
    """The files, those of folders by name, each once.

    A folder that does not exist yet counts as empty where recordings are expected: each is then MISSING.
    """
    found: list[Path] = []
    for path in files:
        folder = path.is_dir() or bool(expected and not path.suffix and not path.exists())
        if not folder and not path.exists():
            raise UserError(f"{path} does not exist; write it with: lstm-xcheck record --out {path}")
        found += sorted(path.glob("*.npz")) if folder else [path]
    return list({path.resolve(): path for path in found}.values())


def _events(
    recordings: Sequence[Recording], expected: Sequence[str], run_id: str, plan: Plan | None
) -> Generator[Event, None, None]:
    from ..engine import run
    from ..runs.replay import replay

    yield from replay(recordings, expected, run_id, live=plan is not None)
    if plan is not None:
        yield from run(plan)


def _described(recording: Recording) -> dict[str, object]:
    return {
        "file": recording.source,
        "environment": recording.environment,
        "run": recording.run,
        "made_by": dict(recording.made_by),
        "cases": len(recording.questions),
    }
