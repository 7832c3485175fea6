"""`layouts` shows the rows the conversion runs on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.cli.layouts import command
from lstm_xcheck.errors import SpecError
from lstm_xcheck.layouts import TABLE
from lstm_xcheck.model import LSTMSpec, LSTMWeights

from .conftest import invoke

ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def layouts(*arguments: str) -> str:
    return invoke(command, *arguments)


def as_json(*arguments: str) -> Any:
    return json.loads(layouts(*arguments, "--json"))


def test_every_row_is_listed_with_order_and_source() -> None:
    text = layouts()
    for row in TABLE:
        (line,) = [line for line in text.splitlines() if line.split()[:2] == [row.name, row.order]]
        assert row.bias in line
        assert f"{row.name}: {row.source}" in text
    assert [one["name"] for one in as_json()] == [row.name for row in TABLE]


@pytest.mark.parametrize(
    ("name", "order", "orientation", "bias", "forget_bias", "states"),
    [
        ("torch", "ifgo", "(4h, x)", "split", 0.0, "hc"),
        ("keras", "ifgo", "(x, 4h)", "single", 0.0, "hc"),
        ("onnx", "iofg", "(directions, 4h, x)", "split", 0.0, "hc"),
        ("tf1", "igfo", "(x+h, 4h)", "single", 1.0, "ch"),
    ],
)
def test_known_conventions(name: str, order: str, orientation: str, bias: str, forget_bias: float, states: str) -> None:
    row = as_json(name)
    found = (row["order"], row["orientation"], row["bias"], row["forget_bias"], row["state_order"])
    assert found == (order, orientation, bias, forget_bias, states)


def test_the_example_of_keras() -> None:
    text = layouts("keras")
    assert "columns of the weights: i 0 to 1; f 2 to 3; g 4 to 5; o 6 to 7" in text
    assert as_json("keras")["examples"]["one layer"]["arrays"] == {
        "kernel": [3, 8],
        "recurrent_kernel": [2, 8],
        "bias": [8],
    }


@pytest.mark.framework
def test_the_example_of_torch_has_the_names_that_torch_has() -> None:
    torch = pytest.importorskip("torch")
    real = torch.nn.LSTM(3, 2, num_layers=2, bidirectional=True).state_dict()
    example = as_json("torch")["examples"]["two layers, both directions"]["arrays"]
    assert example == {name: list(array.shape) for name, array in real.items()}


@ROWS
def test_a_detail_names_the_arrays_of_the_example(row: Any) -> None:
    text = layouts(row.name)
    arrays = LSTMWeights.random(LSTMSpec(input_size=3, hidden_size=2)).to_layout(row.name)
    for name, array in arrays.items():
        assert [*name.split(), *str(array.shape).split()] in [line.split() for line in text.splitlines()]
    assert row.source in text


@ROWS
def test_the_positions_are_where_the_gates_are(row: Any) -> None:
    if row.gates == "names":
        pytest.skip(f"{row.name} keeps an array for each gate")
    spec = LSTMSpec(input_size=3, hidden_size=2, bias="none")
    zero = {"W": np.zeros((4, 2, 3)), "U": np.zeros((4, 2, 2))}
    (line,) = [line for line in layouts(row.name).splitlines() if " of the weights: " in line]
    axis, places = line.strip().split(" of the weights: ")
    for place in places.split("; "):
        gate, numbers = place.split(" ", 1)
        marked = {name: array.copy() for name, array in zero.items()}
        marked["W"]["ifgo".index(gate)] = 1.0
        stored = next(iter(_stored(spec, marked, row.name).values()))
        stored = stored[0] if row.direction_axis else stored
        hit = np.flatnonzero(stored.any(axis=0 if axis == "columns" else 1)).tolist()
        first, last = (int(number) for number in numbers.replace(" to ", ", ").split(", "))
        assert hit == [first, last]


def _stored(spec: LSTMSpec, arrays: dict[str, Any], layout: str) -> dict[str, Any]:
    from lstm_xcheck.model import CellWeights

    return LSTMWeights(spec, ((CellWeights(**arrays),),)).to_layout(layout)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SpecError, match="unknown layout 'nope'; expected one of torch, keras"):
        layouts("nope")
