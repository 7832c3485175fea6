"""Selects the recordings to judge; reports missing, stale and duplicate ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..compare import VerdictName
from ..recordings import Recording, encode


@dataclass(frozen=True, eq=False)
class NamedRecording:
    """A recording and its environment's name; `unlabelled` rows name the adapter alone."""

    environment: str
    recording: Recording
    unlabelled: bool = False

    def label(self, adapter: str) -> str:
        """The adapter as rows name it: `environment/adapter`, or the adapter alone."""
        return adapter if self.unlabelled else f"{self.environment}/{adapter}"


@dataclass(frozen=True)
class RecordingFault:
    """A row about a recording that is not judged, or not there."""

    label: str
    verdict: VerdictName
    reason: str


def select_recordings(
    recordings: Sequence[Recording], expect: Sequence[str], run: str, *, live: bool
) -> tuple[list[NamedRecording], list[RecordingFault]]:
    """The recordings to judge, and a fault for each other or missing one."""
    single = len(recordings) == 1 and not live
    named = [
        NamedRecording(
            recording.environment or Path(recording.source).stem, recording, single and not recording.environment
        )
        for recording in recordings
    ]
    present = {each.environment for each in named}
    faults = [_missing(environment, present) for environment in dict.fromkeys(expect) if environment not in present]
    judged = []
    for environment in dict.fromkeys(each.environment for each in named):
        group = [each for each in named if each.environment == environment]
        fresh, stale = _split_stale(group, expect, run)
        usable, duplicates = _split_duplicates(fresh)
        judged += usable
        faults += [*stale, *duplicates, *_empty(usable, environment in expect)]
    return judged, faults


def _empty(group: list[NamedRecording], expected: bool) -> list[RecordingFault]:
    """A fault for each recording, and expected environment, without an answer."""
    faults = [
        RecordingFault(
            each.environment, "crashed",
            f"EMPTY: {each.recording.name} holds {len(each.recording.questions)} cases and no answer; record it again",
        )
        for each in group
        if not each.recording.answers
    ]  # fmt: skip
    kinds = [answer.kind for each in group for answer in each.recording.answers]
    if expected and kinds and "answered" not in kinds:
        names = " and ".join(each.recording.name for each in group)
        reason = f"EMPTY: {names} holds {len(kinds)} answers, none of which gives outputs; an expected one should"
        faults.append(RecordingFault(group[0].environment, "crashed", reason))
    return faults


def _missing(environment: str, present: set[str]) -> RecordingFault:
    found = ", ".join(sorted(present)) or "no other"
    return RecordingFault(
        environment, "crashed",
        f"MISSING: no recording of {environment} was given (found: {found}); its interpreter is not there or it failed "
        "before it recorded",
    )  # fmt: skip


def _split_stale(
    group: list[NamedRecording], expect: Sequence[str], run: str
) -> tuple[list[NamedRecording], list[RecordingFault]]:
    """Separate recordings of other runs; a fault where their environment is expected."""
    stale = [each for each in group if run and each.recording.run != run]
    faults = []
    for each in stale:
        wanted = not expect or each.environment in expect
        what = f"STALE: {each.recording.name} belongs to the run {each.recording.run}, but should belong to {run}"
        reason = f"{what}; the environment did not record this time" if wanted else f"{what}; it is not expected"
        faults.append(RecordingFault(each.environment, "crashed" if wanted else "skipped", reason))
    return [each for each in group if each not in stale], faults


def _split_duplicates(group: list[NamedRecording]) -> tuple[list[NamedRecording], list[RecordingFault]]:
    """Separate duplicates and contradictions of one environment."""
    unique: dict[bytes, NamedRecording] = {}
    faults = []
    for each in group:
        content = encode(each.recording)
        if content in unique:
            reason = f"{each.recording.name} is the same recording as {unique[content].recording.name}, judged once"
            faults.append(RecordingFault(each.environment, "skipped", reason))
        unique.setdefault(content, each)
    conflict = _conflict(list(unique.values()))
    if not conflict:
        return list(unique.values()), faults
    return [], [*faults, RecordingFault(group[0].environment, "crashed", conflict)]


def _conflict(group: list[NamedRecording]) -> str:
    """How recordings of one environment contradict each other; "" for no contradiction."""
    files = " and ".join(each.recording.name for each in group)
    runs = list(dict.fromkeys(each.recording.run for each in group))
    if len(runs) > 1:
        return (
            f"STALE or DUPLICATE: {files} are both of the environment {group[0].environment}, but of the runs "
            f"{' and '.join(runs)}; keep the one that is meant"
        )
    tasks = [(answer.adapter, answer.question) for each in group for answer in each.recording.answers]
    if len(set(tasks)) < len(tasks):
        return f"DUPLICATE: {files} answer the same cases in one environment, differently; keep the one that is meant"
    return ""
