"""Matrices transposed, reshaped where they should be transposed, or cut at the wrong place."""

from __future__ import annotations

import numpy as np

from ...arrays import Array
from ...model import CellWeights
from ..mistake import Mistake, edit


def _matrix(array: object) -> Array:
    """(4, hidden, input) as (4 * hidden, input)."""
    plain = np.asarray(array)
    return plain.reshape(-1, plain.shape[2])


def _transposed_u(cell: CellWeights) -> CellWeights | None:
    """Each square gate block of U transposed."""
    if cell.U.shape[1] != cell.U.shape[2] or cell.U.shape[1] == 1:
        return None
    return edit(cell, U=np.swapaxes(np.asarray(cell.U), 1, 2))


def _transposed_gate(gate: int) -> object:
    def change(cell: CellWeights) -> CellWeights | None:
        if cell.U.shape[1] != cell.U.shape[2] or cell.U.shape[1] == 1:
            return None
        changed = np.array(cell.U)
        changed[gate] = changed[gate].T
        return edit(cell, U=changed)

    return change


def _transposed_w(cell: CellWeights) -> CellWeights | None:
    if cell.W.shape[1] != cell.W.shape[2] or cell.W.shape[1] == 1:
        return None
    return edit(cell, W=np.swapaxes(np.asarray(cell.W), 1, 2))


def _reshaped(name: str) -> object:
    """(input, 4 hidden) data poured into (4 hidden, input) row by row instead of transposed."""

    def change(cell: CellWeights) -> CellWeights | None:
        array = getattr(cell, name)
        flat = _matrix(array)
        return None if min(flat.shape) == 1 else edit(cell, **{name: flat.T.reshape(flat.shape).reshape(array.shape)})

    return change


def _reshaped_gates(name: str) -> object:
    """The same within each gate's block, as CuDNNLSTM files are stored."""

    def change(cell: CellWeights) -> CellWeights | None:
        array = np.asarray(getattr(cell, name))
        if min(array.shape[1:]) == 1:
            return None
        return edit(cell, **{name: np.swapaxes(array, 1, 2).reshape(array.shape)})

    return change


def _stacked_other_way(cell: CellWeights) -> CellWeights | None:
    """[h; x] cut as if it were [x; h]."""
    w, u = np.asarray(cell.W), np.asarray(cell.U)
    joined = np.concatenate([u, w], axis=2)
    return edit(cell, W=joined[..., : w.shape[2]], U=joined[..., w.shape[2] :])


def _exchanged(cell: CellWeights) -> CellWeights | None:
    """W and U exchanged, possible when their shapes agree."""
    return None if cell.W.shape != cell.U.shape else edit(cell, W=np.asarray(cell.U), U=np.asarray(cell.W))


def _blocks_as_units(cell: CellWeights) -> CellWeights | None:
    """Row = 4 * unit + gate read as row = hidden * gate + unit."""
    return _interleave(cell, to_units=True)


def _units_as_blocks(cell: CellWeights) -> CellWeights | None:
    return _interleave(cell, to_units=False)


def _interleave(cell: CellWeights, *, to_units: bool) -> CellWeights | None:
    if cell.W.shape[1] == 1:
        return None
    arrays = {}
    for name, array in cell.items():
        if name in ("W", "U", "b", "b_r"):
            plain = np.asarray(array)
            hidden = plain.shape[1]
            if to_units:
                arrays[name] = np.swapaxes(plain, 0, 1).reshape(plain.shape)
            else:
                arrays[name] = np.swapaxes(plain.reshape(hidden, 4, *plain.shape[2:]), 0, 1)
    return edit(cell, **arrays)


#: These carry numbers from one gate to another.
_MIXING = ("w-reshaped", "u-reshaped", "blocks-as-units", "units-as-blocks")


def _entry(id: str, title: str, explanation: str, fix: str, code: str, cell: object) -> Mistake:
    mixes = id in _MIXING
    return Mistake(id, "orientation", title, explanation, fix, code, cell=cell, mixes=mixes)  # type: ignore[arg-type]


_TRANSPOSE = "U = U.swapaxes(1, 2)"
_SEPARATE = "\n".join(
    f"{name} = {name}.reshape(hidden, 4, *{name}.shape[2:]).swapaxes(0, 1)" for name in ("W", "U", "b")
)
_INTERLEAVE = "\n".join(f"{name} = {name}.swapaxes(0, 1).reshape({name}.shape)" for name in ("W", "U", "b"))

MISTAKES = (
    _entry("u-transposed", "recurrent kernel transposed in every gate",
           "Each (hidden, hidden) block of U is the transpose of what it should be; its square shape hides this.",
           "Transpose each gate's block of U.", _TRANSPOSE, _transposed_u),
    *(
        _entry(f"u-transposed-{gate}", f"recurrent kernel of gate {gate} transposed",
               f"The (hidden, hidden) block of gate {gate} in U is transposed, the others are not.",
               f"Transpose the block of gate {gate} in U.", f"U[{index}] = U[{index}].T", _transposed_gate(index))
        for index, gate in enumerate("ifgo")
    ),
    _entry("w-transposed", "input kernel transposed in every gate",
           "Input and hidden size are equal, so each block of W can be transposed unseen.",
           "Transpose each gate's block of W.", "W = W.swapaxes(1, 2)", _transposed_w),
    *(
        _entry(f"{name.lower()}-reshaped", f"{name} reshaped instead of transposed",
               f"The numbers of {name} were poured into the other shape row by row (reshape) instead of transposed.",
               f"Transpose {name} (`.T`), do not `reshape` it.", f"{name} = {name}.reshape(-1, 4 * hidden).T.reshape(4, hidden, -1)",
               _reshaped(name))
        for name in ("W", "U")
    ),
    *(
        _entry(f"{name.lower()}-gates-reshaped", f"each gate's block of {name} reshaped instead of transposed",
               f"Within each gate the numbers of {name} are in the other storage order, as in CuDNNLSTM files.",
               f"Reshape each block of {name} to (input, hidden) and transpose it.",
               f"{name} = {name}.reshape(4, {name}.shape[2], hidden).swapaxes(1, 2)", _reshaped_gates(name))
        for name in ("W", "U")
    ),
    _entry("stacked-h-x", "[h; x] kernel cut as [x; h]",
           "A kernel over the joined input was cut at the wrong place: the recurrent rows come first.",
           "Take the first hidden rows as U and the rest as W.",
           "joined = np.concatenate([W, U], axis=2)\nU = joined[..., :hidden]\nW = joined[..., hidden:]", _stacked_other_way),
    _entry("w-u-exchanged", "W and U exchanged",
           "Input and hidden size are equal, so the two kernels can change places unseen.",
           "Exchange W and U.", "W = np.array(cell.U)\nU = np.array(cell.W)", _exchanged),
    _entry("blocks-as-units", "gates in blocks stored as if interleaved per unit",
           "Row hidden * gate + unit was written where row 4 * unit + gate is expected, as Chainer stores it.",
           "Interleave the gates per unit before loading.",
           _SEPARATE, _blocks_as_units),
    _entry("units-as-blocks", "gates interleaved per unit read as blocks",
           "The source stores row 4 * unit + gate, as Chainer does, and was read as four blocks.",
           "Separate the interleaved gates.",
           _INTERLEAVE, _units_as_blocks),
)  # fmt: skip
