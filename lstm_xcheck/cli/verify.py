"""`verify`: run the same LSTMs in every framework and judge them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import UserError, unknown
from .options import (
    ADAPTERS,
    PATH,
    PRESET,
    adapter_names,
    keras_options,
    layouts_for,
    layouts_option,
    own_option,
    precision_option,
    report_options,
)
from .parsed_options import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from ..adapters import Entry
    from ..engine import CaseOrRecipe, Plan
    from ..model import Case, LSTMWeights
    from ..report.model import Report
    from ..runs.resume import Engine
    from .output import Events
    from .parsed_options import VerifyOptions


@click.command("verify")
@click.argument("files", nargs=-1, type=PATH, metavar="[FILE...]")
@click.option(
    "--adapters",
    metavar="A,B",
    type=ADAPTERS,
    help="Adapters to run; default: all whose framework is installed.",
)
@own_option("Run")
@click.option(
    "--preset",
    metavar="NAME",
    type=PRESET,
    help="Cases to run: quick, standard or deep.  [default: standard]",
)
@click.option("--grid", "grid_text", metavar="AXES", help='Cases to run: "hidden=1,32 steps=1,20 bias=split,none".')
@click.option("--case", "case_ids", multiple=True, metavar="ID", help="Only the case of this id, as rows have it.")
@click.option("--last-failed", is_flag=True, help="Only the cases and adapters that failed in this folder's last run.")
@click.option("-x", "--exit-first", is_flag=True, help="Stop at the first failure.")
@layouts_option
@keras_options
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Run every case with N seeds.")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", default=0, help="First seed.  [default: 0]")
@precision_option
@click.option("--gradients", is_flag=True, help="Compare gradients, too, by each framework's own differentiation.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Workers at a time.  [default: one per core]")
@click.option("--worker", "workers", multiple=True, metavar="NAME=PYTHON", help="Run an adapter by another Python.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=DEFAULT_TIMEOUT, metavar="S", help="Seconds for one case."
)
@click.option("--out", type=PATH, metavar="DIR", help="Keep every finished cell in this folder.")
@click.option("--resume", is_flag=True, help="Go on with the run that --out DIR holds.")
@click.option("--shard", metavar="I/N", help="Run only part I of N of the cases; merge puts the parts together.")
@click.option("--dask", metavar="ADDRESS", help="Run on the workers of a Dask scheduler, such as tcp://host:8786.")
@report_options()
def command(**arguments: Any) -> int:
    """Run the same LSTMs in every framework and judge
    every number by what honest rounding allows.

    Without FILE: a grid of designed cases. With FILE: every LSTM found in each checkpoint of any readable format,
    with its own weights. No tolerance is guessed: a float64 oracle follows each framework's
    own outputs and bounds the rounding of every element.
    """
    from ..engine import with_compiling, with_gradients
    from ..engine.custom_adapters import chosen_entries
    from ..report.detection_power import PowerAhead, statements
    from ..runs.folder import write_power
    from ..runs.last_run import last_failures
    from ..runs.resume import cases_of_shard
    from .output import check_report_paths, deliver, watch
    from .parsed_options import VerifyOptions

    options = VerifyOptions(**without_settings(arguments))
    failed = last_failures(Path.cwd()) if options.last_failed else []
    options.check_selection()
    options.check_precision()
    check_report_paths(options.reports)
    shard = options.shard_number()
    if options.resume and options.out is None:
        raise UserError("--resume goes on with the run of a folder; add --out DIR")
    pythons = options.pythons()
    names = _named(options, failed, pythons)
    quick = options.preset == "quick"  # the others have too many shapes for adapters that compile each one
    entries = chosen_entries(names, options.functions, pythons, cluster_entries(options.dask), compiling=quick)
    cases, subject = _questions(options)
    subject["command"] = options.command()
    if options.functions:
        subject["own"] = [text.partition("=")[0] for text in options.functions]
    cases = _of_ids(cases, options.case_ids or [case for case, _ in failed], options)
    if options.gradients:
        cases = with_gradients(cases)
    if failed:
        entries = tuple(entry for entry in entries if entry.name in {adapter for _, adapter in failed})
    plan = options.plan(cases_of_shard(cases, shard), with_compiling(entries, cases), pythons)
    ahead = PowerAhead(cases)
    with events_of(plan, cases, options, subject) as events:
        report = watch(ahead.follow(events), exit_first=options.exit_first)
    report.subject.update(subject)
    if not report.interrupted:
        report.power = statements(cases, report, ahead=ahead)
        if options.out is not None:
            write_power(options.out, report.power)
    _keep_failures(report, failed)
    return deliver(report, options)


def without_settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments without a preset of pyproject.toml where the command line chooses other cases."""
    source = click.get_current_context().get_parameter_source("preset")
    if source is ParameterSource.DEFAULT_MAP and (arguments.get("files") or arguments["grid_text"]):
        return {**arguments, "preset": None}
    return arguments


def _named(options: VerifyOptions, failed: Sequence[tuple[str, str]], pythons: Mapping[str, str]) -> list[str] | None:
    """The adapters by name; with --last-failed those that failed."""
    from ..adapters import known

    names = adapter_names(options.adapters, nothing="no adapter")
    if not failed or names is not None:
        return names
    own = {text.partition("=")[0] for text in options.functions} | set(pythons)
    wanted = list(dict.fromkeys(adapter for _, adapter in failed))
    found = [name for name in wanted if name in known() and name not in own]
    if not found and not own & set(wanted):
        raise UserError(f"--last-failed: {', '.join(wanted)} failed; give --adapter {wanted[0]}=TARGET again")
    return found


