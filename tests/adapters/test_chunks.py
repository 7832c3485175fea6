"""Cases of several calls and options that are refused, with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.adapters.chunks import pieces
from lstm_xcheck.adapters.function import call_function
from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.arrays import round_to
from lstm_xcheck.compare import judge
from lstm_xcheck.engine.task import judged_outcome
from lstm_xcheck.errors import AdapterError, Unsupported
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward

from ..engine.faulty_adapters import Honest

SPEC = LSTMSpec(3, 4)
CHUNKS = ("halves", "steps", "rows", "twice", "after-another")


class Counting(Honest):
    """Counts its builds and loads, and keeps the cases it runs."""

    def __init__(self, change: Callable[[Counting, Case, Result], Result] = lambda _, __, result: result) -> None:
        super().__init__("counting")
        self.built = self.loaded = 0
        self.asked: list[Case] = []
        self._change = change

    def build(self, spec: LSTMSpec, precision: str) -> dict[str, Any]:
        self.built += 1
        return super().build(spec, precision)

    def load(self, model: dict[str, Any], arrays: Any) -> None:
        self.loaded += 1
        super().load(model, arrays)

    def run(self, model: dict[str, Any], case: Case) -> Result:
        self.asked.append(case)
        return self._change(self, case, super().run(model, case))


def verdict(adapter: Counting, case: Case) -> str:
    return judge(Session(adapter).execute(case), case, layout="torch").verdict


@pytest.mark.parametrize("ragged", [False, True, "zero"])
@pytest.mark.parametrize(
    ("chunks", "calls"), [("halves", 2), ("steps", 7), ("rows", 3), ("twice", 2), ("after-another", 2)]
)
def test_calls_of_one_model_make_one_result(chunks: Any, calls: int, ragged: Any) -> None:
    adapter, case = Counting(), Case.random(SPEC, chunks=chunks, ragged=ragged)
    assert verdict(adapter, case) == "match"
    assert (adapter.built, adapter.loaded, len(adapter.asked)) == (1, 1, calls)
    assert not any(asked.chunks for asked in adapter.asked)


def test_pieces_are_cut_as_they_are_called() -> None:
    case = replace(Case.random(SPEC, steps=5), lengths=[5, 2, 3], id="")
    lengths = {chunks: [piece.lengths.tolist() for piece in pieces(replace(case, chunks=chunks))] for chunks in CHUNKS}  # type: ignore[union-attr]
    assert lengths == {
        "halves": [[2, 2, 2], [3, 0, 1]],
        "steps": [[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 0], [1, 0, 0]],
        "rows": [[5], [2], [3]],
        "twice": [[5, 2, 3]] * 2,
        "after-another": [[5, 2, 3]] * 2,
    }
    other, same = pieces(replace(case, chunks="after-another"))
    assert same.fingerprint == case.fingerprint
    assert not np.isclose(other.x, case.x).any()


def test_a_stack_and_what_it_returns_are_joined() -> None:
    spec = LSTMSpec(3, 4, num_layers=3)
    for chunks in CHUNKS:
        case = Case.random(spec, chunks=chunks, returns="last", ragged=True)  # type: ignore[arg-type]
        result = call_function(_answer, case)
        assert len(result.layer_outputs) == 2
        for name in ("y", "h_n", "c_n", "last"):
            np.testing.assert_allclose(getattr(result, name), getattr(forward(case), name), rtol=0, atol=1e-6)


def _answer(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Result:
    found = forward(Case(weights, x, h0=h0, c0=c0, lengths=lengths))
    arrays = {name: round_to(getattr(found, name), "float32") for name in ("y", "h_n", "c_n", "last")}
    return Result(**arrays, layer_outputs=tuple(round_to(y, "float32") for y in found.layer_outputs))


def _leaky(adapter: Counting, case: Case, result: Result) -> Result:
    """The second call starts from the states of the first, as a stateful layer does."""
    if len(adapter.asked) < 2 or case.h0 is not None:
        return result
    first = Honest("first").run(adapter.model, adapter.asked[-2])  # type: ignore[attr-defined]
    return Honest("second").run(adapter.model, replace(case, h0=first.h_n, c0=first.c_n))  # type: ignore[attr-defined]


@pytest.mark.parametrize("chunks", ["twice", "after-another"])
def test_states_that_leak_into_the_next_call_are_a_mismatch(chunks: Any) -> None:
    class Stateful(Counting):
        def run(self, model: dict[str, Any], case: Case) -> Result:
            self.model = model
            return super().run(model, case)

    case = Case.random(SPEC, chunks=chunks, states=False)
    assert verdict(Stateful(), case) == "match"
    assert verdict(Stateful(_leaky), case) == "mismatch"
    assert verdict(Stateful(_leaky), replace(case, chunks="")) == "match"


@pytest.mark.parametrize("chunks", ["halves", "steps"])
@pytest.mark.parametrize("name", ["h_n", "c_n"])
def test_a_wrong_final_state_shows_in_the_next_call(chunks: Any, name: str) -> None:
    def lost(adapter: Counting, case: Case, result: Result) -> Result:
        return replace(result, **{name: np.zeros_like(getattr(result, name))}) if len(adapter.asked) == 1 else result

    assert verdict(Counting(lost), Case.random(SPEC, chunks=chunks)) == "mismatch"


def test_rows_that_depend_on_the_batch_are_a_mismatch() -> None:
    def averaged(_: Counting, case: Case, result: Result) -> Result:
        assert result.y is not None
        return replace(result, y=result.y * np.float32(1.0 if case.batch > 1 else 1.001))

    assert verdict(Counting(averaged), Case.random(SPEC)) == "match"
    assert verdict(Counting(averaged), Case.random(SPEC, chunks="rows")) == "mismatch"


def test_states_that_cannot_be_carried_are_reported() -> None:
    case = Case.random(SPEC, chunks="halves")
    without = Counting(lambda _, __, result: replace(result, c_n=None))
    with pytest.raises(Unsupported, match="chunks: no c_n is returned that a second call could start from"):
        Session(without).execute(case)
    wild = Counting(lambda _, __, result: replace(result, h_n=np.full_like(result.h_n, np.nan)))  # type: ignore[arg-type]
    with pytest.raises(AdapterError, match="call 1 of 2 ends with NaN or infinity in h_n"):
        Session(wild).execute(case)


def test_what_a_piece_cannot_do_the_case_cannot() -> None:
    class NoLengthZero(Counting):
        def unsupported(self, case: Case) -> str | None:
            return "length 0: not here" if case.lengths is not None and not case.lengths.all() else None

    case = replace(Case.random(SPEC, steps=4), lengths=[4, 2, 4], chunks="halves", id="")
    adapter = NoLengthZero()
    with pytest.raises(Unsupported, match="length 0: not here"):
        Session(adapter).execute(case)
    assert adapter.asked == []


OPTIONS: dict[str, dict[str, Any]] = {
    "held": {"padding": "held", "ragged": True},
    "merge": {"merge": "ave"},
    "time-major": {"call": "time-major"},
    "unbatched": {"call": "unbatched", "batch": 1},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_what_an_adapter_does_not_name_is_not_asked_of_it(option: str) -> None:
    class Both(Counting):
        def unsupported(self, case: Case) -> str | None:
            return None

    spec = replace(SPEC, bidirectional=option == "merge")
    case = Case.random(spec, **OPTIONS[option])
    adapter = Both()
    with pytest.raises(Unsupported, match=f"^{option}: counting does not ask its framework for "):
        Session(adapter).execute(case)
    assert (adapter.built, adapter.asked) == (0, [])
    adapter.options = frozenset({option})  # type: ignore[attr-defined]
    assert Session(adapter).refusal(case) is None
    with pytest.raises(Unsupported, match=f"^{option}: a function of the user does not ask its framework for "):
        call_function(lambda *_: pytest.fail("it was called"), case)


def test_merged_halves_that_are_missing_are_a_mismatch() -> None:
    case = Case.random(replace(SPEC, bidirectional=True), merge="sum")
    for merged, verdict in ((forward(case).merged, "match"), (None, "mismatch")):
        rows = judged_outcome(replace(forward(case), merged=merged), case, "mine", "torch").rows
        assert {row.quantity: row.verdict for row in rows}["merged"] == verdict
