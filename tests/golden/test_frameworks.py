"""Real frameworks in float64 against numbers from other projects' tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import entry_named, load_adapter
from lstm_xcheck.arrays import Array
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.oracle import forward
from lstm_xcheck.workers.process import Worker

from .corpus import UNSET, Inexpressible, folder, golden_names, load
from .expectations import Ask, answers
from .known import RUN, is_known_corpus

pytestmark = [pytest.mark.framework, pytest.mark.skipif(folder() is None, reason=UNSET)]


@pytest.mark.parametrize(
    "adapter", ["torch", *(pytest.param(name, marks=pytest.mark.slow) for name in RUN if name != "torch")]
)
def test_every_number_agrees(adapter: str) -> None:
    """All cases in one worker; in the known corpus a missing case would change the total."""
    ran, left_out, wrong = 0, Counter[str](), []
    with _asking(adapter) as ask:
        for name in golden_names():
            try:
                disagreements = list(_disagreements(name, ask))
            except (Inexpressible, Unsupported) as reason:
                left_out[str(reason).partition(":")[0]] += 1
                continue
            ran += 1
            wrong += disagreements
    assert not wrong, "\n".join(wrong)
    summary = f"{ran} cases ran and {left_out.total()} were left out: {dict(left_out)}"
    if is_known_corpus():
        assert ran == RUN[adapter], summary
    elif not ran:
        pytest.skip(summary)


@contextmanager
def _asking(adapter: str) -> Iterator[Ask]:
    """PyTorch in this process, slower imports in a worker."""
    entry = entry_named(adapter)
    if entry.missing():
        pytest.skip(f"{adapter} needs {', '.join(entry.missing())}; run: pip install '{entry.install}'")
    if adapter == "torch":
        yield Session(load_adapter(entry.target, entry.name)).execute
    else:
        with Worker(entry) as worker:
            yield worker.run


def _disagreements(name: str, ask: Ask) -> Iterator[str]:
    """Numbers beyond 1e-6 plus 1.5 times the error of the oracle."""
    golden = load(name)
    exact = {q.label: answer for q, answer in answers(golden, forward) if not isinstance(answer, Inexpressible)}
    if not exact:
        raise Inexpressible("training: no number of this case is that of an untrained LSTM")
    for quantity, computed in answers(golden, ask):
        if isinstance(computed, Inexpressible):
            continue
        error = np.abs(computed - quantity.values)
        excess = error - (1e-6 + 1.5 * np.abs(exact.pop(quantity.label) - quantity.values))
        if not (excess <= 0).all():
            yield f"{name}/{quantity.label}{_worst(excess)}: off by {error[_worst(excess)]:.3g}"
    yield from (f"{name}/{label}: not answered" for label in exact)


def _worst(excess: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.nanargmax(excess)), excess.shape))
