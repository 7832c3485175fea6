"""The search: Hypothesis draws recipes and shrinks, warm workers run them.

Each recipe runs once and its verdict is kept. So shrinking is consistent even where an implementation answers
differently each time, and a search ends at once when its time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hypothesis import Phase, configuration, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from ..adapters import Entry
from ..compare import VerdictName
from ..engine import Recipe
from ..engine.task import failed_outcome, judged_outcome
from ..errors import AdapterError, Unsupported, WorkerCrashed
from ..events import Outcome
from ..model import Result
from ..workers.process import Worker
from ..workers.sharing import Workers
from .interrupt import kept_interrupts
from .supported_grid import SIMPLE, neighbours

#: Verdicts that the search looks for.
WRONG: tuple[VerdictName, ...] = ("mismatch", "suspect", "crashed")
#: Verdicts of a cell whose numbers were compared.
_COMPARED: tuple[VerdictName, ...] = ("match", "mismatch", "suspect")
#: Recipes that Hypothesis draws with one seed.
_ROUND = 200
#: Shrinking may take this long after the time of the search is up.
_LEAST_SHRINK_SECONDS = 20.0


@dataclass(frozen=True)
class Budget:
    """The limits of a search: seconds, and cases (0: no limit)."""

    seconds: float = 60.0
    examples: int = 0


@dataclass(frozen=True)
class Finding:
    """A disagreement, shrunk.

    Attributes:
        result: its answer; None for a crash.
        repeatable: whether a fresh process disagrees in the same way.
        examples: cases tried up to the first disagreement.
        shrinks: cases tried after it.
    """

    recipe: Recipe
    adapter: str
    outcome: Outcome
    result: Result | None
    repeatable: bool
    examples: int
    shrinks: int


class Wrong(NamedTuple):
    """An adapter's wrong answer to a case."""

    adapter: str
    outcome: Outcome
    result: Result | None

    @property
    def kind(self) -> tuple[str, VerdictName]:
        """Adapter and verdict; shrinking keeps both."""
        return self.adapter, self.outcome.verdict


@dataclass
class Search:
    """One search, deterministic by its seed until its time is up.

    Attributes:
        timeout: seconds for one case.
        progress: called with (cases tried, whether something has been found) after each case.
        asked: the cases tried so far, each with its wrong answer or None.
        compared: number of compared cells by adapter.
        unsupported: cases that an adapter does not support with its reasons, by adapter.
        supported: cases that an adapter supports of those that it was asked because it had refused all others.
    """

    entries: Sequence[Entry]
    strategy: SearchStrategy[Recipe]
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    timeout: float = 30.0
    progress: Callable[[int, bool], None] = lambda *_: None
    asked: dict[Recipe, Wrong | None] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    unsupported: dict[str, dict[Recipe, str]] = field(default_factory=dict)
    supported: dict[str, list[Recipe]] = field(default_factory=dict)
    _wanted: tuple[str, VerdictName] | None = None
    _before: int = 0
    _end: float = 0.0
    _workers: dict[str, Worker] = field(default_factory=dict)
    _interrupted: Callable[[], None] = lambda: None

    def run(self) -> Finding | None:
        """Search until something is found or the budget is used up."""
        with ExitStack() as stack, _no_files():
            workers = stack.enter_context(Workers(self.entries, timeout=self.timeout))
            for entry in self.entries:
                self._workers[entry.name] = workers[entry.name]
                try:
                    workers[entry.name].start()
                except WorkerCrashed as crash:
                    raise AdapterError(f"adapter {entry.name}: {crash}") from crash
            self._interrupted = stack.enter_context(kept_interrupts())
            self._end = time.monotonic() + self.budget.seconds
            recipe = self._smallest()
            for name in self.unsupported if recipe is None else ():
                if not self.compared[name]:
                    self._ask_simple_ones(name)
        return None if recipe is None else self._finding(recipe)

    def _smallest(self) -> Recipe | None:
        """Rounds of Hypothesis until one finds something or only repeats cases."""
        for number in range(1_000_000):
            before = len(self.asked)
            chosen = settings(
                max_examples=_ROUND,
                database=None,
                deadline=None,
                derandomize=False,
                phases=(Phase.generate, Phase.shrink),
            )
            try:
                return find(self.strategy, self._is_wrong, settings=chosen, random=Random(f"{self.seed}-{number}"))
            except NoSuchExample:
                if self._over() or len(self.asked) == before:
                    return None
        return None

    def _over(self) -> bool:
        if time.monotonic() >= self._end:
            return True
        return self._wanted is None and 0 < self.budget.examples <= len(self.asked)

    def _is_wrong(self, recipe: Recipe) -> bool:
        """Whether the case is wrong; while shrinking, wrong in the same way."""
        self._interrupted()
        if recipe not in self.asked:
            if self._over():
                return False
            self.asked[recipe] = self._ask(recipe)
            self.progress(len(self.asked), self._wanted is not None)
        found = self.asked[recipe]
        if found is not None and self._wanted is None:
            self._wanted, self._before = found.kind, len(self.asked)
            self._end = max(self._end, time.monotonic() + _LEAST_SHRINK_SECONDS)
        return found is not None and found.kind == self._wanted

    def _ask(self, recipe: Recipe) -> Wrong | None:
        """The first wrong answer; while shrinking, only that adapter runs."""
        names = list(self._workers) if self._wanted is None else [self._wanted[0]]
        for name in names:
            outcome, result = answered(self._workers[name], recipe)
            self.compared[name] = self.compared.get(name, 0) + (outcome.verdict in _COMPARED)
            if outcome.verdict == "unsupported":
                self.unsupported.setdefault(name, {})[recipe] = outcome.rows[0].reason
            if outcome.verdict in WRONG:
                return Wrong(name, outcome, result)
        return None

    def _ask_simple_ones(self, name: str) -> None:
        """Look for what an adapter supports that refused every case."""
        for near in (SIMPLE, None):
            start = near or next(iter(self.supported.get(name, ())), None)
            for recipe in neighbours(start) if start else ():
                outcome, _ = answered(self._workers[name], recipe)
                if outcome.verdict == "unsupported":
                    self.unsupported[name][recipe] = outcome.rows[0].reason
                else:
                    self.supported.setdefault(name, []).append(recipe)

    def _finding(self, recipe: Recipe) -> Finding:
        """The smallest case, run once more in a fresh process."""
        wrong = self.asked[recipe]
        assert wrong is not None
        with Worker(self._workers[wrong.adapter].entry, timeout=self.timeout) as worker:
            again, _ = answered(worker, recipe)
        repeatable = again.verdict == wrong.outcome.verdict
        tried = len(self.asked) - self._before
        return Finding(recipe, wrong.adapter, wrong.outcome, wrong.result, repeatable, self._before, tried)


def answered(worker: Worker, recipe: Recipe) -> tuple[Outcome, Result | None]:
    """The judged outcome of one case, not diagnosed, and the answer itself."""
    case, name = recipe.case(), worker.entry.name
    try:
        result = worker.run(case)
    except (Unsupported, WorkerCrashed) as reason:
        return failed_outcome(case.id, name, reason), None
    return judged_outcome(result, case, name, worker.layout, worker.seconds), result


@contextmanager
def _no_files() -> Iterator[None]:
    """Give Hypothesis a temporary folder for its files instead of the user's."""
    storage = configuration.storage_directory(intent_to_write=False)
    before: Any = getattr(storage, "path", storage)  # older versions return the path itself
    with TemporaryDirectory() as folder:
        configuration.set_hypothesis_home_dir(Path(folder))
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)
