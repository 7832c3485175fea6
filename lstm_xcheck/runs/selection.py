"""Which recordings can be judged, and what is wrong with the set of them: missing, stale, twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..compare import VerdictName
from ..recordings import Recording, encode


@dataclass(frozen=True, eq=False)
class Named:
    """A recording under the name its rows carry."""

    environment: str
    recording: Recording
    alone: bool = False

    def label(self, adapter: str) -> str:
        """`environment/adapter`; the adapter alone for the only recording, when it has no name."""
        return adapter if self.alone else f"{self.environment}/{adapter}"


@dataclass(frozen=True)
class Fault:
    """A row about a whole recording."""

    label: str
    verdict: VerdictName
    reason: str


def select_recordings(
    recordings: Sequence[Recording], expect: Sequence[str], run: str, *, live: bool
) -> tuple[list[Named], list[Fault]]:
    """The recordings to judge, and a fault for each that is not, or is not there."""
    alone = len(recordings) == 1 and not live
    named = [
        Named(recording.environment or Path(recording.source).stem, recording, alone and not recording.environment)
        for recording in recordings
    ]
    there = {name.environment for name in named}
    faults = [_missing(environment, there) for environment in dict.fromkeys(expect) if environment not in there]
    judged = []
    for environment in dict.fromkeys(name.environment for name in named):
        group = [name for name in named if name.environment == environment]
        fresh, stale = _split_stale(group, expect, run)
        usable, twice = _split_twice(fresh)
        judged += usable
        faults += [*stale, *twice]
    return judged, faults


def _missing(environment: str, there: set[str]) -> Fault:
    found = ", ".join(sorted(there)) or "no other"
    return Fault(
        environment, "crashed",
        f"MISSING: no recording of {environment} was given (found: {found}); its interpreter is not there or it failed "
        "before it recorded",
    )  # fmt: skip


def _split_stale(group: list[Named], expect: Sequence[str], run: str) -> tuple[list[Named], list[Fault]]:
    """With a run given, recordings of other runs are not judged; that is a fault where the environment is expected."""
    stale = [name for name in group if run and name.recording.run != run]
    faults = []
    for name in stale:
        wanted = not expect or name.environment in expect
        what = f"STALE: {name.recording.name} belongs to the run {name.recording.run}, but should belong to {run}"
        reason = f"{what}; the environment did not record this time" if wanted else f"{what}; it is not expected"
        faults.append(Fault(name.environment, "crashed" if wanted else "skipped", reason))
    return [name for name in group if name not in stale], faults


def _split_twice(group: list[Named]) -> tuple[list[Named], list[Fault]]:
    """One environment may come in several files only when they are parts of one run."""
    kept: dict[bytes, Named] = {}
    faults = []
    for name in group:
        content = encode(name.recording)
        if content in kept:
            reason = f"{name.recording.name} is the same recording as {kept[content].recording.name}, judged once"
            faults.append(Fault(name.environment, "skipped", reason))
        kept.setdefault(content, name)
    names = list(kept.values())
    conflict = _conflict(names)
    if not conflict:
        return names, faults
    return [], [*faults, Fault(group[0].environment, "crashed", conflict)]


def _conflict(names: list[Named]) -> str:
    files = " and ".join(name.recording.name for name in names)
    runs = list(dict.fromkeys(name.recording.run for name in names))
    if len(runs) > 1:
        return (
            f"STALE or DUPLICATE: {files} are both of the environment {names[0].environment}, but of the runs "
            f"{' and '.join(runs)}; keep the one that is meant"
        )
    cells = [cell for name in names for cell in _cells(name.recording)]
    if len(set(cells)) < len(cells):
        return f"DUPLICATE: {files} answer the same cases in one environment, differently; keep the one that is meant"
    return ""


def _cells(recording: Recording) -> Iterator[tuple[str, str]]:
    return ((answer.adapter, answer.question) for answer in recording.answers)
