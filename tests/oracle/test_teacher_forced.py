"""The error bound covers every honest computation and is not too wide."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import PROFILES, Profile, TeacherForced, error_bounds, forward, teacher_force, teacher_forced

from .emulate import ORDERS, emulate
from .specs import NAMES, case_named, constant_case
from .test_forward import teacher_force_all

PRECISIONS = ("float64", "float32", "float16", "bfloat16")


def largest_score(case: Case, result: Result, profile: str) -> float:
    """The largest error / bound over y, h, c, layers and directions."""
    assert result.y is not None
    assert result.h_n is not None
    assert result.c_n is not None
    outputs, width, scores = [*result.layer_outputs, result.y], case.spec.output_size, [0.0]
    for row, (_, forced) in enumerate(teacher_force_all(case, result, profile)):
        layer, direction = divmod(row, case.spec.num_directions)
        half = outputs[layer][..., direction * width : (direction + 1) * width]
        pairs = (
            (half, forced.y, forced.y_bound),
            (result.h_n[row], forced.h, forced.h_bound),
            (result.c_n[row], forced.c, forced.c_bound),
        )
        for observed, value, bound in pairs:
            error = np.abs(observed - value)
            assert (error[bound == 0.0] == 0.0).all(), "error where none is allowed"
            scores.append(float((error[bound > 0.0] / bound[bound > 0.0]).max(initial=0.0)))
    return max(scores)


@pytest.mark.parametrize("order", ["sequential", "reversed", "pairwise"])
@pytest.mark.parametrize("name", NAMES)
def test_every_order_of_summation_is_within_the_bound(name: str, order: str) -> None:
    case = case_named(name, steps=6)
    score = largest_score(case, emulate(case, order), "float32")
    assert 0.0 < score <= 1.0


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("init", ["positive", "chaos8", "saturated", "longmem", "tiny", "outliers", "keras"])
def test_extreme_regimes_are_within_the_bound(init: str, order: str) -> None:
    spec = LSTMSpec(input_size=9, hidden_size=24)
    case = Case.random(spec, steps=30, batch=2, seed=1, init=init)
    assert largest_score(case, emulate(case, order), "float32") <= 1.0


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("weight", "x"), [(0.1, 1.1), (0.013, 1.7), (-0.02, 1.3), (0.003, 1.0)])
def test_equal_terms_are_within_the_bound(weight: float, x: float, order: str) -> None:
    """All roundings have the same sign: the worst case must cover them."""
    case = constant_case(weight, x, hidden=40, inputs=60)
    assert largest_score(case, emulate(case, order), "float32") <= 1.0


@pytest.mark.parametrize("order", ["sequential", "tanh-sigmoid"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["plain", "stack", "projection", "peepholes-stack-bidirectional", "all-options"])
def test_every_profile_bounds_its_arithmetic(name: str, precision: str, order: str) -> None:
    case = case_named(name, steps=8, precision=precision)
    score = largest_score(case, emulate(case, order, precision), precision)
    assert 0.0 < score <= 1.0


@pytest.mark.parametrize(
    ("computed", "judged"), [("float32", "float64"), ("float16", "float32"), ("bfloat16", "float32")]
)
def test_lower_precision_is_far_outside(computed: str, judged: str) -> None:
    case = case_named("plain", steps=12, precision=computed)
    assert largest_score(case, emulate(case, "sequential", computed), judged) > 50.0


def bounds(forced: TeacherForced) -> dict[str, np.ndarray]:
    return {f.name: getattr(forced, f.name) for f in fields(forced) if f.name.endswith("_bound")}


def assert_wider(wide: TeacherForced, narrow: TeacherForced) -> None:
    for name, array in bounds(wide).items():
        assert (array >= bounds(narrow)[name]).all(), f"{name} shrank"
    assert any((array > bounds(narrow)[name]).any() for name, array in bounds(wide).items())


def observed_case(name: str) -> tuple[Case, np.ndarray, np.ndarray]:
    case = case_named(name, steps=8)
    result = forward(case)
    assert result.y is not None
    return case, np.asarray(case.x, np.float64), result.y


@pytest.mark.parametrize("name", ["plain-lengths", "peepholes", "projection", "cell-clip", "coupled-i"])
@pytest.mark.parametrize("field", ["u", "u_sum", "u_in", "eta", "tanh_absolute"])
def test_a_lower_precision_never_narrows_the_bound(name: str, field: str) -> None:
    case, x, y = observed_case(name)
    base = PROFILES["float32"]
    increase = {"u_in": 2.0**-11, "tanh_absolute": 4.0, "eta": 2.0**-30}.get(field, 2.0 * getattr(base, field))
    lower: Profile = replace(base, **{field: increase})
    assert_wider(teacher_force(case, 0, 0, x, y, lower), teacher_force(case, 0, 0, x, y, base))


def test_an_uncertain_input_widens_the_bound_and_covers_the_shift() -> None:
    case, x, y = observed_case("plain")
    profile, shift = PROFILES["float32"], 1e-3
    certain = teacher_force(case, 0, 0, x, y, profile)
    uncertain = teacher_force(case, 0, 0, x, y, profile, dx=np.full_like(x, shift))
    assert_wider(uncertain, certain)
    for sign in (1.0, -1.0):
        moved = teacher_force(case, 0, 0, x + sign * shift, y, profile)
        assert (np.abs(moved.y - uncertain.y) <= uncertain.y_bound).all()
        assert (np.abs(moved.c - uncertain.c) <= uncertain.c_bound).all()


@pytest.mark.parametrize("name", ["plain", "plain-lengths", "peepholes", "projection", "bidirectional"])
def test_the_bound_of_a_free_run_is_wider_and_covers_honest_runs(name: str) -> None:
    case, x, y = observed_case(name)
    width, profile = case.spec.output_size, PROFILES["float32"]
    honest = [emulate(case, order) for order in ORDERS]
    for direction in range(case.spec.num_directions):
        half = slice(direction * width, (direction + 1) * width)
        free = teacher_force(case, 0, direction, x, None, profile)
        assert_wider(free, teacher_force(case, 0, direction, x, y[..., half], profile))
        for result in honest:
            assert result.y is not None
            assert (np.abs(result.y[..., half] - free.y) <= free.y_bound).all()


@pytest.mark.parametrize("order", ORDERS)
def test_the_bound_grows_over_unobserved_outputs(order: str) -> None:
    case = case_named("plain-lengths", steps=12)
    x, profile, result = np.asarray(case.x, np.float64), PROFILES["float32"], emulate(case, order)
    assert result.y is not None
    observed = result.y.copy()
    observed[:, 3:8] = np.nan
    partly, fully = (teacher_force(case, 0, 0, x, outputs, profile) for outputs in (observed, result.y))
    assert (np.abs(result.y - partly.y) <= partly.y_bound).all()
    later = result.y.copy()
    later[:, 10:] = np.nan
    elsewhere = teacher_force(case, 0, 0, x, later, profile)
    np.testing.assert_allclose(partly.y_bound[:, :4], elsewhere.y_bound[:, :4], rtol=1e-12)
    np.testing.assert_allclose(partly.y_bound[:, :4], fully.y_bound[:, :4], rtol=2e-5)  # in float32
    missing = case.valid[:, 4:9]
    assert (partly.y_bound[:, 4:9][missing] > fully.y_bound[:, 4:9][missing]).all()
    free = teacher_force(case, 0, 0, x, None, profile)
    last = case.valid[:, 11]
    assert last.any()
    assert (partly.y_bound[last, 11] < free.y_bound[last, 11]).all()


@pytest.mark.parametrize("block", [1, 97, 10**9])
@pytest.mark.parametrize("name", ["plain-lengths", "bidirectional-holes", "projection", "all-options"])
def test_the_block_size_changes_nothing(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_named(name, steps=11)
    result = forward(case)
    usual = teacher_force_all(case, result)
    monkeypatch.setattr(teacher_forced, "_BLOCK_NUMBERS", block)
    monkeypatch.setattr(teacher_forced, "_MIN_ROWS", 1)
    for (where, one), (_, other) in zip(usual, teacher_force_all(case, result), strict=True):
        for field in fields(TeacherForced):
            a, b = getattr(one, field.name), getattr(other, field.name)
            np.testing.assert_allclose(b, a, rtol=1e-12, atol=4e-16, err_msg=f"{field.name} of {where}")


def test_no_error_is_allowed_at_padding() -> None:
    case, x, y = observed_case("plain-holes")
    forced = teacher_force(case, 0, 0, x, y, PROFILES["float32"])
    for name in ("y", "y_bound", "y_sigma"):
        assert (getattr(forced, name)[~case.valid] == 0.0).all()
    assert (forced.h_bound[-1] == 0.0).all()
    assert (forced.c_bound[-1] == 0.0).all()  # a row without a valid step keeps its states, bit for bit
    assert (forced.y_bound[case.valid] > 0.0).all()


@pytest.mark.parametrize("init", ["chaos8", "longmem"])
def test_with_teacher_forcing_the_bound_stays_small_over_hundreds_of_steps(init: str) -> None:
    case = Case.random(LSTMSpec(input_size=4, hidden_size=16), steps=300, batch=1, init=init)
    y = forward(case).y
    forced = teacher_force(case, 0, 0, np.asarray(case.x, np.float64), y, PROFILES["float32"])
    assert forced.y_bound.max() < 0.05
    with np.errstate(over="ignore", invalid="ignore"):
        free = teacher_force(case, 0, 0, np.asarray(case.x, np.float64), None, PROFILES["float32"])
    assert not free.y_bound.max() < 1e6 * forced.y_bound.max()  # NaN (infinity times zero) is no bound either


@pytest.mark.parametrize(
    "name", ["plain-lengths", "peepholes", "cell-clip", "coupled-i", "peepholes-stack-bidirectional"]
)
def test_selected_units_equal_those_of_a_full_run(name: str) -> None:
    case = case_named(name)
    direction = case.spec.num_directions - 1
    result, width = forward(case), case.spec.output_size
    y = (result.layer_outputs[0] if result.layer_outputs else result.y)[
        ..., direction * width : (direction + 1) * width
    ]
    full = teacher_force(case, 0, direction, case.x, y, PROFILES["float32"])
    units = np.array([0, width - 1])
    selected = teacher_force(case, 0, direction, case.x, y, PROFILES["float32"], units=units)
    for field in fields(TeacherForced):
        np.testing.assert_allclose(
            getattr(selected, field.name),
            getattr(full, field.name)[..., units],
            rtol=1e-9,
            atol=1e-15,
            err_msg=field.name,
        )


@pytest.mark.parametrize("init", ["normal", "saturated", "longmem", "tiny", "outliers", "probe"])
@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1.0, 1e6, 1e25])
def test_bounds_in_float32_agree_with_float64(monkeypatch: pytest.MonkeyPatch, init: str, scale: float) -> None:
    case = Case.random(LSTMSpec(input_size=3, hidden_size=5), steps=20, batch=2, seed=4, init=init)
    case = replace(case, x=case.x * np.float32(scale), h0=None, c0=np.asarray(case.c0) * np.float32(min(scale, 1e20)))
    x, y, profile = np.asarray(case.x, np.float64), forward(case).y, PROFILES["float32"]
    quick = teacher_force(case, 0, 0, x, y, profile)
    monkeypatch.setattr(teacher_forced, "_float32_suffices", lambda *_: False)
    exact = teacher_force(case, 0, 0, x, y, profile)
    for name in ("y", "c"):
        np.testing.assert_array_equal(getattr(quick, name), getattr(exact, name))
        np.testing.assert_allclose(getattr(quick, f"{name}_bound"), getattr(exact, f"{name}_bound"), rtol=3e-5)
        sigmas = getattr(quick, f"{name}_sigma"), getattr(exact, f"{name}_sigma")
        np.testing.assert_allclose(*sigmas, rtol=1e-5, atol=2.0**-85)  # what float32 cannot square


def test_numbers_too_large_for_the_squares_of_float32_are_bounded_in_float64() -> None:
    """In float32 a standard deviation would be infinite, and no error suspect."""
    case = Case.random(LSTMSpec(input_size=2, hidden_size=2), steps=3, batch=1)
    case = replace(case, c0=np.full_like(case.c0, 1e22))
    x, y, profile = np.asarray(case.x, np.float64), forward(case).y, PROFILES["float32"]
    inputs = teacher_forced._Inputs.of(case, 0, 0, x, y, None, None)
    cell = teacher_forced._bounded_cell(case, 0, 0, None, profile, np.float32)
    with np.errstate(over="ignore"):
        in_float32 = teacher_forced._run_blocks(cell, inputs)
    assert np.isinf(in_float32.c_sigma).any()
    assert np.isfinite(teacher_force(case, 0, 0, x, y, profile).c_sigma).all()


def test_bounded_cells_are_cached_and_dropped_with_their_case(monkeypatch: pytest.MonkeyPatch) -> None:
    made, original = [], teacher_forced.BoundedCell
    monkeypatch.setattr(
        teacher_forced, "BoundedCell", lambda *arguments: made.append(arguments) or original(*arguments)
    )
    case = Case.random(LSTMSpec(input_size=2, hidden_size=3, bidirectional=True), steps=4)
    results = [teacher_force_all(case, forward(case)) for _ in range(2)]
    assert len(made) == 2  # one for each direction
    for (_, one), (_, other) in zip(*results, strict=True):
        assert all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(TeacherForced))
    x, y = np.asarray(case.x, np.float64), forward(case).y[..., :3]
    doubled = replace(case, weights=case.weights.astype("float64"))
    for other, profile, units in (
        (case, PROFILES["tf32"], None),
        (case, PROFILES["float32"], np.array([1])),
        (doubled, PROFILES["float32"], None),
    ):
        before = len(made)
        teacher_force(other, 0, 0, x, y, profile, units=units)
        assert len(made) == before + 1
    gc.collect()  # cases of other tests
    cached = len(teacher_forced._CELL_CACHE)
    made.clear()
    del case, other, doubled
    gc.collect()
    assert len(teacher_forced._CELL_CACHE) == cached - 2


def test_memory_is_tuned_by_the_first_case_and_not_by_the_import() -> None:
    program = """
