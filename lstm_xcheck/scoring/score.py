"""Which mistakes a test suite catches, and why not the others."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..diagnose import CATALOGUE
from ..errors import UserError
from ..vectors import expected_outputs
from ..vectors.candidates import candidates
from ..vectors.kills import is_killed
from .hosts import HOSTS, Host
from .plant import mistaken_outputs
from .suite import Ran, Request, serve

ONNX_NODE_TESTS = str(Path(__file__).with_name("onnx_node_tests.py"))

#: A run with a mistake may take this many times as long as the run without: then it has no end.
_PATIENCE = 10.0

NO_ROOM = "no call of the suite has room for it"
NO_EFFECT = "no effect on the numbers of the suite"
NOT_COMPARED = "changed, but not compared with anything that was known before"
WITHIN_TOLERANCE = "changed and compared, but within the tolerance"


@dataclass(frozen=True)
class Survivor:
    """A mistake with which the suite passes.

    Attributes:
        reason: why.
        vector: a case that would show it, one of those that `lstm-xcheck vectors` chooses among.
    """

    mistake: str
    family: str
    reason: str
    vector: str


@dataclass(frozen=True)
class Suite:
    """A framework, the arguments of pytest, and the seconds that a run may take."""

    host: str
    arguments: tuple[str, ...]
    timeout: float = 600.0


@dataclass(frozen=True)
class Score:
    """What the suite is worth.

    Attributes:
        tests: the tests that run an LSTM and pass, by which mistakes are caught.
        set_aside: tests that fail as soon as calls are looked at, with nothing planted.
        unknown_calls: calls in which nothing could be planted, of all `calls`.
        caught: mistakes with which a test fails.
        not_expressible: mistakes that no call of the framework shows; they do not count.
        not_run: mistakes for which there was no time.
    """

    host: str
    tests: tuple[str, ...]
    set_aside: tuple[str, ...]
    calls: int
    unknown_calls: int
    caught: tuple[str, ...]
    survivors: tuple[Survivor, ...]
    not_expressible: tuple[str, ...]
    not_run: tuple[str, ...] = ()

    def by_family(self) -> Iterator[tuple[str, int, int]]:
        """(family, caught, counted), in the order of the catalogue."""
        families = {mistake.id: mistake.family for mistake in CATALOGUE}
        caught = Counter(families[id] for id in self.caught)
        survived = Counter(survivor.family for survivor in self.survivors)
        for family in dict.fromkeys(families.values()):
            if caught[family] + survived[family]:
                yield family, caught[family], caught[family] + survived[family]

    def lines(self) -> Iterator[str]:
        """What survives and why, and what else must be known, in sentences."""
        for reason in dict.fromkeys(survivor.reason for survivor in self.survivors):
            of_reason = [survivor for survivor in self.survivors if survivor.reason == reason]
            yield f"{len(of_reason)} survive, {reason}: {', '.join(survivor.mistake for survivor in of_reason)}"
        if self.survivors:
            first = self.survivors[0]
            yield f"a case that shows {first.mistake}: {first.vector}; --json has one for each"
        unknown = f", in {self.unknown_calls} of them nothing can be planted" if self.unknown_calls else ""
        yield f"{len(self.tests)} tests count, {self.calls} calls of LSTMs{unknown}"
        for test in self.set_aside:
            yield f"left out, since it fails when calls are looked at: {test}"
        if self.not_expressible:
            yield f"{len(self.not_expressible)} mistakes do not count, since no call of {self.host} shows them"
        if self.not_run:
            yield f"{len(self.not_run)} mistakes were not planted, for want of time: {', '.join(self.not_run)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: counts, then what was counted."""
        lists = {name: getattr(self, name) for name in ("caught", "not_expressible")}
        return {
            "schema": 1,
            **asdict(self),
            **{name: len(ids) for name, ids in lists.items()},
            "survived": len(self.survivors),
            "families": {family: {"caught": caught, "of": counted} for family, caught, counted in self.by_family()},
            "mistakes": lists,
        }


#: Called with the number of mistakes that were planted, and of all.
Progress = Callable[[int, int], None]


