"""Who does what next: cells that share a compilation stay together, and whoever is idle takes half of what is left.

Nothing here changes what is asked, only by which worker and in which order.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..adapters import Entry
from ..model import Case
from .grid import Recipe

#: Half of fewer cells than this is not worth a second compilation.
LEAST_TO_STEAL = 4
#: A second worker for an adapter of unknown speed is started only for so many cells.
LEAST_TO_JOIN = 8
#: From so many cases of each shape on, a framework that can run with or without compiling is told to compile.
LEAST_TO_COMPILE = 4


def shape_key(question: Case | Recipe) -> tuple[Hashable, Hashable]:
    """What a framework builds for, and what it compiles for: equal for cases that differ in numbers alone."""
    if isinstance(question, Recipe):
        flags = replace(question, seed=0, init="probe", one_hot=False)
        build = (question.hidden, question.input, question.layers, question.directions, question.bias, question.proj)
        return (*build, question.dtype), flags
    optional = tuple(getattr(question, name) is None for name in ("h0", "c0", "lengths", "mask"))
    return (question.spec, question.precision), (question.x.shape, optional, question.returns, question.gradients)


def grouped(questions: Iterable[Case | Recipe]) -> list[list[Case | Recipe]]:
    """Cases by compilation, those of one build next to each other, in the order of first appearance."""
    builds: dict[Hashable, dict[Hashable, list[Case | Recipe]]] = {}
    for question in questions:
        build, shape = shape_key(question)
        builds.setdefault(build, {}).setdefault(shape, []).append(question)
    return [group for shapes in builds.values() for group in shapes.values()]


def for_repeats(entries: Iterable[Entry], questions: Sequence[Case | Recipe]) -> tuple[Entry, ...]:
    """The adapters, told to compile where these cases, all of a run with its other shards, repeat each shape often.

    It depends on the cases alone: what an adapter answers must not depend on who had time for what.
    """
    if len(questions) < LEAST_TO_COMPILE * len(grouped(questions)):
        return tuple(entries)
    return tuple(replace(entry, variables={**entry.variables, **_unset(entry.when_repeated)}) for entry in entries)


def _unset(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that the user has not set otherwise."""
    return {name: value for name, value in variables.items() if name not in os.environ}


def shard_of(questions: Sequence[Case | Recipe], number: int, shards: int) -> tuple[Case | Recipe, ...]:
    """Part `number` of `shards` (from 1): together they hold each case once, and every part nearly as many.

    Seeds of one shape stay together as far as the parts stay even. It depends on the cases and their order alone.
    """
    size = max(1, len(questions) // (4 * shards))
    pieces = [group[k : k + size] for group in grouped(questions) for k in range(0, len(group), size)]
    return tuple(question for piece in pieces[number - 1 :: shards] for question in piece)


@dataclass
class _Adapter:
    """The state of one adapter's work.

    Attributes:
        groups: not begun.
        hands: what each lane has begun, by lane.
        start: seconds that a worker took to load, once one did.
        seconds, ended: time and number of the cells that ended.
    """

    groups: deque[list[Case | Recipe]]
    hands: dict[int, deque[Case | Recipe]] = field(default_factory=dict)
    start: float | None = None
    seconds: float = 0.0
    ended: int = 0

    @property
    def left(self) -> int:
        """Cells that another lane could take."""
        open_hands = sum(len(hand) for hand in self.hands.values() if len(hand) >= LEAST_TO_STEAL)
        return sum(len(group) for group in self.groups) + open_hands

    @property
    def worth_joining(self) -> bool:
        """Whether what is left takes longer than starting one more worker."""
        if self.start is None or not self.ended:
            return self.left >= LEAST_TO_JOIN
        return self.left * self.seconds / self.ended > self.start


class Schedule:
    """The cells of a plan that no lane has taken; safe to ask from many threads."""

    def __init__(self, cells: Mapping[str, Sequence[Case | Recipe]]) -> None:
        """`cells`: the cases of each adapter, by its name."""
        self._lock = threading.Lock()
        self._adapters = {name: _Adapter(deque(grouped(cases))) for name, cases in cells.items() if cases}

    def choose(self, refused: Collection[str] = ()) -> tuple[str, bool] | None:
        """The adapter that an idle lane should serve, and whether others serve it already; None: none for now.

        `refused`: adapters that this lane could not join.
        """
        with self._lock:
            for name, adapter in self._adapters.items():
                if adapter.groups and not adapter.hands:
                    adapter.hands[-1] = deque()  # taken: no other lane sees it as untouched
                    return name, False
            joinable = [
                (adapter.left, name)
                for name, adapter in self._adapters.items()
                if name not in refused and adapter.worth_joining
            ]
            return (max(joinable)[1], True) if joinable else None

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left that another lane could take."""
        with self._lock:
            return not any(adapter.left for adapter in self._adapters.values())

    def take(self, name: str, slot: int) -> Case | Recipe | None:
        """The next case for a lane that serves this adapter; None when there is none for it."""
        with self._lock:
            adapter = self._adapters[name]
            hand = adapter.hands.setdefault(slot, deque())
            if not hand and adapter.groups:
                hand.extend(adapter.groups.popleft())
            if not hand:
                _steal_half(adapter.hands.values(), hand)
            return hand.popleft() if hand else None

    def started(self, name: str, seconds: float) -> None:
        """A worker of this adapter has loaded."""
        with self._lock:
            self._adapters[name].start = seconds

    def ended(self, name: str, seconds: float) -> None:
        """A cell of this adapter has been answered."""
        with self._lock:
            self._adapters[name].seconds += seconds
            self._adapters[name].ended += 1


def _steal_half(hands: Iterable[deque[Case | Recipe]], mine: deque[Case | Recipe]) -> None:
    largest = max(hands, key=len)
    if len(largest) >= LEAST_TO_STEAL:
        mine.extendleft(largest.pop() for _ in range(len(largest) // 2))
