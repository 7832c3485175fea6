"""Biases dropped, doubled, shifted or misplaced."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...arrays import Array
from ...model import GATES, CellWeights
from ..mistake import CellChange, Mistake, with_arrays


def _scaled(**factors: float) -> CellChange:
    """Multiply the named biases; None if one is missing."""

    def change(cell: CellWeights) -> CellWeights | None:
        arrays = {name: np.asarray(getattr(cell, name)) for name in factors if getattr(cell, name) is not None}
        if len(arrays) < len(factors):
            return None
        return with_arrays(cell, **{name: array * array.dtype.type(factors[name]) for name, array in arrays.items()})

    return change


def _shifted(gate: int, constant: float) -> CellChange:
    """Add a constant to one gate's bias."""

    def change(cell: CellWeights) -> CellWeights | None:
        if cell.b is None:
            return None
        b = np.array(cell.b)
        b[gate] += b.dtype.type(constant)
        return with_arrays(cell, b=b)

    return change


def _mapped(function: Callable[[Array], Array]) -> CellChange:
    """Rearrange every bias."""

    def change(cell: CellWeights) -> CellWeights | None:
        arrays = {n: np.ascontiguousarray(function(np.asarray(a))) for n, a in cell.items() if n in ("b", "b_r")}
        return with_arrays(cell, **arrays) if arrays else None

    return change


def _all_scaled(factor: float) -> CellChange:
    return _mapped(lambda b: b * b.dtype.type(factor))


def _gate_dropped(gate: int) -> CellChange:
    return _mapped(lambda b: np.where(np.arange(len(GATES))[:, None] == gate, b.dtype.type(0), b))


_entry = partial(Mistake, family="bias")

MISTAKES = (
    _entry("bias-dropped", "bias dropped", "No bias reached the implementation.",
           "Load the bias; where there are two, load both or their sum.", "", _all_scaled(0.0), lost=True),
    _entry("bias-doubled", "bias counted twice",
           "The sum of both biases, or the only bias, was put into both bias vectors.",
           "Put the bias into one vector and zeros into the other.", "b = b / 2", _all_scaled(2.0)),
    _entry("bias-hh-dropped", "second bias (bias_hh) dropped", "Only the input bias of two was carried over.",
           "Add both biases up: b = bias_ih + bias_hh.", "b = b + b_r", _scaled(b_r=0.0), lost=True),
    _entry("bias-ih-dropped", "first bias (bias_ih) dropped", "Only the recurrent bias of two was carried over.",
           "Add both biases up: b = bias_ih + bias_hh.", "b_r = b + b_r", _scaled(b=0.0, b_r=1.0), lost=True),
    _entry("bias-ih-twice", "first bias used twice, second lost", "bias_ih was put into both places.",
           "Use bias_hh in the second place.", "b = (b + b_r) / 2",
           lambda cell: None if cell.b_r is None else with_arrays(cell, b_r=np.asarray(cell.b)),
           lost=True),
    _entry("bias-hh-twice", "second bias used twice, first lost", "bias_hh was put into both places.",
           "Use bias_ih in the first place.", "b_r = (b + b_r) / 2",
           lambda cell: None if cell.b_r is None else with_arrays(cell, b=np.asarray(cell.b_r)),
           lost=True),
    _entry("bias-ih-doubled", "first bias counted twice", "bias_ih was added both to the sum and beside it.",
           "Count bias_ih once.", "b[:] = b / 2", _scaled(b=2.0, b_r=1.0)),
    _entry("bias-hh-doubled", "second bias counted twice", "bias_hh was added both to the sum and beside it.",
           "Count bias_hh once.", "b_r[:] = b_r / 2", _scaled(b=1.0, b_r=2.0)),
    _entry("bias-averaged", "biases averaged instead of added", "The mean of the two biases, or half of one, was stored.",
           "Add the biases, do not average them.", "b = b * 2", _all_scaled(0.5)),
    _entry("bias-negated", "bias with the wrong sign", "The bias was subtracted.",
           "Add the bias.", "b = -b", _all_scaled(-1.0)),
    *(
        _entry(f"bias-plus-1-{gate}", f"1 added to the bias of gate {gate}",
               "A forget bias of 1 was added at run time although the stored bias contains it already."
               if gate == "f" else f"A forget bias of 1 landed in gate {gate}: the gates of the bias are in another order.",
               "Set the run-time forget bias to 0, or take 1 off the stored bias of f."
               if gate == "f" else "Add the forget bias to gate f.",
               f"b[{index}] -= 1", _shifted(index, 1.0), shifted_gate=gate)
        for index, gate in enumerate(GATES)
    ),
    _entry("bias-minus-1-f", "1 missing from the forget bias",
           "TensorFlow 1 and Haiku add 1 to the forget gate at run time and do not store it; it was not folded in.",
           "Add 1 to the bias of gate f.", "b[1] += 1", _shifted(1, -1.0), mixes_gates=True, shifted_gate="f"),
    _entry("bias-plus-2-f", "forget bias of 1 counted three times over", "1 was added to the forget gate twice too often.",
           "Add the forget bias once.", "b[1] -= 2", _shifted(1, 2.0), mixes_gates=True, shifted_gate="f"),
    *(
        _entry(f"bias-dropped-{gate}", f"bias of gate {gate} dropped", f"The quarter of gate {gate} of the bias is zero.",
               f"Load the quarter of gate {gate}.", "", _gate_dropped(index), lost=True)
        for index, gate in enumerate(GATES)
    ),
    _entry("bias-reshaped", "bias read as (hidden, 4) instead of (4, hidden)",
           "The bias is interleaved per unit and was read as four blocks, or the other way round.",
           "Reshape the bias to (hidden, 4) and transpose it.", "b = b.reshape(hidden, 4).T",
           lambda cell: None if cell.W.shape[1] == 1 else _mapped(lambda b: b.T.reshape(b.shape))(cell), mixes_gates=True),
    _entry("bias-reshaped-to-units", "bias read as (4, hidden) instead of (hidden, 4)",
           "The bias is stored as four blocks and was read as interleaved per unit.",
           "Transpose the bias to (hidden, 4) and reshape it to (4, hidden).", "b = b.T.reshape(4, hidden)",
           lambda cell: None if cell.W.shape[1] == 1 else _mapped(lambda b: b.reshape(b.shape[1], 4).T)(cell), mixes_gates=True),
    _entry("bias-reversed", "bias reversed within each gate", "The units of the bias are in reverse order.",
           "Reverse the bias within each gate.", "b = b[:, ::-1]",
           lambda cell: None if cell.W.shape[1] == 1 else _mapped(lambda b: b[:, ::-1])(cell)),
    _entry("bias-rolled", "bias shifted by one number", "The bias was read one number too early: an offset of a flat file.",
           "Start reading the bias one number later.", "b = np.roll(b.reshape(-1), -1).reshape(4, hidden)",
           _mapped(lambda b: np.roll(b.reshape(-1), 1).reshape(b.shape)), mixes_gates=True),
)  # fmt: skip
