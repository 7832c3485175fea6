"""What `replay` does once its options are read."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path

from ..engine import Plan, choose_entries, run
from ..errors import NothingComparedError, UserError
from ..events import Event
from ..recordings import Recording, read
from ..report.detection_power import statements
from ..report.json_file import check_report_path
from ..runs.replay import live_recipes, replay
from .output import deliver
from .record_run import names_in
from .verify_engine import watch
from .verify_run import parse_workers


def run_replay(
    files: Sequence[Path],
    expect: str,
    run_id: str,
    adapters: str | None,
    workers: Sequence[str],
    jobs: int | None,
    timeout: float,
    reports: Sequence[Path],
    as_json: bool,
) -> int:
    """Read, judge, report; returns the exit code."""
    for path in reports:
        check_report_path(path)
    pythons = parse_workers(workers)
    expected = [name.strip() for name in expect.split(",") if name.strip()]
    recordings = [read(path) for path in recording_files(files, expected)]
    if not recordings and not expected:
        where = ", ".join(map(str, files))
        raise NothingComparedError(f"there is no recording in {where}; write one with: lstm-xcheck record")
    plan = None
    if adapters is not None or pythons:
        entries = choose_entries([] if adapters is None else names_in(adapters, "--adapters"), pythons)
        recipes = live_recipes(recordings)
        plan = Plan(recipes, entries, pythons, timeout, jobs or os.cpu_count() or 1) if recipes else None
    report = watch(_events(recordings, expected, run_id, plan))
    report.subject["recordings"] = [_described(recording) for recording in recordings]
    if report.ok:
        report.power = statements(live_recipes(recordings), report)
    return deliver(report, reports, as_json)


def recording_files(files: Sequence[Path], expected: Sequence[str] = ()) -> list[Path]:
    """The files, those of folders in the order of their names, each once.

    A folder that no environment has made yet is an empty one where recordings are expected: each is then MISSING.

    Raises:
        UserError: for one that is not there.
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
