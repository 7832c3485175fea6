"""A run that outlives the process: what ended before is told again, the rest is run and kept; and runs put together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.run import Plan, Question
from ..engine.work_queue import shard_of
from ..errors import UserError
from ..events import Event, Finished, Outcome, Planned
from .folder import Description, RunFolder, read_cells, read_power, write_power
from .identity import cell_key, identities, plan_key, question_key

Engine = Callable[[Plan], Generator[Event, None, None]]


def sharded(cases: Sequence[Question], shard: tuple[int, int] | None) -> tuple[Question, ...]:
    """The cases of one shard, or all.

    Raises:
        UserError: when the shard has none.
    """
    if shard is None:
        return tuple(cases)
    part = shard_of(cases, *shard)
    if not part:
        number, of = shard
        raise UserError(f"--shard {number}/{of}: there are only {len(cases)} cases; use at most {len(cases)} shards")
    return part


def describe(
    plan: Plan, cases: Sequence[Question], shard: tuple[int, int] | None, subject: dict[str, Any]
) -> Description:
    """The description of a plan that is a shard of `cases`, or all of them."""
    return Description(
        key=plan_key(cases),
        cases=len(cases),
        adapters=identities(plan),
        shards=[] if shard is None else [list(shard)],
        planned=len(plan.cases) * len(plan.entries),
        subject=subject,
        order=[case.id for case in cases],
    )


def run_in(folder: RunFolder, plan: Plan, engine: Engine) -> Generator[Event, None, None]:
    """Run what has not ended in the (entered) folder; all outcomes are told, the former ones first."""
    adapters = folder.description.adapters
    keys = {
        (case.id, name): cell_key(name, dict(identity), question)
        for case in plan.cases
        for question in [question_key(case)]
        for name, identity in adapters.items()
    }
    yield Planned(len(keys), len(plan.cases), tuple(adapters), order=plan.planned.order)
    done = set()
    for key, outcome in read_cells(folder.path):
        cell = (outcome.case, outcome.adapter)
        if keys.get(cell) == key and cell not in done:
            done.add(cell)
            yield outcome
    with closing(engine(replace(plan, skip=frozenset(done)))) as events:
        for event in events:
            if isinstance(event, Planned):
                continue
            if isinstance(event, Outcome):
                folder.append(keys[event.case, event.adapter], event)
            yield event


def replay(path: Path) -> Iterator[Event]:
    """The events of a folder as it is, finished or not.

    Raises:
        UserError: when it is no folder of a run.
    """
    description = Description.read(path)
    cases = description.planned // max(1, len(description.adapters))
    yield Planned(description.planned, cases, tuple(description.adapters), order=tuple(description.order))
    yield from replayed_outcomes(path)
    yield Finished(0.0)


def replayed_outcomes(path: Path) -> Iterator[Outcome]:
    """Every cell of a folder once."""
    told = set()
    for key, outcome in read_cells(path):
        if key not in told:
            told.add(key)
            yield outcome


def merge(sources: Sequence[Path], target: Path) -> list[str]:
    """Put runs of the same cases together: shards, adapters, or both. Returns what is missing, in words.

    A cell that occurs twice must say the same both times. The result is a folder like any other, so that
    `verify --out DIR --resume` can run what is missing.

    Raises:
        UserError: when the folders do not belong together, or a cell has two answers.
    """
    described = {path: Description.read(path) for path in sources}
    merged = _together(described)
    _refuse_contradictions(sources)
    told = set()
    with RunFolder(target, merged, resume=None) as folder:
        for path in sources:
            for key, outcome in read_cells(path):
                if key not in told:
                    told.add(key)
                    folder.append(key, outcome)
    power = {statement["case"]: statement for path in sources for statement in read_power(path)}
    write_power(target, list(power.values()))
    missing = merged.planned - len(told)
    return _missing_shards(list(described.values())) or ([f"{missing} cells"] if missing else [])


def _refuse_contradictions(sources: Sequence[Path]) -> None:
    seen: dict[str, tuple[Path, int]] = {}
    for path in sources:
        for key, outcome in read_cells(path):
            # How many diagnoses are made, and how long a cell takes, depends on what else was running.
            content = hash(repr(replace(outcome, seconds=0.0, diagnoses=())))
            before, same = seen.setdefault(key, (path, content))
            if content != same:
                raise UserError(
                    f"{outcome.adapter}, case {outcome.case} ended differently in {before} and in {path}; "
                    "leave out one of the two"
                )


def _together(described: dict[Path, Description]) -> Description:
    (first_path, first), *others = described.items()
    adapters = dict(first.adapters)
    for path, other in others:
        if other.key != first.key:
            raise UserError(f"{path} holds other cases than {first_path}; merge runs of the same cases only")
        for name in other.adapters:
            known = replace(first, adapters=adapters)
            if name in adapters and (difference := known.adapter_difference(other, name)):
                raise UserError(f"{path} and the folders before it do not belong together: {difference} in {path}")
        adapters.update(other.adapters)
    return replace(first, adapters=adapters, shards=[], planned=first.cases * len(adapters))


def _missing_shards(described: Sequence[Description]) -> list[str]:
    """Shards that nobody brought, where all that were brought are cut alike."""
    present = {tuple(shard) for description in described for shard in description.shards}
    cuts = {of for _, of in present}
    if len(cuts) != 1 or any(not description.shards for description in described):
        return []
    (of,) = cuts
    return [f"shard {number}/{of}" for number in range(1, of + 1) if (number, of) not in present]
