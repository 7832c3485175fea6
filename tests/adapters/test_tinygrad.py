"""The adapter of tinygrad's `LSTMCell`, on the device that needs no compiler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters import entry_named
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.workers.process import Worker

pytestmark = pytest.mark.framework("tinygrad")

CASES = [
    *lx.sweep(hidden=3, input=2, steps=2, layers=2, directions=2, bias="single", ragged=True),
    *lx.sweep(hidden=3, input=2, steps=2, bias="none", dtype=["float64", "float16", "bfloat16"]),
    *lx.sweep(hidden=3, input=2, steps=2, gradients=True, states=False, ragged=True),
]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(entry_named("tinygrad")) as started:
        started.start()
        yield started


@pytest.mark.parametrize("case", CASES)
def test_the_loop_agrees(case: Case, worker: Worker) -> None:
    assert lx.judge(worker.run(case), case).verdict == "match"


def test_the_device_needs_no_compiler(worker: Worker) -> None:
    case = Case.random(LSTMSpec(1, 2), steps=1, batch=1)
    assert worker.run(case).environment["device"] == "PYTHON"


def test_other_weights_are_a_mismatch(worker: Worker) -> None:
    case = Case.random(LSTMSpec(1, 2), steps=2)
    other = Case.random(LSTMSpec(1, 2), steps=2, seed=1)
    assert lx.judge(worker.run(other), case).verdict == "mismatch"


def test_what_the_cell_lacks(worker: Worker) -> None:
    with pytest.raises(lx.Unsupported, match="proj_size: tinygrad's LSTMCell has no projection"):
        worker.run(Case.random(LSTMSpec(5, 4, proj_size=2)))


def test_gradients_of_a_stack_are_refused(worker: Worker) -> None:
    with pytest.raises(lx.Unsupported, match="gradients: those of a stack take minutes"):
        worker.run(Case.random(LSTMSpec(5, 4, num_layers=2), gradients=True))
