"""What `record` does once its options are read."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from ..arrays import STORAGE
from ..atomic_files import write_atomically
from ..engine import Plan, choose_entries
from ..errors import UserError
from ..recordings import Recording, encode
from ..recordings.schema import is_name
from ..runs.record import record
from .verify_run import designed_cases, parse_workers


def run_record(
    out: Path,
    environment: str,
    run_id: str,
    adapters: str | None,
    preset: str | None,
    grid_text: str | None,
    seeds: int | None,
    seed: int,
    precision: str | None,
    jobs: int | None,
    workers: Sequence[str],
    timeout: float,
) -> int:
    """Ask, write, and say what is in the file; 2 when something crashed."""
    for option, text in (("--env", environment), ("--run", run_id)):
        if text and not is_name(text):
            raise UserError(f"{option} is {text!r}, but should be letters, digits and . _ + - =")
    if precision is not None and precision not in STORAGE:
        raise UserError(f"--precision is {precision!r}, but should be one of {', '.join(STORAGE)}")
    check_target(out)
    pythons = parse_workers(workers)
    entries = choose_entries(None if adapters is None else names_in(adapters, "--adapters"), pythons)
    recipes = designed_cases(preset, grid_text, seed, seeds, precision)
    plan = Plan(tuple(recipes), entries, pythons, timeout, jobs or os.cpu_count() or 1)
    cells = len(plan.cases) * len(plan.entries)
    with click.progressbar(length=cells, label=f"recording {cells} cells", file=sys.stderr) as bar:
        recording = record(plan, environment, run_id, bar.update)
    _write(recording, out)
    return 2 if _tell(recording, out) else 0


def names_in(text: str, option: str) -> list[str]:
    """The names of a comma-separated list.

    Raises:
        UserError: when there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"{option} names nothing; write for example {option} torch,jax")
    return names


def check_target(path: Path) -> None:
    """Refuse what could not be written, or should not be written over, before any work is done.

    Raises:
        UserError: for another suffix than .npz, a folder, and a file that is no recording.
    """
    if path.suffix != ".npz":
        raise UserError(f"--out {path}: the suffix is {path.suffix!r}, but a recording is an .npz file")
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder, but should be a file to write")
    if path.exists() and b"manifest.npy" not in _beginning(path):
        raise UserError(f"--out {path}: exists and is no recording, so it is not written over; choose another name")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _write(recording: Recording, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, encode(recording))
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written: {error.strerror}") from error


def _tell(recording: Recording, path: Path) -> int:
    """One line for each adapter, one for each crash; the number of crashes."""
    size = path.stat().st_size / 1e6
    named = f"environment {recording.environment}, " if recording.environment else ""
    click.echo(f"{path}: {named}run {recording.run}, {len(recording.questions)} cases, {size:.2f} MB")
    crashes = [answer for answer in recording.answers if answer.kind == "crashed"]
    for adapter in recording.adapters:
        kinds = Counter(answer.kind for answer in recording.answers if answer.adapter == adapter)
        click.echo(f"  {adapter}: {', '.join(f'{kinds[kind]} {kind}' for kind in sorted(kinds))}")
    for answer in crashes[:5]:
        click.echo(f"  CRASHED {answer.adapter}, case {answer.question}: {answer.reason}")
    return len(crashes)
