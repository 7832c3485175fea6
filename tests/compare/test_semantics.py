"""Length 0, held padding and merged directions: right values by hand, and what is judged a mismatch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array, round_to
from lstm_xcheck.compare import judge
from lstm_xcheck.compare.judge import judged_quantities
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward

SPEC = LSTMSpec(3, 4, num_layers=2)
BOTH = LSTMSpec(3, 4, num_layers=2, bidirectional=True)


def by_hand(case: Case, *, stale: bool = False) -> Result:
    """The equations one row and step at a time; `stale`: a row without a valid step loses its states."""
    spec = case.spec
    x = np.asarray(case.x, np.float64)
    h_n, c_n, outputs = [], [], []
    for layer, row in enumerate(case.weights.layers):
        halves = []
        for direction, cell in enumerate(row):
            W, U = np.asarray(cell.W, np.float64), np.asarray(cell.U, np.float64)
            h, c = case.initial("h0", layer, direction).copy(), case.initial("c0", layer, direction).copy()
            y = np.zeros((case.batch, case.steps, spec.hidden_size))
            for b in range(case.batch):
                kept = np.zeros(spec.hidden_size)
                for t in sorted(range(case.steps), reverse=direction == 1):
                    if case.valid[b, t]:
                        i, f, g, o = W @ x[b, t] + U @ h[b] + cell.total_bias
                        c[b] = c[b] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
                        h[b] = np.tanh(c[b]) / (1 + np.exp(-o))
                        kept = h[b]
                    y[b, t] = kept if case.padding == "held" or case.valid[b, t] else 0.0
                if stale and not case.valid[b].any():
                    h[b] = c[b] = 0.0
            halves.append(y)
            h_n.append(h)
            c_n.append(c)
        x = np.concatenate(halves, axis=-1)
        outputs.append(x)
    last = np.concatenate(h_n[-spec.num_directions :], axis=-1)
    return Result(y=x, h_n=np.stack(h_n), c_n=np.stack(c_n), last=last, layer_outputs=(outputs[0],))


def verdicts(result: Result, case: Case) -> dict[str, str]:
    rounded = {name: round_to(getattr(result, name), case.precision) for name in ("y", "h_n", "c_n", "last")}
    merged = None if result.merged is None else round_to(result.merged, case.precision)
    lower = tuple(round_to(y, case.precision) for y in result.layer_outputs)
    rows = judge(Result(**rounded, layer_outputs=lower, merged=merged), case).rows
    return {row.quantity: row.verdict for row in rows}


CASES: dict[str, dict[str, Any]] = {
    "length 0": {"ragged": "zero"},
    "empty row": {"mask": "empty"},
    "left": {"mask": "left"},
    "interior": {"mask": "interior"},
    "held lengths": {"ragged": "zero", "padding": "held"},
    "held left": {"mask": "left", "padding": "held"},
    "held interior": {"mask": "interior", "padding": "held"},
    "held empty row": {"mask": "empty", "padding": "held"},
}


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("spec", [SPEC, BOTH], ids=["forward", "both"])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_equations_by_hand_are_right(spec: LSTMSpec, options: dict[str, Any], precision: str) -> None:
    case = Case.random(spec, seed=2, precision=precision, **options)
    hand, oracle = by_hand(case), forward(case)
    for name in ("y", "h_n", "c_n", "last"):
        np.testing.assert_allclose(getattr(hand, name), getattr(oracle, name), rtol=0, atol=1e-12)
    assert set(verdicts(hand, case).values()) == {"match"}


@pytest.mark.parametrize("options", [{"ragged": "zero"}, {"mask": "empty"}], ids=str)
def test_lost_states_of_a_row_without_steps_are_a_mismatch(options: dict[str, Any]) -> None:
    case = Case.random(BOTH, **options)
    found = verdicts(by_hand(case, stale=True), case)
    assert found == {"layer0.y": "match", "y": "match"} | dict.fromkeys(("h_n", "c_n", "last"), "mismatch")


@pytest.mark.parametrize("mask", ["left", "interior"])
@pytest.mark.parametrize(("asked", "given"), [("held", "zero"), ("zero", "held")])
def test_the_other_padding_is_a_mismatch_of_outputs_alone(mask: str, asked: str, given: str) -> None:
    case = Case.random(BOTH, mask=mask, padding=asked)  # type: ignore[arg-type]
    found = verdicts(by_hand(replace(case, padding=given)), case)  # type: ignore[arg-type]
    assert found == {"layer0.y": "mismatch", "y": "mismatch"} | dict.fromkeys(("h_n", "c_n", "last"), "match")


def test_an_output_at_padding_must_repeat_to_the_bit() -> None:
    case = Case.random(SPEC, ragged=True, padding="held")
    right = by_hand(case)
    y = np.array(round_to(right.y, "float32"))  # type: ignore[arg-type]
    padded = np.argwhere(~case.valid)[0]
    for change, verdict in ((0.0, "match"), (1.0, "mismatch")):
        changed = y.copy()
        changed[tuple(padded)] = np.nextafter(y[tuple(padded)], np.float32(np.inf)) if change else y[tuple(padded)]
        rows, _ = judged_quantities(Result(y=changed, layer_outputs=right.layer_outputs), case)
        assert {row.quantity: row.verdict for row in rows}["y"] == verdict
    assert "outputs at padding should repeat the last valid one" in rows[-1].reason


MERGED = {
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
}


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("merge", MERGED)
def test_merged_halves_are_judged_within_one_rounding(merge: str, precision: str) -> None:
    case = Case.random(BOTH, merge=merge, precision=precision, steps=20)  # type: ignore[arg-type]
    y = np.asarray(round_to(forward(case).y, precision), np.float64)  # type: ignore[arg-type]
    exact = MERGED[merge](*np.split(y, 2, axis=-1))
    np.testing.assert_allclose(forward(case).merged, MERGED[merge](*np.split(forward(case).y, 2, axis=-1)), rtol=1e-15)  # type: ignore[arg-type]

    def verdict(merged: Array) -> str:
        return verdicts(replace(forward(case), merged=merged), case)["merged"]

    assert verdict(exact) == "match"
    roundoff = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}[precision]
    assert verdict(exact * (1.0 + 5.0 * roundoff)) == "mismatch"
    for other, combine in MERGED.items():
        if other != merge:
            assert verdict(combine(*np.split(y, 2, axis=-1))) == "mismatch"
    assert verdict(exact[:, ::-1]) == "mismatch"
    assert verdict(exact[..., :2]) == "mismatch"


def test_merged_halves_without_y_decide_nothing() -> None:
    case = Case.random(BOTH, merge="sum")
    (row,) = judge(Result(merged=forward(case).merged), case).rows
    assert row.verdict == "inconclusive"
    assert "y was not observed at every step" in row.reason


def test_merged_halves_that_nobody_asked_for_are_a_mismatch() -> None:
    case = Case.random(BOTH)
    merged = forward(replace(case, merge="sum", id="")).merged
    assert verdicts(replace(forward(case), merged=merged), case)["merged"] == "mismatch"
