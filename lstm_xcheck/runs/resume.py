"""Resumes, replays, shards and merges runs in folders."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine import CaseOrRecipe, Plan
from ..engine.families import families
from ..engine.grouping import shard_of
from ..errors import UserError
from ..events import Event, Finished, Outcome, Planned
from .description import RunDescription
from .folder import RunFolder, read_outcomes, read_power, read_seconds, write_power
from .identity import case_key, cases_key, identities, task_key

Engine = Callable[[Plan], Generator[Event, None, None]]


def cases_of_shard(cases: Sequence[CaseOrRecipe], shard: tuple[int, int] | None) -> tuple[CaseOrRecipe, ...]:
    """The cases of one shard, or all."""
    if shard is None:
        return tuple(cases)
    part = shard_of(cases, *shard)
    if not part:
        number, of = shard
        raise UserError(f"--shard {number}/{of}: there are only {len(cases)} cases; use at most {len(cases)} shards")
    return part


def describe(
    plan: Plan, cases: Sequence[CaseOrRecipe], shard: tuple[int, int] | None, subject: dict[str, Any]
) -> RunDescription:
    """The description of a plan for `cases` or a shard."""
    return RunDescription(
        key=cases_key(cases),
        cases=len(cases),
        adapters=identities(plan),
        shards=[] if shard is None else [list(shard)],
        planned=len(plan.cases) * len(plan.entries),
        subject=subject,
        order=[case.id for case in cases],
        families=list(families(cases).values()),
    )


def run_in(folder: RunFolder, plan: Plan, engine: Engine) -> Generator[Event, None, None]:
    """Run what did not end in an open folder; emit former outcomes first."""
    adapters = folder.description.adapters
    case_keys = {case.id: case_key(case) for case in plan.cases}
    keys = {
        (id, name): task_key(name, dict(identity), key)
        for id, key in case_keys.items()
        for name, identity in adapters.items()
    }
    yield replace(plan.planned, tasks=len(keys), adapters=tuple(adapters))
    ended = set()
    for key, outcome in read_outcomes(folder.path):
        task = (outcome.case, outcome.adapter)
        if keys.get(task) == key and task not in ended:
            ended.add(task)
            yield outcome
    with closing(engine(replace(plan, skip=frozenset(ended)))) as events:
        for event in events:
            if isinstance(event, Planned):
                continue
            if isinstance(event, Outcome):
                folder.append(keys[event.case, event.adapter], event)
            yield replace(event, seconds=event.seconds + folder.seconds) if isinstance(event, Finished) else event


def replay(path: Path) -> Iterator[Event]:
    """The events of a folder, finished or not."""
    description = RunDescription.read(path)
    cases = description.planned // max(1, len(description.adapters))
    of_cases = dict(zip(description.order, description.families, strict=False))  # older runs have none
    adapters, order = tuple(description.adapters), tuple(description.order)
    yield Planned(description.planned, cases, adapters, order=order, families=of_cases)
    yield from unique_outcomes(path)
    yield Finished(read_seconds(path))


def unique_outcomes(path: Path) -> Iterator[Outcome]:
    """The outcome of each task of a folder once."""
    seen = set()
    for key, outcome in read_outcomes(path):
        if key not in seen:
            seen.add(key)
            yield outcome


def merge(sources: Sequence[Path], target: Path) -> list[str]:
    """Merge runs of the same cases; returns what is missing, in words.

    A task that occurs twice must have the same outcome. `verify --out DIR --resume` can run what is missing.
    """
    descriptions = {path: RunDescription.read(path) for path in sources}
    merged = _merge_descriptions(descriptions)
    _refuse_contradictions(sources)
    seen = set()
    with RunFolder(target, merged, resume=None) as folder:
        folder.seconds = sum(map(read_seconds, sources))
        for path in sources:
            for key, outcome in read_outcomes(path):
                if key not in seen:
                    seen.add(key)
                    folder.append(key, outcome)
    write_power(target, _merge_power([statement for path in sources for statement in read_power(path)]))
    missing = merged.planned - len(seen)
    return _missing_shards(list(descriptions.values())) or ([f"{missing} cells"] if missing else [])


def _merge_power(statements: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each statement once, with the adapters of all that are equal but for these."""
    merged: dict[object, dict[str, Any]] = {}
    for statement in statements:
        key = (statement["case"], *statement.get("observed", ()), statement.get("precision"))
        before = merged.setdefault(key, statement)
        adapters = dict.fromkeys([*before.get("adapters", ()), *statement.get("adapters", ())])
        merged[key] = {**before, "adapters": list(adapters)}
    return list(merged.values())


def _refuse_contradictions(sources: Sequence[Path]) -> None:
    seen: dict[str, tuple[Path, int]] = {}
    for path in sources:
        for key, outcome in read_outcomes(path):
            # The time and the diagnoses of a task depend on what else was running.
            content = hash(repr(replace(outcome, seconds=0.0, diagnoses=())))
            before, same = seen.setdefault(key, (path, content))
            if content != same:
                raise UserError(
                    f"{outcome.adapter}, case {outcome.case} ended differently in {before} and in {path}; "
                    "leave out one of the two"
                )


def _merge_descriptions(descriptions: dict[Path, RunDescription]) -> RunDescription:
    (first_path, first), *others = descriptions.items()
    adapters, subject = dict(first.adapters), dict(first.subject)
    for path, other in others:
        if other.key != first.key:
            raise UserError(f"{path} holds other cases than {first_path}; merge runs of the same cases only")
        for name in other.adapters:
            known = replace(first, adapters=adapters)
            if name in adapters and (difference := known.adapter_difference(other, name)):
                raise UserError(f"{path} and the folders before it do not belong together: {difference} in {path}")
        adapters.update(other.adapters)
        subject = _merge_subjects(subject, other.subject)
    return replace(first, adapters=adapters, shards=[], planned=first.cases * len(adapters), subject=subject)


def _merge_subjects(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The first, with the user's adapters of both."""
    merged, asked, also = dict(first), first.get("command", {}), other.get("command", {})
    if "own" in other:
        merged["own"] = list(dict.fromkeys([*first.get("own", ()), *other["own"]]))
    if asked:
        merged["command"] = {**asked, "adapters": {**also.get("adapters", {}), **asked.get("adapters", {})}}
    return merged


def _missing_shards(descriptions: Sequence[RunDescription]) -> list[str]:
    """Names of missing shards, where shards are comparable."""
    present = {tuple(shard) for description in descriptions for shard in description.shards}
    counts = {of for _, of in present}
    if len(counts) != 1 or any(not description.shards for description in descriptions):
        return []
    (of,) = counts
    return [f"shard {number}/{of}" for number in range(1, of + 1) if (number, of) not in present]
