"""Real frameworks against numbers from other projects' tests.

Each adapter is asked in float64, and in float32 where it has no float64. Every answer is judged, and the numbers of the
source must be near, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters.registry import entry_named
from lstm_xcheck.adapters.table import BUILT_IN
from lstm_xcheck.arrays import Array
from lstm_xcheck.errors import Unsupported, WorkerCrashed
from lstm_xcheck.oracle import forward, profile_named
from lstm_xcheck.workers.process import Worker
from lstm_xcheck.workers.sharing import Workers

from .corpus import UNSET, Golden, Inexpressible, folder, golden_names, load
from .expectations import answers
from .frameworks import DIVERGENCES, EVERY, MOST_COMPILED_STEPS, RUN
from .known import is_known_corpus
from .limits import STRICT

pytestmark = [pytest.mark.framework, pytest.mark.skipif(folder() is None, reason=UNSET)]

#: Errors in units of rounding that a prediction, made of many outputs, may have beside the error of the oracle.
UNITS = 64.0

ADAPTERS = [pytest.param(e.name, marks=pytest.mark.slow) if e.compiles else e.name for e in BUILT_IN]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Adapters of a family in one process, each process started when it is first asked."""
    with Workers(BUILT_IN, timeout=300.0) as started:
        yield started


@dataclass
class Asked:
    """One adapter, asked for one golden case, and what was wrong with its answers."""

    worker: Worker
    precision: str = "float64"
    computed_in: str = ""
    wrong: list[str] = field(default_factory=list)

    def __call__(self, case: lx.Case) -> lx.Result:
        """Run and judge, in float32 where float64 is refused."""
        try:
            result = self.worker.run(replace(case, precision=self.precision))
        except Unsupported:
            if self.precision == "float32":
                raise
            self.precision = "float32"
            return self(case)
        self.computed_in = result.computed_in or self.precision
        verdict = lx.judge(result, replace(case, precision=self.precision))
        if verdict.verdict != "match":
            self.wrong += [f"{row.verdict}: {row.reason}" for row in verdict.rows if row.verdict != "match"]
        return result

    def exactly(self, case: lx.Case) -> lx.Result:
        """The oracle on the same numbers."""
        return forward(replace(case, precision=self.precision))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_number_agrees(adapter: str, workers: Workers) -> None:
    """All cases in one worker; in the known corpus a missing case would change the total."""
    entry = entry_named(adapter)
    if entry.missing():
        pytest.skip(f"{adapter} needs {', '.join(entry.missing())}; run: pip install '{entry.install}'")
    ran, left_out, wrong = 0, Counter[str](), dict[str, str]()
    for name in golden_names()[:: EVERY.get(adapter, 1)]:
        try:
            golden = load(name)
            if entry.compiles and golden.case.steps > MOST_COMPILED_STEPS:
                left_out["it compiles for minutes"] += 1
                continue
            found = _wrong(golden, Asked(workers[adapter]))
        except (Inexpressible, Unsupported) as reason:
            left_out[str(reason)] += 1
            continue
        ran += 1
        if found:
            wrong[name] = "; ".join(found)[:400]
    listed = {name for names in DIVERGENCES.get(adapter, {}).values() for name in names}
    assert set(wrong) == listed & set(golden_names()), "\n".join(f"{name}: {text}" for name, text in wrong.items())
    assert all(len(reason.split()) > 1 for reason in left_out), left_out
    summary = f"{ran} cases ran and {left_out.total()} were left out: {dict(left_out)}"
    if is_known_corpus():
        assert ran == RUN[adapter], summary
    elif not ran:
        pytest.skip(summary)


def _wrong(golden: Golden, ask: Asked) -> list[str]:
    """What is wrong with an adapter's answers, by the judge and by the source's numbers."""
    try:
        computed = [(q, answer) for q, answer in answers(golden, ask) if not isinstance(answer, Inexpressible)]
    except WorkerCrashed as crash:
        return [*ask.wrong, f"crashed: {crash}"]
    if not computed:
        raise Inexpressible("training: no number of this case is that of an untrained LSTM")
    exact = {q.label: answer for q, answer in answers(golden, ask.exactly) if not isinstance(answer, Inexpressible)}
    far = []
    for quantity, answer in computed:
        error, size = np.abs(answer - quantity.values), np.maximum(1.0, np.abs(quantity.values))
        honest = max(STRICT, UNITS * profile_named(ask.computed_in).u) * size
        excess = error - honest - 1.5 * np.abs(exact.pop(quantity.label) - quantity.values)
        if not (excess <= 0).all():
            far.append(f"{quantity.label}{_worst(excess)}: off by {error[_worst(excess)]:.3g}")
    return [*ask.wrong, *far, *(f"{label}: not answered" for label in exact)]


def _worst(excess: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.nanargmax(excess)), excess.shape))
