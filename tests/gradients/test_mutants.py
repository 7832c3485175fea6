"""Wrong gradients are mismatches in their rows; honest ones never are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare import judge
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.model.initializers import INITIALIZERS

from .plain_loop import detached, run_loop

pytestmark = pytest.mark.framework

SIZES = {"small": (5, 4, 7, 3), "square": (6, 6, 6, 6), "long": (3, 8, 40, 2)}
SEEDS = range(2)


def case_of(size: str, seed: int, precision: str = "float32", init: str = "probe") -> Case:
    inputs, hidden, steps, batch = SIZES[size]
    return Case.random(
        LSTMSpec(inputs, hidden, bias="single"), steps=steps, batch=batch, seed=seed, init=init, precision=precision,
        gradients=True,
    )  # fmt: skip


def changed(result: Result, name: str, change: Callable[[Array], Array]) -> Result:
    return replace(result, gradients={**result.gradients, name: change(np.array(result.gradients[name]))})


def wrong_rows(result: Result, case: Case) -> set[str]:
    rows = judge(result, case).rows
    assert not {row.quantity for row in rows if row.verdict not in ("match", "mismatch")}, rows
    return {row.quantity for row in rows if row.verdict == "mismatch"}


def transposed(array: Array) -> Array:
    return np.ascontiguousarray(array.swapaxes(-1, -2))


#: Name -> (gradient, change, the row that must be a mismatch).
WRONG: dict[str, tuple[str, Callable[[Array], Array], str]] = {
    "gates-of-W-as-onnx": ("0.0.W", lambda a: a[[0, 3, 1, 2]], "grad:W"),
    "gates-of-U-i-f-exchanged": ("0.0.U", lambda a: a[[1, 0, 2, 3]], "grad:U"),
    "gates-of-b-g-o-exchanged": ("0.0.b", lambda a: a[[0, 1, 3, 2]], "grad:b"),
    "b-doubled": ("0.0.b", lambda a: 2 * a, "grad:b"),
    "U-transposed": ("0.0.U", transposed, "grad:U"),
    "W-mean-over-batch": ("0.0.W", lambda a: a / 3, "grad:W"),
    "W-of-opposite-sign": ("0.0.W", lambda a: -a, "grad:W"),
    "x-reversed-in-time": ("x", lambda a: a[:, ::-1], "grad:x"),
    "x-rows-rolled": ("x", lambda a: np.roll(a, 1, axis=0), "grad:x"),
    "h0-missing": ("h0", np.zeros_like, "grad:h0"),
    "c0-missing": ("c0", np.zeros_like, "grad:c0"),
    "one-element-off": ("0.0.U", lambda a: a + np.eye(4)[0][:, None, None] * 1e-3, "grad:U"),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_is_a_mismatch_in_its_row_only(name: str, size: str, seed: int) -> None:
    case = case_of(size, seed)
    gradient, change, row = WRONG[name]
    assert wrong_rows(changed(run_loop(case), gradient, change), case) == {row}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("states", "rows"),
    [
        ({"h": detached, "c": detached}, {"grad:W", "grad:U", "grad:b", "grad:x", "grad:h0", "grad:c0"}),
        ({"h": detached, "c": detached, "steps": 3}, {"grad:W", "grad:U", "grad:b", "grad:x", "grad:h0", "grad:c0"}),
        ({"c": detached}, {"grad:W", "grad:U", "grad:b", "grad:x", "grad:h0", "grad:c0"}),
        ({"h": detached}, {"grad:W", "grad:U", "grad:b", "grad:x", "grad:h0", "grad:c0"}),
        ({"output_c": detached}, {"grad:W", "grad:U", "grad:b", "grad:x", "grad:h0", "grad:c0"}),
    ],
    ids=["truncated", "truncated-every-3", "no-path-through-c", "no-path-through-h", "no-output-through-c"],
)
def test_a_detached_path_is_a_mismatch_in_all_rows(
    states: dict[str, Callable[..., object]], rows: set[str], size: str, seed: int
) -> None:
    case = case_of(size, seed)
    result = run_loop(case, **states)  # type: ignore[arg-type]
    assert wrong_rows(result, case) == rows


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("init", INITIALIZERS)
@pytest.mark.parametrize("size", SIZES)
def test_an_honest_gradient_is_a_match(size: str, init: str, precision: str) -> None:
    for seed in range(4):
        case = case_of(size, seed, precision, init)
        verdict = judge(run_loop(case), case)
        assert verdict.verdict == "match", [row for row in verdict.rows if row.verdict != "match"]
        assert [row.quantity for row in verdict.rows][3:] == [
            "grad:W", "grad:U", "grad:b", "grad:x", "grad:h0", "grad:c0",
        ]  # fmt: skip


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_a_mismatch(bad: float) -> None:
    case = case_of("small", 0)
    result = changed(run_loop(case), "0.0.W", lambda a: np.where(np.arange(a.size).reshape(a.shape) == 7, bad, a))
    (row,) = [row for row in judge(result, case).rows if row.verdict == "mismatch"]
    assert (row.quantity, row.worst) == ("grad:W", (0, 0, *np.unravel_index(7, (4, 4, 5))))


def test_requested_gradients_that_are_missing_are_mismatches() -> None:
    case = case_of("small", 0)
    assert len(wrong_rows(replace(run_loop(case), gradients={}), case)) == 6
    kept = {name: array for name, array in run_loop(case).gradients.items() if name != "c0"}
    assert wrong_rows(replace(run_loop(case), gradients=kept), case) == {"grad:c0"}


def test_gradients_that_were_not_requested_are_judged_as_far_as_given() -> None:
    case = case_of("small", 0)
    silent = replace(case, gradients=False)
    given = {"x": run_loop(case).gradients["x"], "0.0.b": 2 * run_loop(case).gradients["0.0.b"]}
    rows = {row.quantity: row.verdict for row in judge(replace(run_loop(case), gradients=given), silent).rows}
    assert rows == {"y": "match", "h_n": "match", "c_n": "match", "grad:b": "mismatch", "grad:x": "match"}
    none = judge(replace(run_loop(case), gradients={}), silent)
    assert [row.quantity for row in none.rows] == ["y", "h_n", "c_n"]


def test_a_gradient_of_an_unknown_array_or_wrong_shape_is_a_mismatch() -> None:
    case = case_of("small", 0)
    extra = {**run_loop(case).gradients, "1.0.W": np.zeros((4, 4, 4)), "c0": np.zeros((1, 3, 5))}
    rows = {row.quantity: row for row in judge(replace(run_loop(case), gradients=extra), case).rows}
    assert "no such array" in rows["grad:W"].reason
    assert "(1, 3, 5), but should be (1, 3, 4)" in rows["grad:c0"].reason


def test_a_lower_precision_of_only_the_gradients_is_named() -> None:
    case = case_of("small", 0)
    result = run_loop(case)
    rough = {name: array.astype(np.float16).astype(np.float32) for name, array in result.gradients.items()}
    wrong = [row for row in judge(replace(result, gradients=rough), case).rows if row.verdict != "match"]
    assert len(wrong) == 6
    assert all("in float16 instead of float32 would explain them all" in row.reason for row in wrong)


def test_noise_of_gradients_is_no_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    case, rng = case_of("small", 0), np.random.default_rng(1)
    result = run_loop(case)
    noisy = {
        name: (array * (1 + 1e-4 * rng.standard_normal(array.shape))).astype(np.float32)
        for name, array in result.gradients.items()
    }

    def remarks() -> bool:
        rows = judge(replace(result, gradients=noisy), case).rows
        assert sum(row.verdict == "mismatch" for row in rows) == 6
        return any("would explain" in row.reason for row in rows)

    assert not remarks()
    of_gradients = importlib.import_module("lstm_xcheck.compare.gradients")
    monkeypatch.setattr(of_gradients, "are_stored_in", lambda observed, precision: True)
    assert remarks()


def test_without_the_outputs_of_every_step_gradients_are_inconclusive() -> None:
    case = case_of("small", 0)
    rows = judge(replace(run_loop(case), y=None), case).rows
    assert {row.verdict for row in rows if row.quantity.startswith("grad:")} == {"inconclusive"}


def test_numbers_near_the_largest_are_inconclusive() -> None:
    case = replace(case_of("small", 0), x=1e38 * np.sign(case_of("small", 0).x), id="")
    rows = judge(run_loop(case), case).rows
    assert {row.verdict for row in rows if row.quantity.startswith("grad:")} == {"inconclusive"}
