"""An honest evaluation is never a mismatch, in whatever order it adds up; one with two gates exchanged is.

Cases are whatever the package's strategies draw: every regime of weights, lengths, states, directions, layers,
projections, and with unusual specs peepholes, clips, coupling and other activations.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_xcheck as lx

from .honest_lstm import evaluate

SIZES = {"max_hidden": 5, "max_input": 4, "max_steps": 5, "max_batch": 3, "max_layers": 2}
PROBES = lx.strategies.lstm_cases(init="probe", states=True, dtype=["float32", "float64"], **SIZES)  # type: ignore[arg-type]
UNUSUAL = lx.strategies.lstm_specs(max_hidden=5, max_input=4, max_layers=2, plain=False)
ORDERS = st.integers(0, 2**32)
EXCHANGES = ["figo", "gfio", "ofgi", "igfo", "iogf", "ifog"]


def test_exchanges_are_all_pairs_of_gates() -> None:
    pairs = {tuple(k for k in range(4) if order[k] != "ifgo"[k]) for order in EXCHANGES}
    assert pairs == set(combinations(range(4), 2))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["textbook", "unusual"])
def test_an_honest_evaluation_is_never_a_mismatch(kind: str, precision: str) -> None:
    verdicts: Counter[str] = Counter()
    specs = {} if kind == "textbook" else {"specs": UNUSUAL}

    @given(lx.strategies.lstm_cases(**specs, **SIZES, dtype=precision), ORDERS, st.booleans())  # type: ignore[arg-type]
    def sound(case: lx.Case, order: int, lower_outputs: bool) -> None:
        result = evaluate(case, order, lower_outputs=lower_outputs)
        assert result.y is not None and result.y.dtype == precision
        verdict = lx.judge(result, case)
        assert verdict.verdict != "mismatch", verdict
        verdicts[verdict.verdict] += 1

    sound()
    # A run whose lower layers were not observed may prove nothing, and a sum of few terms be a suspect.
    assert verdicts["match"] >= 0.8 * verdicts.total() > 0, verdicts


def test_orders_really_differ() -> None:
    case = lx.Case.random(lx.LSTMSpec(8, 8), init="normal")
    outputs = {np.asarray(evaluate(case, order).y).tobytes() for order in range(10)}
    assert len(outputs) == 10


@pytest.mark.parametrize("gates", EXCHANGES)
@given(PROBES, ORDERS)
def test_two_gates_exchanged_are_a_mismatch(gates: str, case: lx.Case, order: int) -> None:
    """The mutant: on designed probes the same evaluator with a wrong gate order is found out, whatever the order."""
    assert lx.judge(evaluate(case, order, gates), case).verdict == "mismatch"
