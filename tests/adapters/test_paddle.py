"""The adapter of `paddle.nn.LSTM`, in a worker: Paddle must be imported before TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters import entry_named
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.workers.process import Worker

pytestmark = pytest.mark.framework("paddle")

CASES = [
    *lx.sweep(hidden=4, input=5, layers=[1, 2], directions=[1, 2], bias=["split", "single"], ragged=[False, True]),
    *lx.sweep(hidden=4, input=5, layers=[1, 2], directions=[1, 2], proj=3, ragged=[False, True]),
    *lx.sweep(hidden=4, input=5, layers=2, directions=2, gradients=True, proj=[0, 3], dtype=["float32", "float64"]),
    *lx.sweep(hidden=4, input=5, layers=2, gradients=True, ragged=True, returns="last"),
    *lx.sweep(hidden=4, input=5, layers=2, directions=2, gradients=True, ragged=True, states=False),
    *lx.sweep(hidden=1, input=1, steps=1, batch=1, states=False, gradients=[False, True]),
]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(entry_named("paddle")) as started:
        started.start()
        yield started


@pytest.mark.parametrize("case", CASES)
def test_the_stack_agrees(case: Case, worker: Worker) -> None:
    assert lx.judge(worker.run(case), case).verdict == "match"


def test_wrong_gradients_of_a_backward_direction_are_found(worker: Worker) -> None:
    case = Case.random(LSTMSpec(5, 4, bidirectional=True), ragged=True, gradients=True)
    verdict = lx.judge(worker.run(case), case)
    assert [row.quantity for row in verdict.rows if row.verdict != "match"] == ["grad:U"]


def test_with_a_projection_the_gradients_are_right(worker: Worker) -> None:
    case = Case.random(LSTMSpec(5, 4, bidirectional=True, proj_size=3), ragged=True, gradients=True)
    assert lx.judge(worker.run(case), case).verdict == "match"


def test_other_weights_are_a_mismatch(worker: Worker) -> None:
    spec = LSTMSpec(5, 4, num_layers=2, bidirectional=True)
    assert lx.judge(worker.run(Case.random(spec, seed=1)), Case.random(spec)).verdict == "mismatch"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Case.random(LSTMSpec(5, 4, bias="none")), "bias none: paddle.nn.LSTM ends the process"),
        (Case.random(LSTMSpec(5, 4, reverse=True)), "reverse: paddle.nn.LSTM reads backward only as half"),
        (Case.random(LSTMSpec(5, 4, peepholes=True)), "peepholes: paddle.nn.LSTM has none"),
        (Case.random(LSTMSpec(5, 4), precision="bfloat16"), "bfloat16: paddle.nn.LSTM cannot be built in it"),
    ],
    ids=["bias", "reverse", "peepholes", "bfloat16"],
)
def test_what_the_layer_lacks(case: Case, reason: str, worker: Worker) -> None:
    with pytest.raises(lx.Unsupported, match=reason):
        worker.run(case)
