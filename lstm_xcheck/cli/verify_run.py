"""What `verify` does once its options are read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..arrays import STORAGE
from ..diagnose.probe import shrunk
from ..engine import CaseOrRecipe, Plan, Recipe, parse_grid, preset, with_compiling, with_gradients
from ..errors import UserError
from ..model import Case, LSTMWeights
from ..report.detection_power import statements
from ..report.json_file import check_report_path
from ..runs.folder import write_power
from .custom_adapters import chosen_entries
from .layout_option import layouts_for
from .output import deliver
from .verify_engine import Scale, events_of, held_by, parse_shard, watch


def run_verify(
    files: Sequence[Path],
    adapters: str | None,
    functions: Sequence[str],
    preset: str | None,
    grid_text: str | None,
    layouts: Sequence[str],
    seeds: int | None,
    seed: int,
    precision: str | None,
    gradients: bool,
    jobs: int | None,
    workers: Sequence[str],
    timeout: float,
    out: Path | None,
    resume: bool,
    shard: str | None,
    dask: str | None,
    reports: Sequence[Path],
    as_json: bool,
) -> int:
    """Plan, run with progress, report; returns the exit code."""
    if precision is not None and precision not in STORAGE:
        raise UserError(f"--precision is {precision!r}, but should be one of {', '.join(STORAGE)}")
    for path in reports:
        check_report_path(path)
    scale = Scale(out, resume, parse_shard(shard), dask)
    pythons = parse_workers(workers)
    names = None if adapters is None else _names(adapters)
    entries = chosen_entries(names, functions, pythons, held_by(scale))
    by_file = layouts_for(layouts, files)
    if files:
        if preset is not None or grid_text is not None:
            raise UserError(
                "--preset and --grid choose designed cases, but FILE brings its own weights; give one of them"
            )
        cases, subject = file_cases(files, seed, seeds or 1, precision, by_file)
    else:
        cases, subject = tuple(designed_cases(preset, grid_text, seed, seeds, precision)), {}
    if gradients:
        cases = with_gradients(cases)
    plan = Plan(scale.part(cases), with_compiling(entries, cases), pythons, timeout, jobs or os.cpu_count() or 1)
    with events_of(plan, cases, scale, subject) as events:
        report = watch(events)
    report.subject.update(subject)
    if not report.interrupted:
        report.power = statements(cases, report)
        if out is not None:
            write_power(out, report.power)
    return deliver(report, reports, as_json)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError("--adapters names no adapter; write for example --adapters torch,jax")
    return names


def parse_workers(workers: Sequence[str]) -> dict[str, str]:
    """`NAME=PYTHON` options as a mapping.

    Raises:
        UserError: for another form or an interpreter that is not there.
    """
    pythons = {}
    for text in workers:
        name, equals, python = text.partition("=")
        if not equals or not name or not python:
            raise UserError(f"--worker {text!r} should be written NAME=PYTHON, such as old-torch=/path/to/python")
        if name in pythons:
            raise UserError(
                f"--worker {name} is given twice; give each interpreter a label of its own, such as old-{name}"
            )
        if not Path(python).is_file():
            raise UserError(f"--worker {name}: there is no interpreter {python}")
        pythons[name] = str(Path(python).absolute())
    return pythons


def designed_cases(
    preset_name: str | None, grid_text: str | None, seed: int, seeds: int | None, precision: str | None
) -> list[Recipe]:
    """The recipes of a preset or a grid, for each seed."""
    if preset_name is not None and grid_text is not None:
        raise UserError("--preset and --grid both choose the cases; give one of them")
    if grid_text is not None:
        recipes = parse_grid(grid_text)
    else:
        recipes = preset("standard" if preset_name is None else preset_name)
    if precision:
        recipes = [replace(recipe, dtype=precision) for recipe in recipes]
    if seeds is None and not seed:
        return list(dict.fromkeys(recipes))
    numbers = range(seed, seed + (seeds or 1))
    return list(dict.fromkeys(replace(recipe, seed=recipe.seed + number) for recipe in recipes for number in numbers))


def file_cases(
    files: Sequence[Path], seed: int, seeds: int, precision: str | None, layouts: Sequence[str | None] | None = None
) -> tuple[tuple[CaseOrRecipe, ...], dict[str, object]]:
    """Cases with each LSTM's own weights: with states, with padded rows, and with zero states."""
    from ..checkpoints.formats import read_checkpoint  # h5py and the like load only for files

    cases: list[CaseOrRecipe] = []
    found: list[dict[str, object]] = []
    labels: Counter[str] = Counter()
    for path, layout in zip(files, layouts or [None] * len(files), strict=True):
        for lstm in read_checkpoint(path, layout).require_lstms():
            label = _label(path, lstm.name, len(files))
            labels[label] += 1
            label += f"-{labels[label]}" if labels[label] > 1 else ""
            for number in range(seed, seed + seeds):
                cases += weights_cases(lstm.weights, label, number, precision)
            found.append({"file": str(path), "name": lstm.name, "spec": lstm.weights.spec.to_dict(), "why": lstm.why})
    return tuple(cases), {"lstms": found}


def _label(path: Path, name: str, files: int) -> str:
    """A greppable id: the file's name only where there are several files."""
    text = f"{path.name}-{name}" if files > 1 else name or path.stem
    return "".join(letter.lower() if letter.isalnum() else "-" for letter in text).strip("-")


def weights_cases(weights: LSTMWeights, label: str, seed: int, precision: str | None) -> list[Case]:
    """Three questions to a user's weights, and a designed probe of the same kind that no mistake escapes."""
    spec, chosen = weights.spec, precision or weights.dtype
    shape = {"steps": 12, "batch": 4, "seed": seed, "weights": weights, "precision": chosen}
    return [
        Case.random(spec, **shape, id=f"{label}-states-s{seed}"),  # type: ignore[arg-type]
        Case.random(spec, **shape, ragged=True, id=f"{label}-ragged-s{seed}"),  # type: ignore[arg-type]
        Case.random(spec, **shape, states=False, returns="last", id=f"{label}-zero-states-s{seed}"),  # type: ignore[arg-type]
        Case.random(shrunk(spec), batch=4, seed=seed, ragged=True, precision=chosen, id=f"{label}-probe-s{seed}"),
    ]