def score(
    suite: Suite,
    *,
    families: Sequence[str] = (),
    sample: int | None = None,
    seconds: float = float("inf"),
    progress: Progress = lambda done, planned: None,
) -> Score:
    """Run the suite without a mistake, then with each.

    Args:
        families: of the catalogue; empty for all.
        sample: how many mistakes to draw, always the same ones; None for all.
        seconds: when to stop, with what there is.

    Raises:
        UserError: for a suite that fails by itself, or runs no LSTM of the framework.
    """
    host, known = HOSTS[suite.host], dict.fromkeys(mistake.family for mistake in CATALOGUE)
    if unknown := set(families) - known.keys():
        raise UserError(f"there is no family {min(unknown)} of mistakes; choose among {', '.join(known)}")
    chosen = [mistake for mistake in CATALOGUE if not families or mistake.family in families]
    vectors = vectors_of(host)
    planned = [mistake for mistake in chosen if mistake.id in vectors]
    absent = tuple(mistake.id for mistake in chosen if mistake.id not in vectors)
    if sample is not None and sample < len(planned):
        planned = sorted(random.Random(0).sample(planned, sample), key=planned.index)
    end, caught, survivors = time.monotonic() + seconds, [], []
    with closing(_Process(suite, host.target)) as process:
        honest, start = _honest(process.ask(Request(planted=False)), suite), time.monotonic()
        control = process.ask(Request(tests=frozenset(honest.passed)))
        process.limit = min(suite.timeout, _PATIENCE * (1.0 + time.monotonic() - start))
        tests = frozenset(control.passed & control.with_calls)
        if not tests or control.calls == control.unknown:
            what = "calls in which nothing can be planted" if control.calls else "no call"
            raise UserError(f"{_told(suite)} passes with {what} of an LSTM of {host.name}; name tests that run one")
        for done, mistake in enumerate(planned):
            if time.monotonic() > end:
                break
            progress(done, len(planned))
            ran = process.ask(Request(mistake=mistake.id, tests=tests))
            if ran.exit_code:
                caught.append(mistake.id)
                continue
            loud = Request(mistake=mistake.id, loud=True, tests=tests)
            reason = _reason(ran, compared=bool(ran.changed) and bool(process.ask(loud).exit_code))
            survivors.append(Survivor(mistake.id, mistake.family, reason, vectors[mistake.id]))
    left = planned[len(caught) + len(survivors) :]
    return Score(
        host.name, tuple(sorted(tests)), tuple(sorted(honest.passed - control.passed)), control.calls, control.unknown,
        tuple(caught), tuple(survivors), absent, tuple(mistake.id for mistake in left),
    )  # fmt: skip


def _reason(ran: Ran, *, compared: bool) -> str:
    """Why a suite passes; `compared`: it fails when the changed numbers are grossly wrong."""
    if ran.changed:
        return WITHIN_TOLERANCE if compared else NOT_COMPARED
    return NO_EFFECT if ran.applied else NO_ROOM


def _honest(ran: Ran, suite: Suite) -> Ran:
    """The run without any mistake, which must pass."""
    if ran.failed:
        test, why = next(iter(ran.failed.items()))
        raise UserError(
            f"{_told(suite)} fails before anything is planted, at {test or 'its import'} ({why}); leave out "
            "what fails, such as with --deselect"
        )
    if ran.exit_code or not ran.passed:
        raise UserError(
            f"{_told(suite)} ends with exit code {ran.exit_code} and {len(ran.passed)} tests passed, but should pass; "
            "run it with pytest alone to see why"
        )
    return ran


def _told(suite: Suite) -> str:
    return f"pytest {' '.join(suite.arguments)}"


@cache
def vectors_of(host: Host) -> Mapping[str, str]:
    """Mistakes that calls of the framework show, each with such a call."""
    cases = [case for wanted in host.calls for case in candidates(wanted)]
    expected = [expected_outputs(case) for case in cases]
    found: dict[str, str] = {}
    for mistake in filter(host.has_room_for, CATALOGUE):
        pairs = zip(cases, expected, strict=True)
        named = (c.id for c, e in pairs if mistaken_outputs(mistake, c) is not None and is_killed(c, e, mistake))
        if name := next(named, ""):
            found[mistake.id] = name
    return found


class _Process:
    """The process of a suite; a run without an end ends it.

    Attributes:
        limit: seconds for a run with a mistake.
    """

    def __init__(self, suite: Suite, target: str) -> None:
        self.suite, self.target, self.limit = suite, target, suite.timeout
        self.running: tuple[Any, Connection] | None = None

    def ask(self, request: Request) -> Ran:
        """Run the suite once."""
        if self.running is None and request.mistake is not None:
            self._run(Request(tests=request.tests), self.suite.timeout)  # sees the calls again
        ran = self._run(request, self.limit if request.mistake else self.suite.timeout)
        if ran is None and request.mistake is None:
            raise UserError(f"{_told(self.suite)} takes more than {self.suite.timeout:g} s; allow more by --timeout")
        if ran is not None and ran.exit_code not in (0, 1) and request.planted:
            what = f"with {request.mistake} planted" if request.mistake else "when looked at"
            raise UserError(f"{_told(self.suite)} {what} ends with exit code {ran.exit_code}, but should pass or fail")
        return ran or Ran(exit_code=1)

    def _run(self, request: Request, limit: float) -> Ran | None:
        """What came of it; None for no end."""
        _, connection = self.running = self.running or self._start()
        try:
            connection.send(request)
            ran: Ran | None = connection.recv() if connection.poll(limit) else None
        except (EOFError, OSError) as end:
            raise UserError(f"the process of {_told(self.suite)} ended; run it with pytest alone to see why") from end
        if ran is None:
            self.close()
        return ran

    def _start(self) -> tuple[Any, Connection]:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self.target, self.suite.arguments), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def close(self) -> None:
        """End it."""
        if self.running is not None:
            process, connection = self.running
            connection.close()
            process.kill()
            process.join()
            self.running = None