import tracemalloc, numpy as np
tracemalloc.start()
from lstm_xcheck import oracle
from lstm_xcheck.model import Case, LSTMSpec
peaks = [tracemalloc.get_traced_memory()[1]]
case = Case.random(LSTMSpec(1, 1))
for _ in range(2):
    tracemalloc.reset_peak()
    oracle.teacher_force(case, 0, 0, np.asarray(case.x), None, oracle.PROFILES["float32"])
    peaks.append(tracemalloc.get_traced_memory()[1])
print(*(peak >> 20 for peak in peaks))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    imported, first, second = map(int, done.stdout.split())
    assert imported < 16
    assert first >= 31
    assert second < 16


def test_large_weights_are_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_forced, "SMALL", 4 * 3 * (2 + 3) - 1)
    case = Case.random(LSTMSpec(input_size=2, hidden_size=3), steps=4)
    teacher_force(case, 0, 0, np.asarray(case.x, np.float64), forward(case).y, PROFILES["float32"])
    assert case not in teacher_forced._CELL_CACHE


@pytest.mark.parametrize("init", ["longmem", "probe", "chaos8"])
def test_deviations_stay_finite_where_bounds_grow_without_limit(init: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of a free run on an unobserved layer multiply; deviations do not depend on them."""
    spec = LSTMSpec(input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
    case = Case.random(spec, steps=7, batch=3, init=init)
    profile, x = PROFILES["bfloat16"], np.random.default_rng(3).standard_normal((3, 7, 8))
    dx = np.full(x.shape, 1e305)
    with np.errstate(over="ignore", invalid="ignore"):
        limited = teacher_force(case, 1, 0, x, None, profile, dx)
        monkeypatch.setattr(error_bounds, "_LARGEST_BOUND", np.inf)
        unlimited = teacher_force(case, 1, 0, x, None, profile, dx)
    assert np.isfinite(limited.y_sigma).all()
    np.testing.assert_array_equal(unlimited.y_sigma, limited.y_sigma)
    assert not (limited.y_bound < 1.0).any()
