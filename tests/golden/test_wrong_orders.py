"""Other projects' numbers detect a wrong gate order of a layout row."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from lstm_xcheck.oracle import forward

from .corpus import UNSET, Inexpressible, folder, load
from .expectations import answers
from .known import WITNESSES, present
from .limits import beyond

pytestmark = pytest.mark.skipif(folder() is None, reason=UNSET)

PRESENT = {order: name for order, name in WITNESSES.items() if present(name)}


@pytest.mark.parametrize("name", PRESENT.values(), ids=PRESENT)
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
        beyond(quantity, answer)
        for quantity, answer in answers(golden, forward)
        if not isinstance(answer, Inexpressible)
    )
