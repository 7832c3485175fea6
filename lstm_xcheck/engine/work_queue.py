"""Work queue: hands out tasks; idle slots steal from others.

A slot is a thread that drives one worker at a time. The queue decides which worker runs a task and in which order,
never what is run. Tasks that share a compilation stay together.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from .grouping import group_by_compilation
from .recipe import CaseOrRecipe

#: A share of fewer tasks is not split: half of it is not worth a second compilation.
MIN_TASKS_TO_STEAL = 4
#: While an adapter's speed is unknown, another worker is started only for this many tasks.
MIN_TASKS_TO_JOIN = 8

#: The slot number under which an adapter is marked as taken before its first slot has a share.
_CLAIMED = -1


@dataclass
class _AdapterTasks:
    """Tasks of one adapter: `groups` by compilation in no slot's share, `shares` by slot."""

    groups: deque[list[CaseOrRecipe]]
    shares: dict[int, deque[CaseOrRecipe]] = field(default_factory=dict)
    start_seconds: float | None = None
    task_seconds: float = 0.0
    ended: int = 0

    @property
    def available(self) -> int:
        """Tasks that another slot could take."""
        stealable = sum(len(share) for share in self.shares.values() if len(share) >= MIN_TASKS_TO_STEAL)
        return sum(len(group) for group in self.groups) + stealable

    @property
    def worth_joining(self) -> bool:
        """Whether the available tasks take longer than starting another worker."""
        if self.start_seconds is None or not self.ended:
            return self.available >= MIN_TASKS_TO_JOIN
        return self.available * self.task_seconds / self.ended > self.start_seconds


class WorkQueue:
    """The tasks of a plan that have not begun; thread-safe."""

    def __init__(
        self, cases: Mapping[str, Sequence[CaseOrRecipe]], places: Mapping[str, Hashable] | None = None
    ) -> None:
        """Tasks by the name of the adapter that is to run them.

        `places`: equal for adapters that share a process.
        """
        self._lock = threading.Lock()
        self._place = places or {name: name for name in cases}
        self._place_of_slot: dict[int, Hashable] = {}
        self._adapters = {
            name: _AdapterTasks(deque(group_by_compilation(chosen))) for name, chosen in cases.items() if chosen
        }

    def choose_adapter(self, slot: int, refused: Collection[str] = ()) -> tuple[str, bool] | None:
        """The adapter for an idle slot, and whether others serve it; None for none.

        A slot keeps to the adapters that its process can serve, then takes those of no other slot, then joins others.

        Args:
            slot: number of the slot.
            refused: adapters that this slot could not join.
        """
        with self._lock:
            unclaimed = [name for name, tasks in self._adapters.items() if tasks.groups and not tasks.shares]
            own = self._place_of_slot.pop(slot, None)
            taken = set(self._place_of_slot.values())
            first = [name for name in unclaimed if self._place[name] == own]
            first += [name for name in unclaimed if self._place[name] not in taken]
            if not first and sum(self._adapters[name].available for name in unclaimed) >= MIN_TASKS_TO_JOIN:
                first = unclaimed[-1:]
            if first:
                self._adapters[first[0]].shares[_CLAIMED] = deque()
                self._place_of_slot[slot] = self._place[first[0]]
                return first[0], False
            joinable = [
                (tasks.available, name)
                for name, tasks in self._adapters.items()
                if name not in refused and name not in unclaimed and tasks.worth_joining
            ]
            if not joinable:
                return None
            chosen = max(joinable)[1]
            self._place_of_slot[slot] = self._place[chosen]
            return chosen, True

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left that another slot could take."""
        with self._lock:
            return not any(tasks.available for tasks in self._adapters.values())

    def take(self, adapter: str, slot: int) -> CaseOrRecipe | None:
        """The next case of an adapter for a slot; None when there is none."""
        with self._lock:
            tasks = self._adapters[adapter]
            share = tasks.shares.setdefault(slot, deque())
            if not share and tasks.groups:
                share.extend(tasks.groups.popleft())
            if not share:
                largest = max(tasks.shares.values(), key=len)
                if len(largest) >= MIN_TASKS_TO_STEAL:
                    share.extendleft(largest.pop() for _ in range(len(largest) // 2))
            return share.popleft() if share else None

    def worker_started(self, adapter: str, seconds: float) -> None:
        """Note the time in which a worker loaded and ran its first task."""
        with self._lock:
            self._adapters[adapter].start_seconds = seconds

    def task_ended(self, adapter: str, seconds: float) -> None:
        """Note the time of a task."""
        with self._lock:
            self._adapters[adapter].task_seconds += seconds
            self._adapters[adapter].ended += 1
