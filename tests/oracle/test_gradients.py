"""Float64 gradients against central differences and PyTorch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights, cotangents, gradient_names
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2, Activation
from lstm_xcheck.oracle import forward, gradients, profile_named
from lstm_xcheck.oracle.activations import apply, slope

from .specs import NAMES, case_named

#: The error of central differences is the square of the step; losses are below 100.
STEP, ENOUGH = 1e-5, 1e-7


def loss(case: Case) -> float:
    result, pulls = forward(case), cotangents(case)
    return sum(float((np.asarray(getattr(result, name)) * pull).sum()) for name, pull in pulls._asdict().items())


def moved(case: Case, name: str, index: tuple[int, ...], by: float) -> Case:
    """The case with one number changed; missing states are zeros."""
    if "." not in name:
        array = getattr(case, name)
        if array is None:
            rows = case.spec.num_layers * case.spec.num_directions
            array = np.zeros((rows, case.batch, case.spec.output_size if name == "h0" else case.spec.hidden_size))
        return replace(case, **{name: shifted(array, index, by)})
    layer, direction, part = name.split(".")
    cells = [list(row) for row in case.weights.layers]
    arrays = dict(cells[int(layer)][int(direction)].items())
    arrays[part] = shifted(arrays[part], index, by)
    cells[int(layer)][int(direction)] = CellWeights(**arrays)  # type: ignore[arg-type]
    return replace(case, weights=LSTMWeights(case.spec, tuple(map(tuple, cells)), "float64"))


def shifted(array: Array, index: tuple[int, ...], by: float) -> Array:
    copy = np.array(array, np.float64)
    copy[index] += by
    return copy


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_gradient_agrees_with_central_differences(name: str) -> None:
    case, rng = case_named(name, precision="float64"), np.random.default_rng(5)
    found = gradients(case).value
    assert set(found) == set(gradient_names(case.spec))
    for quantity, array in found.items():
        for _ in range(3):
            index = tuple(int(rng.integers(size)) for size in array.shape)
            up, down = (loss(moved(case, quantity, index, by)) for by in (STEP, -STEP))
            difference = (up - down) / (2 * STEP)
            assert abs(array[index] - difference) <= ENOUGH * max(1.0, float(np.abs(array).max())), (quantity, index)


@pytest.mark.framework("torch")
@pytest.mark.parametrize("name", ["plain", "stack", "bidirectional-lengths", "projection-stack-bidirectional"])
def test_gradients_agree_with_torch_in_float64(name: str) -> None:
    from lstm_xcheck.adapters.protocol import Session
    from lstm_xcheck.adapters.torch.nn import TorchNN

    case = replace(case_named(name, precision="float64"), gradients=True)
    theirs = Session(TorchNN("torch")).execute(case).gradients
    mine = gradients(case).value
    assert set(theirs) == {*mine, *(f"{key}_r" for key in mine if key.endswith(".b"))}
    for key, array in theirs.items():
        expected = mine[key.replace("b_r", "b")]
        assert np.abs(array - expected).max() <= 1e-13 * np.abs(expected).max(), key


def test_padding_has_no_gradient() -> None:
    case = case_named("bidirectional-lengths", precision="float64")
    assert not gradients(case).value["x"][~case.valid].any()


@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "relu", "softsign", "hard_tanh", "tanh_pade", "linear", HARD_SIGMOID_KERAS2]
)
def test_slopes_agree_with_central_differences(name: str) -> None:
    activation, z = Activation.parse(name), np.linspace(-4.03, 4.01, 61)
    difference = (apply(activation, z + 1e-6) - apply(activation, z - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope(activation, z, apply(activation, z)), difference, atol=1e-8)


def test_the_spread_grows_with_the_roundings_and_is_reproducible() -> None:
    case = Case.random(LSTMSpec(5, 4, num_layers=2), precision="float32")
    spreads = {name: gradients(case, profile=profile_named(name)).rms for name in ("float64", "float32", "bfloat16")}
    again = gradients(case, profile=profile_named("float32")).rms
    for name, array in spreads["float32"].items():
        assert np.array_equal(array, again[name])
        assert (spreads["float64"][name] <= array).all()
        assert (array <= spreads["bfloat16"][name]).all()
        assert 0 < array.max() < 1e-4


@pytest.mark.parametrize("activation", ["relu", "hard_tanh"])
def test_a_kink_within_rounding_is_reported(activation: str) -> None:
    bias = -1.0 if activation == "relu" else 0.0  # x = 1 meets the candidate's kink at 0 or 1
    spec = LSTMSpec(1, 1, bias="single", cell_activation=activation)
    ones = np.ones((4, 1, 1))
    for away, near in ((2.0**-23, True), (0.3, False)):
        cell = CellWeights(W=ones, U=0 * ones, b=np.full((4, 1), bias))  # type: ignore[arg-type]
        case = Case(weights=LSTMWeights(spec, ((cell,),), "float32"), x=np.full((1, 1, 1), 1.0 + away))
        assert gradients(case, profile=profile_named("float32")).near_kink is near


def test_cotangents_are_exact_in_every_precision_and_never_small() -> None:
    case = Case.random(LSTMSpec(2, 3, bidirectional=True), steps=5)
    for precision in ("float64", "float32", "float16", "bfloat16"):
        for mine, theirs in zip(cotangents(case), cotangents(replace(case, precision=precision)), strict=True):
            assert np.array_equal(mine, theirs)
            assert 0.5 <= np.abs(mine).min() <= np.abs(mine).max() <= 1.375
