"""What outputs show by themselves gets an answer, not a refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE, diagnose
from lstm_xcheck.diagnose import mistake as mistake_module
from lstm_xcheck.diagnose.catalogue import padding, units
from lstm_xcheck.diagnose.mistake import run_mistakes
from lstm_xcheck.errors import SpecError
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import forward

from .cases import float32_lstm, named

SPECS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stack": {"num_layers": 2},
    "bidirectional": {"bidirectional": True},
    "no-bias": {"bias": "none"},
    "projection": {"proj_size": 2},
}
CASES = {
    name: Case.random(LSTMSpec(**{"input_size": 3, "hidden_size": 4, **spec}), seed=2, id=name)
    for name, spec in SPECS.items()
}


def honest(case: Case) -> dict[str, Array]:
    """Writable outputs of an honest run."""
    outputs = observed_quantities(float32_lstm.run(case, float32_lstm.ORDERS[0]))
    return {name: np.array(array) for name, array in outputs.items() if name in ("y", "h_n", "c_n")}


# --- buffers that were never written ---


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("id", "zeros"),
    [
        ("h-n-never-written", ["h_n"]),
        ("c-n-never-written", ["c_n"]),
        ("final-states-never-written", ["h_n", "c_n"]),
        ("y-never-written", ["y"]),
        ("nothing-written", ["y", "h_n", "c_n"]),
    ],
)
def test_buffers_that_were_never_written_are_named(name: str, id: str, zeros: list[str]) -> None:
    case = CASES[name]
    outputs = {n: np.zeros_like(a) if n in zeros else a for n, a in honest(case).items()}
    assert diagnose(Result(**outputs), case).mistakes == (id,)


def test_zeros_and_another_mistake_are_named_together() -> None:
    case = CASES["plain"]
    wrong = run_mistakes(named("gates-iofg"), case)
    assert wrong is not None
    y, h_n = (wrong[name].astype(np.float32) for name in ("y", "h_n"))
    found = diagnose(Result(y=y, h_n=h_n, c_n=np.zeros_like(h_n)), case)
    assert found.mistakes == ("gates-iofg", "c-n-never-written")


def test_without_their_entries_zeros_are_described() -> None:
    case = CASES["plain"]
    others = [mistake for mistake in CATALOGUE if not mistake.id.endswith("-written")]
    outputs = honest(case)
    found = diagnose(Result(y=outputs["y"], h_n=0 * outputs["h_n"]), case, pairs=False, catalogue=others)
    assert found.cause is None
    assert "h_n is 0 everywhere" in found.explanation


@pytest.mark.parametrize("value", [1.0, 0.25])
def test_a_constant_is_described(value: float) -> None:
    case = CASES["plain"]
    found = diagnose(Result(y=np.full((3, 7, 4), value, np.float32)), case, pairs=False)
    assert found.cause is None
    assert f"y is {value:g} everywhere." in found.explanation


@pytest.mark.parametrize("name", ["plain", "bidirectional", "stack"])
def test_states_that_are_never_updated_are_described(name: str) -> None:
    case = CASES[name]
    assert case.h0 is not None
    h0 = np.concatenate(list(case.h0[-case.spec.num_directions :]), axis=-1)
    y = np.repeat(h0[:, None], case.steps, axis=1)
    found = diagnose(Result(y=y, h_n=case.h0, c_n=case.c0), case, pairs=False)
    assert found.cause is None
    for sentence in (
        "y is the same at every step: the state is never updated. It is the initial h.",
        "h_n is h0: the final state was never written, or never updated.",
        "c_n is c0",
    ):
        assert sentence in found.explanation
    assert "padding" not in found.explanation


# --- numbers that are not finite ---


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_right_numbers_among_others_are_called_right(value: float) -> None:
    case, outputs = CASES["plain"], honest(CASES["plain"])
    outputs["y"][1, 2:, 3] = value
    assert judge(Result(**outputs), case).verdict == "mismatch"
    found = diagnose(Result(**outputs), case)
    assert found.cause is None
    assert found.explanation == (
        "y holds 5 of 84 numbers that are not finite, first at step 2, row 1, unit 3; all others were compared. "
        "Nothing else is wrong as far as can be seen."
    )


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_among_numbers_that_are_not_finite_is_named(name: str) -> None:
    case = CASES[name]
    wrong = run_mistakes(named("gates-iofg"), case)
    assert wrong is not None
    y, c_n = wrong["y"].astype(np.float32), np.full(wrong["c_n"].shape, np.nan)
    y[:, 5:] = np.inf
    found = diagnose(Result(y=y, c_n=c_n), case)
    assert found.mistakes == ("gates-iofg",)
    assert "numbers that are not finite, first at step 5, row 0, unit 0; c_n holds" in found.explanation


def test_wrong_numbers_among_others_stay_wrong() -> None:
    case, outputs = CASES["plain"], honest(CASES["plain"])
    outputs["y"][1, 2:, 3] = np.nan
    outputs["y"][0, 1, 0] += 0.01
    found = diagnose(Result(**outputs), case, pairs=False)
    assert found.cause is None
    assert found.evidence["first"] == {"layer": 0, "direction": 0, "step": 1, "batch": 0, "unit": 0}


# --- padding without lengths ---


def padded(case: Case, lengths: list[int], how: str) -> dict[str, Array]:
    """Outputs of an implementation that knows the lengths."""
    known = replace(case, lengths=np.array(lengths), id="known")
    outputs = honest(known)
    for row, length in enumerate(lengths):
        if how == "repeats":
            width = case.spec.output_size  # Keras repeats the forward half and gives zeros for the backward one
            outputs["y"][row, length:, :width] = outputs["y"][row, length - 1, :width]
        elif how != "zero":
            outputs["y"][row, length:] = float(how)
    return outputs


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("how", "words"), [("repeats", "y repeats"), ("zero", "y is 0"), ("-1", "y is -1")])
def test_padding_without_lengths_is_named_with_the_lengths(name: str, how: str, words: str) -> None:
    case = CASES[name]
    outputs = padded(case, [3, 7, 5], how)
    for result in (Result(**outputs), Result(y=outputs["y"])):
        found = diagnose(result, case, pairs=False)
        assert found.mistakes == ("lengths-not-given",), found.explanation
        assert found.cause == f"padded steps without lengths: {words} from step 3 on in 2 of 3 rows"
        assert found.fix == "Give lengths [3, 7, 5] with x."


def test_padding_on_the_left_is_named() -> None:
    case = replace(CASES["plain"], h0=None, c0=None)
    mask = np.arange(7) >= np.array([2, 0, 4])[:, None]
    outputs = honest(replace(case, mask=mask, id="known"))
    found = diagnose(Result(y=outputs["y"]), case, pairs=False)
    assert found.mistakes == ("lengths-not-given",)
    assert "y is 0 up to step 3 in 2 of 3 rows" in str(found.cause)
    assert found.fix == "Give the mask of the valid steps with x."


def test_padding_with_another_error_is_described() -> None:
    case = CASES["plain"]
    outputs = padded(case, [3, 7, 5], "repeats")
    outputs["y"][0, 0] *= np.float32(1.3)
    found = diagnose(Result(y=outputs["y"]), case, pairs=False)
    assert found.cause is None
    assert "y repeats from step 3 on in 2 of 3 rows, as at padding: give lengths" in found.explanation


def test_no_padding_is_seen_where_there_is_none() -> None:
    for case in CASES.values():
        assert padding.padding_of(honest(case), case) is None
        with_lengths = replace(case, lengths=np.array([3, 7, 5]))
        assert padding.padding_of(honest(with_lengths), with_lengths) is None, "the case has its lengths"


@pytest.mark.framework
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_padding_of_a_keras_mask_is_named() -> None:
    keras = pytest.importorskip("keras")
    case = Case.random(LSTMSpec(3, 4, bias="single"), seed=5, states=False)
    x = np.array(case.x)
    x[0, 3:], x[2, 5:] = 0.0, 0.0
    case = replace(case, x=x)
    cell = case.weights.layers[0][0]
    layer = keras.layers.LSTM(4, return_sequences=True)
    model = keras.Sequential([keras.layers.Input((7, 3)), keras.layers.Masking(), layer])
    kernels = [np.concatenate(np.swapaxes(np.asarray(a), 1, 2), axis=1) for a in (cell.W, cell.U)]
    layer.set_weights([*kernels, np.asarray(cell.b).reshape(-1)])
    found = diagnose(Result(y=keras.ops.convert_to_numpy(model(x))), case, pairs=False)
    assert found.cause == "padded steps without lengths: y repeats from step 3 on in 2 of 3 rows"


# --- dead units ---


def silenced(case: Case, dead: list[int]) -> Case:
    """Units whose output gate is closed in every cell."""
    rows = [[{name: np.array(a) for name, a in cell.items()} for cell in row] for row in case.weights.layers]
    for cell in (cell for row in rows for cell in row):
        cell["W"][3, dead], cell["U"][3, dead], cell["b"][3, dead] = 0.0, 0.0, -500.0
    layers = tuple(tuple(CellWeights(**cell) for cell in row) for row in rows)  # type: ignore[arg-type]
    return replace(case, weights=LSTMWeights(case.spec, layers, case.weights.dtype))


@pytest.mark.parametrize("name", ["plain", "bidirectional", "stack"])
@pytest.mark.parametrize("dead", [[1], [2, 3]], ids=str)
def test_units_that_others_read_as_zero_are_named(name: str, dead: list[int]) -> None:
    case = CASES[name]
    result = float32_lstm.run(silenced(case, dead), float32_lstm.ORDERS[0])
    found = diagnose(replace(result, h_n=None, c_n=None), case, pairs=False)
    assert found.mistakes == ("units-dead",), found.explanation
    assert f"unit{'s' if len(dead) > 1 else ''} {', '.join(map(str, dead))} of layer 0" in str(found.cause)


@pytest.mark.parametrize("name", ["plain", "bidirectional"])
def test_units_that_were_not_written_are_named(name: str) -> None:
    case, outputs = CASES[name], honest(CASES[name])
    outputs["y"][..., 2] = 0.0
    found = diagnose(Result(**outputs), case, pairs=False)
    assert found.mistakes == ("units-not-written",), found.explanation
    assert "unit 2 of layer 0" in str(found.cause)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_constant_unit_is_described_where_nothing_explains_it(value: float) -> None:
    case, outputs = CASES["plain"], honest(CASES["plain"])
    outputs["y"][..., 0] *= np.float32(1.3)
    outputs["y"][..., 2] = value
    found = diagnose(Result(**outputs), case, pairs=False)
    assert found.cause is None
    assert f"In y unit 2 is {value:g} at every step of every row." in found.explanation


def test_no_constant_unit_is_seen_where_there_is_none() -> None:
    for case in CASES.values():
        assert units.constant_units(np.asarray(forward(case).y), case) == {}


# --- mistakes that cannot be made in the precision of a case ---


def overflowing() -> tuple[Case, Result]:
    """A case whose final c is a number in float64 and none in float16, and outputs of a foreign mistake."""
    spec = LSTMSpec(2, 3, gate_activation="linear", cell_activation="linear")
    large = Case.random(spec, steps=12, seed=3, precision="float16", scale=8.0)
    with np.errstate(over="ignore", invalid="ignore"):
        return large, Result(y=np.asarray(forward(large).y, np.float16) + np.float16(0.5))


def test_states_carried_over_that_overflow_are_no_hypothesis() -> None:
    large, wrong = overflowing()
    (carried,) = named("states-carried-over")
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.abs(forward(large).c_n).max() > np.finfo(np.float16).max
    assert carried.change_case(large) is None
    assert "states-carried-over" not in diagnose(wrong, large, pairs=False).mistakes


def test_a_hypothesis_that_overflows_would_be_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    large, wrong = overflowing()
    monkeypatch.setattr(mistake_module, "_valid", lambda change, before: change(before))
    with np.errstate(over="ignore"), pytest.raises(SpecError, match="too large for float16"):
        diagnose(wrong, large)


def test_numbers_whose_squares_overflow_are_searched_too() -> None:
    spec = LSTMSpec(2, 2, gate_activation="linear", cell_activation="linear", output_activation="linear")
    case = Case.random(spec, steps=1, seed=3, precision="float64", scale=1e60, states=False)
    y = np.array(forward(case).y)
    assert 1e155 < np.abs(y).max() < 1e300
    y[..., 1] *= 1.25
    assert diagnose(Result(y=y), case, pairs=False).cause is None


def test_inputs_whose_squares_overflow_are_judged_and_searched() -> None:
    case = Case.random(LSTMSpec(2, 2), steps=2, seed=3, precision="float64", scale=1e160)
    right = forward(case)
    assert judge(right, case).verdict in ("match", "inconclusive")
    found = diagnose(Result(y=np.array(right.y) * 1.25), case, pairs=False)
    assert found.cause is None


def at_rest() -> tuple[Case, Array]:
    """Outputs of another U that come to rest under the same input, in float32."""
    case = Case.random(LSTMSpec(2, 3), steps=100, batch=2, init="torch")
    case = replace(case, x=np.repeat(case.x[:, :1], case.steps, axis=1), id="")
    cell = case.weights.layers[0][0]
    other = replace(cell, U=np.clip(1.3 * cell.U, -0.5, 0.4).astype(np.float32))
    return case, np.asarray(
        forward(replace(case, weights=replace(case.weights, layers=((other,),)), id="")).y, np.float32
    )


def test_outputs_that_come_to_rest_are_not_called_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    case, y = at_rest()
    assert (y[:, -1] == y[:, -2]).all()
    assert "as at padding" not in diagnose(Result(y=y), case, pairs=False).explanation
    monkeypatch.setattr(padding, "_CONVERGED", -1.0)
    assert "as at padding" in diagnose(Result(y=y), case, pairs=False).explanation


def test_zeros_among_other_zeros_are_not_called_padding() -> None:
    case = Case.random(LSTMSpec(2, 3), steps=8, batch=2, init="torch")
    y = np.array(forward(case).y, np.float32) + np.float32(0.3)
    y[1, 6:] = 0.0
    assert "y is 0 from step 6 on in 1 of 2 rows, as at padding" in diagnose(Result(y=y), case, pairs=False).explanation
    y[0, 2, 1] = 0.0
    assert "as at padding" not in diagnose(Result(y=y), case, pairs=False).explanation


def test_zeros_for_repeated_outputs_do_not_prove_ignored_lengths() -> None:
    case = replace(Case.random(LSTMSpec(2, 3), steps=6, batch=3, ragged=True), padding="held", id="")
    right = forward(replace(case, padding="zero", id=""))
    wrong = {name: np.asarray(getattr(right, name), np.float32) for name in ("y", "h_n", "c_n")}
    assert diagnose(Result(**wrong), case).mistakes == ("padding-zero",)
    found = diagnose(Result(y=wrong["y"]), case)
    assert found.cause is None
    assert [other["mistakes"] for other in found.within_reach] == [["lengths-ignored-then-masked"], ["padding-zero"]]
    assert "Only outputs at padding are wrong; they should repeat the last valid one." in found.explanation
