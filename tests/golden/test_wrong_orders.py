"""Other projects' numbers detect a wrong gate order of a layout row."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from lstm_xcheck.oracle import forward

from .corpus import UNSET, Inexpressible, folder, load
from .expectations import answers
from .limits import beyond

pytestmark = pytest.mark.skipif(folder() is None, reason=UNSET)

#: For each gate order of the corpus a case that distinguishes it from the 23 others. Cases of TensorFlow 1 have
#: constant weights and distinguish none; tests/layouts runs that framework.
WITNESSES = {
    "keras": "rtneural__lstm_1d",
    "onnx": "ort__simple_forward",
    "ngraph": "ngraph__cell_bias_peephole",
    "nd4j": "dl4j__lstmLayer_13",
}


@pytest.mark.parametrize("name", WITNESSES.values(), ids=WITNESSES)
def test_all_23_wrong_orders_are_detected(name: str) -> None:
    assert _undetected(name) == []


def _undetected(name: str) -> list[str]:
    """Other gate orders than the row's that agree with every number."""
    true = load(name).row
    orders = ("".join(gates) for gates in permutations("ifgo"))
    return [order for order in orders if order != true.order and _agrees(name, order)]


def _agrees(name: str, order: str) -> bool:
    golden = load(name, row=replace(load(name).row, order=order))
    return not any(
        beyond(f"{name}/{quantity.label}", quantity, answer)
        for quantity, answer in answers(golden, forward)
        if not isinstance(answer, Inexpressible)
    )
