"""A sweep as users write one: every installed adapter, every case."""

from __future__ import annotations

import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters import entry_named
from lstm_xcheck.model import Case
from lstm_xcheck.pytest_toolkit import Toolkit
from lstm_xcheck.workers.process import Worker

pytestmark = pytest.mark.framework

CASES = [
    *lx.sweep(hidden=1, input=1, steps=5, batch=1, bias="single", states=False, returns=["sequence", "last"]),
    *lx.sweep(hidden=4, input=5, bias=["split", "none"], directions=[1, 2], ragged=[False, True]),
    *lx.sweep(hidden=4, input=4, layers=2, bias="single", directions=[1, 2]),
    *lx.sweep(hidden=4, input=5, gradients=True, bias=["split", "none"], ragged=[False, True]),
    *lx.sweep(hidden=3, input=4, gradients=True, layers=2, directions=2, ragged=True, returns="last"),
    *lx.sweep(hidden=3, input=4, gradients=True, states=False, dtype=["float64", "bfloat16"]),
]


@pytest.mark.parametrize("case", CASES)
def test_every_installed_adapter_agrees(case: Case, xcheck_adapter: str, lstm_xcheck: Toolkit) -> None:
    if xcheck_adapter == "paddle" and case.gradients and case.lengths is not None and case.spec.bidirectional:
        pytest.skip("the gradient of U is known to be wrong: see tests/adapters/test_paddle.py")
    lstm_xcheck.assert_agrees(case, [xcheck_adapter])


def test_the_registry_has_the_layout_of_each_adapter(xcheck_adapter: str, lstm_xcheck: Toolkit) -> None:
    entry = entry_named(xcheck_adapter)
    with Worker(entry) as worker:
        worker.start()
        assert worker.layout == (entry.layout or entry.name)


@pytest.mark.xcheck(adapters=["torch"])
def test_what_a_framework_lacks_is_no_agreement(xcheck_adapter: str, lstm_xcheck: Toolkit) -> None:
    spec = lx.LSTMSpec(input_size=2, hidden_size=3, peepholes=True)
    report = lstm_xcheck.verify(lx.Case.random(spec), [xcheck_adapter])
    assert not report.ok
    assert report.totals["unsupported"] == 1