def _keep_failures(report: Report, before: Sequence[tuple[str, str]]) -> None:
    """Keep what failed now, and `before` where it did not run again."""
    from ..report.groups import TROUBLE
    from ..runs.last_run import keep_failures

    failed, ran = [], set()
    for one in report.outcomes:
        ran.add((one.case, one.adapter))
        failed += [(one.case, one.adapter)] if one.verdict in TROUBLE else []
    left = [pair for pair in before if pair not in ran]
    if left:
        names = ", ".join(dict.fromkeys(adapter for _, adapter in left))
        click.echo(f"not run again, and kept for --last-failed: {len(left)} failures of {names}", err=True)
    try:
        keep_failures(Path.cwd(), [*failed, *left])
    except OSError as error:
        click.echo(f"what failed is not kept for --last-failed: {error}", err=True)


def _of_ids(cases: tuple[CaseOrRecipe, ...], ids: Sequence[str], options: VerifyOptions) -> tuple[CaseOrRecipe, ...]:
    """The cases of these ids, or all; designed cases are made from theirs."""
    from ..engine import Recipe

    if not ids:
        return cases
    by_id = {case.id: case for case in cases}
    option = "--last-failed" if options.last_failed else "--case"
    for id in ids:
        case = by_id.get(id) or (None if options.files else Recipe.from_id(id))
        if case is None:
            advice = "" if options.files else "; a case of a file needs the FILE again"
            raise UserError(f"{option}: {unknown('case', id, by_id)}{advice}")
        by_id[id] = case
    return tuple(by_id[id] for id in dict.fromkeys(ids))


def _questions(options: VerifyOptions) -> tuple[tuple[CaseOrRecipe, ...], dict[str, object]]:
    """All cases, and descriptions of the LSTMs in the files."""
    layouts = layouts_for(options.layouts, options.files)
    if not options.files:
        return tuple(options.recipes()), {}
    if options.preset is not None or options.grid_text is not None:
        raise UserError("--preset and --grid choose designed cases, but FILE brings its own weights; give one of them")
    from ..checkpoints.formats import keras_options_for, read_checkpoint

    cases: list[CaseOrRecipe] = []
    found: list[dict[str, object]] = []
    unread: list[dict[str, str]] = []
    labels: Counter[str] = Counter()
    keras = keras_options_for(options.files, options.keras())
    for path, layout, own in zip(options.files, layouts, keras, strict=True):
        checkpoint = read_checkpoint(path, layout, keras=own)
        unread += [{"file": str(path), "name": lstm.name, "why": lstm.why} for lstm in checkpoint.unread]
        for lstm in checkpoint.require_lstms():
            label = _label(path, lstm.name, len(options.files))
            labels[label] += 1
            label += f"-{labels[label]}" if labels[label] > 1 else ""
            for seed in range(options.seed, options.seed + (options.seeds or 1)):
                cases += weights_cases(lstm.weights, label, seed, options.precision)
            spec = lstm.weights.spec.to_dict()
            found.append({"file": str(path), "name": lstm.name, "label": label, "spec": spec, "why": lstm.why})
    return tuple(cases), {"lstms": found, **({"unread": unread} if unread else {})}


def _label(path: Path, name: str, files: int) -> str:
    """An id of an LSTM, with the file's name if there are several files."""
    text = f"{path.name}-{name}" if files > 1 else name or path.stem
    return "".join(letter.lower() if letter.isalnum() else "-" for letter in text).strip("-")


def weights_cases(weights: LSTMWeights, label: str, seed: int, precision: str | None) -> list[Case]:
    """Three cases with these weights, and a designed probe."""
    from ..diagnose.probe import shrunk
    from ..model import Case

    spec, chosen = weights.spec, precision or weights.dtype
    shape: dict[str, Any] = {"steps": 12, "batch": 4, "seed": seed, "weights": weights, "precision": chosen}
    return [
        Case.random(spec, **shape, id=f"{label}-states-s{seed}"),
        Case.random(spec, **shape, ragged=True, id=f"{label}-ragged-s{seed}"),
        Case.random(spec, **shape, states=False, returns="last", id=f"{label}-zero-states-s{seed}"),
        Case.random(shrunk(spec), batch=4, seed=seed, ragged=True, precision=chosen, id=f"{label}-probe-s{seed}"),
    ]


def cluster_entries(address: str | None) -> dict[str, Entry] | None:
    """The adapters that a cluster's workers have; None without a cluster."""
    if address is None:
        return None
    from ..engine.dask_cluster import cluster_entries

    return cluster_entries(address)


@contextmanager
def events_of(
    plan: Plan, cases: tuple[CaseOrRecipe, ...], options: VerifyOptions, subject: dict[str, object]
) -> Iterator[Events]:
    """The events of a plan; --out keeps them in a folder.

    The plan is a shard of `cases`, or all of them.
    """
    from ..runs.folder import RunFolder
    from ..runs.resume import describe, run_in

    with _engine(options.dask) as engine:
        if options.out is None:
            yield engine(plan)
            return
        description = describe(plan, cases, options.shard_number(), subject)
        with RunFolder(options.out, description, resume=options.resume) as folder:
            yield run_in(folder, plan, engine)


@contextmanager
def _engine(address: str | None) -> Iterator[Engine]:
    """The engine: this process, or the cluster of a Dask scheduler."""
    if address is None:
        from ..engine import run

        yield run
        return
    from ..engine.dask_cluster import connect
    from ..engine.distributed import run_on

    with connect(address) as executors:
        yield lambda plan: run_on(executors, plan)
