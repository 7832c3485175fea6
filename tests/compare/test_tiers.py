"""Low precisions have teeth: what decides is sharp, and honest kernels of every arithmetic pass it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import round_to
from lstm_xcheck.compare import judge, tiers
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import DECLARED, PROFILES, forward, profile_named, rougher_than, teacher_force

from ..helpers import ROOT, load_file

KERNELS = load_file(ROOT / "benchmarks" / "honest_kernels.py", "honest_kernels")
LOW = ("bfloat16", "float16")


def kernel(precision: str, **how: Any) -> Any:
    usual = {"sums": "blas", "add": "a + h + b + b_r", "sigmoid": "exp", "tanh": "library"}
    return KERNELS.Kernel(precision, **{**usual, **how})


def case_of(hidden: int, precision: str, **data: Any) -> Case:
    spec = LSTMSpec(input_size=64, hidden_size=hidden)
    return Case.random(spec, init="torch", steps=4, batch=2, seed=1, precision=precision, **data)


def wrong(case: Case, change: Callable[[dict[str, Any]], None]) -> Case:
    """The case with changed arrays of its only cell."""
    arrays = {name: np.array(array) for name, array in case.weights.layers[0][0].items()}
    change(arrays)
    return replace(case, weights=LSTMWeights(case.spec, ((CellWeights(**arrays),),), case.precision))


def scaled(name: str, factor: float) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name] * np.float32(factor)

    return change


MISTAKES = {
    "second bias dropped": scaled("b_r", 0.0),
    "first bias dropped": scaled("b", 0.0),
    "second bias doubled": scaled("b_r", 2.0),
    "W x 1.1": scaled("W", 1.1),
    "W x 0.9": scaled("W", 0.9),
    "U x 1.1": scaled("U", 1.1),
}


@pytest.mark.parametrize("hidden", [64, 256, 1024])
@pytest.mark.parametrize("precision", LOW)
def test_common_mistakes_are_proven_in_low_precisions(precision: str, hidden: int) -> None:
    case = case_of(hidden, precision)
    verdicts = {name: judge(KERNELS.run(wrong(case, change), kernel(precision)), case).verdict
                for name, change in MISTAKES.items()}  # fmt: skip
    assert verdicts == dict.fromkeys(MISTAKES, "mismatch")
    assert judge(KERNELS.run(case, kernel(precision)), case).verdict == "match"


@pytest.mark.parametrize(("precision", "factor"), [("bfloat16", 1.03), ("float16", 1.005), ("float32", 1.00001)])
@pytest.mark.parametrize("hidden", [64, 256])
def test_the_root_mean_square_sees_what_moves_everything_a_little(
    precision: str, factor: float, hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(hidden, precision)
    result = KERNELS.run(wrong(case, scaled("W", factor)), kernel(precision))
    verdict = judge(result, case)
    assert verdict.verdict != "match"
    assert {row.decided_by for row in verdict.rows} & {"rms", "8 sigma"}
    assert judge(KERNELS.run(case, kernel(precision)), case).verdict == "match"
    monkeypatch.setattr(tiers, "_RMS", np.inf)
    monkeypatch.setattr(tiers, "SIGMAS", np.inf)
    assert judge(result, case).verdict == "match"  # the worst case alone does not see it


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "tf32"])
def test_exact_operands_cost_nothing(precision: str) -> None:
    """Numbers of the format are not rounded as operands; others are, each for itself."""
    exact = case_of(16, "bfloat16")
    y, x = np.asarray(forward(exact).y), np.asarray(exact.x, np.float64)
    y = round_to(y, "bfloat16").astype(np.float64)
    profile = profile_named(precision)
    free = replace(profile, u_in=0.0)
    np.testing.assert_array_equal(
        teacher_force(exact, 0, 0, x, y, profile).y_bound, teacher_force(exact, 0, 0, x, y, free).y_bound
    )
    inexact = x.copy()
    inexact[0, 2, 5] *= 1.0 + 2.0**-12
    charged = teacher_force(exact, 0, 0, inexact, y, profile).y_bound
    plain = teacher_force(exact, 0, 0, inexact, y, free).y_bound
    assert (charged[0, 2] > plain[0, 2]).all()
    np.testing.assert_allclose(charged[1], plain[1], rtol=1e-3)  # of the widened slopes


@pytest.mark.parametrize("store", ["float16", "bfloat16"])
@pytest.mark.parametrize("sigmoid", KERNELS.SIGMOIDS)
def test_every_stored_sigmoid_is_within_its_own_error(store: str, sigmoid: str) -> None:
    bits = np.arange(65536, dtype=np.uint32)
    numbers = (bits << 16).view(np.float32) if store == "bfloat16" else bits.astype(np.uint16).view(np.float16)
    z = numbers[np.isfinite(numbers) & (np.abs(numbers.astype(np.float32)) < 80)].astype(np.float32)
    one = kernel(store, sigmoid=sigmoid)
    with np.errstate(all="ignore"):
        value = one.store(KERNELS.SIGMOIDS[sigmoid](z, one.store)).astype(np.float64)
    truth = 1.0 / (1.0 + np.exp(-z.astype(np.float64)))
    profile = PROFILES[store]
    allowed = np.minimum(1.5, 2.25 * truth + 0.5) * profile.u + profile.eta
    assert (np.abs(value - truth) <= allowed).all()


def test_sums_in_the_storage_precision_are_declared_and_never_assumed() -> None:
    assert all(profile.name not in DECLARED for name in PROFILES for profile in rougher_than(name))
    case = case_of(256, "bfloat16")
    result = KERNELS.run(case, kernel("bfloat16", sums="one by one", sigmoid="each operation stored", own=True))
    declared = judge(replace(result, computed_in="bfloat16-own"), case)
    assert declared.verdict == "match"
    dropped = KERNELS.run(
        wrong(case, MISTAKES["first bias dropped"]),
        kernel("bfloat16", sums="one by one", sigmoid="each operation stored", own=True),
    )
    assert judge(replace(dropped, computed_in="bfloat16-own"), case).verdict == "suspect"


def test_biases_that_cancel_are_no_objection() -> None:
    case = case_of(8, "float32")
    big = np.float32(300.0)

    def change(arrays: dict[str, Any]) -> None:
        arrays["b"], arrays["b_r"] = np.full_like(arrays["b"], big), arrays["b_r"] - big

    cancelling = wrong(case, change)
    for add in KERNELS.ADDS:
        assert judge(KERNELS.run(cancelling, kernel("float32", add=add)), cancelling).verdict == "match"


@pytest.mark.parametrize("seed", range(4))
def test_subnormals_of_float16_are_no_objection(seed: int) -> None:
    spec = LSTMSpec(input_size=5, hidden_size=8)
    case = Case.random(spec, init="tiny", steps=60, batch=2, seed=seed, precision="float16", scale=0.01)
    for sums in ("blas", "fused", "pairwise"):
        assert judge(KERNELS.run(case, kernel("float16", sums=sums)), case).verdict == "match"


def test_every_row_says_what_decided_it() -> None:
    case = case_of(8, "float32")
    honest = KERNELS.run(case, kernel("float32"))
    assert {row.decided_by for row in judge(honest, case).rows} <= {"worst case", "8 sigma", "rms"}
    moved = replace(honest, y=np.asarray(honest.y) + np.float32(0.1))
    rows = {row.quantity: row for row in judge(moved, case).rows}
    assert rows["y"].decided_by == "worst case"
    absent = judge(Result(y=np.zeros((1, 2, 3), np.float32)), case).rows[0]
    assert (absent.verdict, absent.decided_by) == ("mismatch", "")
