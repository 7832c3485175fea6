"""Matrices transposed, reshaped, or split at the wrong place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...arrays import Array
from ...model import CellWeights
from ..mistake import CellChange, Mistake, with_arrays


def _is_square(array: Array) -> bool:
    """Whether gate blocks are square and larger than one number."""
    return bool(array.shape[1] == array.shape[2] > 1)


def _transposed(name: str) -> CellChange:
    """Transpose every gate block, where its square shape hides it."""

    def change(cell: CellWeights) -> CellWeights | None:
        array = np.asarray(getattr(cell, name))
        return with_arrays(cell, **{name: np.swapaxes(array, 1, 2)}) if _is_square(array) else None

    return change


def _transposed_gate(gate: int) -> CellChange:
    def change(cell: CellWeights) -> CellWeights | None:
        if not _is_square(cell.U):
            return None
        changed = np.array(cell.U)
        changed[gate] = changed[gate].T
        return with_arrays(cell, U=changed)

    return change


def _reshaped(name: str) -> CellChange:
    """Reshape data stored as (input, 4 * hidden) instead of transposing it."""

    def change(cell: CellWeights) -> CellWeights | None:
        array = np.asarray(getattr(cell, name))
        flat = array.reshape(-1, array.shape[2])
        return None if min(flat.shape) == 1 else with_arrays(cell, **{name: flat.T.reshape(array.shape)})

    return change


def _reshaped_gates(name: str) -> CellChange:
    """The same within each gate block, as in CuDNNLSTM files."""

    def change(cell: CellWeights) -> CellWeights | None:
        array = np.asarray(getattr(cell, name))
        if min(array.shape[1:]) == 1:
            return None
        return with_arrays(cell, **{name: np.swapaxes(array, 1, 2).reshape(array.shape)})

    return change


def _reshaped_to_columns(name: str) -> CellChange:
    """Reshape data stored as (4 * hidden, input) instead of transposing it."""

    def change(cell: CellWeights) -> CellWeights | None:
        array = np.asarray(getattr(cell, name))
        rows, columns = array.shape[0] * array.shape[1], array.shape[2]
        if min(rows, columns) == 1:
            return None
        return with_arrays(cell, **{name: array.reshape(columns, rows).T.reshape(array.shape)})

    return change


def _gates_reshaped_to_columns(name: str) -> CellChange:
    """The same within each gate block."""

    def change(cell: CellWeights) -> CellWeights | None:
        array = np.asarray(getattr(cell, name))
        gates, rows, columns = array.shape
        if min(rows, columns) == 1:
            return None
        return with_arrays(cell, **{name: np.swapaxes(array.reshape(gates, columns, rows), 1, 2)})

    return change


def _both(change: Callable[[str], CellChange]) -> CellChange:
    """The same change of W and U."""

    def both(cell: CellWeights) -> CellWeights | None:
        changed = change("W")(cell)
        return None if changed is None else change("U")(changed)

    return both


def _split_as_x_h(cell: CellWeights) -> CellWeights | None:
    """Split [h; x] as if it were [x; h]."""
    w, u = np.asarray(cell.W), np.asarray(cell.U)
    joined = np.concatenate([u, w], axis=2)
    return with_arrays(cell, W=joined[..., : w.shape[2]], U=joined[..., w.shape[2] :])


def _split_as_h_x(cell: CellWeights) -> CellWeights | None:
    """Split [x; h] as if it were [h; x]."""
    w, u = np.asarray(cell.W), np.asarray(cell.U)
    joined = np.concatenate([w, u], axis=2)
    return with_arrays(cell, U=joined[..., : u.shape[2]], W=joined[..., u.shape[2] :])


def _exchanged(cell: CellWeights) -> CellWeights | None:
    """Exchange W and U where their shapes agree."""
    return None if cell.W.shape != cell.U.shape else with_arrays(cell, W=np.asarray(cell.U), U=np.asarray(cell.W))


def _interleave(cell: CellWeights, *, to_units: bool) -> CellWeights | None:
    """Confuse gates in blocks with gates interleaved per unit.

    Row hidden * gate + unit is taken as row 4 * unit + gate, or the reverse.
    """
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
    return with_arrays(cell, **arrays)


_entry = partial(Mistake, family="orientation")
_TRANSPOSE = "U = U.swapaxes(1, 2)"
_SEPARATE = "\n".join(
    f"{name} = {name}.reshape(hidden, 4, *{name}.shape[2:]).swapaxes(0, 1)" for name in ("W", "U", "b")
)
_INTERLEAVE = "\n".join(f"{name} = {name}.swapaxes(0, 1).reshape({name}.shape)" for name in ("W", "U", "b"))

#: Suffix of an id -> title, explanation, the code that undoes it, and the change.
_RESHAPINGS: dict[str, tuple[str, str, str, Callable[[str], CellChange]]] = {
    "reshaped": (
        "{} reshaped instead of transposed",
        "The numbers of {} were poured into the other shape row by row (reshape) instead of transposed.",
        "{0} = {0}.reshape({0}.shape[2], 4 * hidden).T.reshape({0}.shape)",
        _reshaped,
    ),
    "gates-reshaped": (
        "each gate's block of {} reshaped instead of transposed",
        "Within each gate the numbers of {} are in the other storage order, as in CuDNNLSTM files.",
        "{0} = {0}.reshape(4, {0}.shape[2], hidden).swapaxes(1, 2)",
        _reshaped_gates,
    ),
    "reshaped-to-columns": (
        "{} reshaped to (input, 4 hidden) instead of transposed",
        "{} is stored as (4 hidden, input) and was poured into the shape (input, 4 hidden) row by row.",
        "{0} = {0}.reshape(4 * hidden, -1).T.reshape({0}.shape)",
        _reshaped_to_columns,
    ),
    "gates-reshaped-to-columns": (
        "each gate's block of {} reshaped to (input, hidden) instead of transposed",
        "Within each gate {} is stored as (hidden, input) and was poured into the shape (input, hidden) row by row.",
        "{0} = {0}.swapaxes(1, 2).reshape({0}.shape)",
        _gates_reshaped_to_columns,
    ),
}


def _reshaping(names: str, how: str) -> Mistake:
    """A wrong reshape of W, U or both."""
    title, explanation, code, change = _RESHAPINGS[how]
    words = " and ".join(names)
    return _entry(
        f"{'-'.join(names).lower()}-{how}", title.format(words), explanation.format(words),
        f"Transpose {words} (`.T`), do not `reshape`.", "\n".join(code.format(name) for name in names),
        change(names) if len(names) == 1 else _both(change), mixes_gates="gates" not in how,
    )  # fmt: skip


MISTAKES = (
    _entry("u-transposed", "recurrent kernel transposed in every gate",
           "Each (hidden, hidden) block of U is the transpose of what it should be; its square shape hides this.",
           "Transpose each gate's block of U.", _TRANSPOSE, _transposed("U")),
    *(
        _entry(f"u-transposed-{gate}", f"recurrent kernel of gate {gate} transposed",
               f"The (hidden, hidden) block of gate {gate} in U is transposed, the others are not.",
               f"Transpose the block of gate {gate} in U.", f"U[{index}] = U[{index}].T", _transposed_gate(index))
        for index, gate in enumerate("ifgo")
    ),
    _entry("w-transposed", "input kernel transposed in every gate",
           "Input and hidden size are equal, so each block of W can be transposed unseen.",
           "Transpose each gate's block of W.", "W = W.swapaxes(1, 2)", _transposed("W")),
    *(_reshaping(names, how) for how in _RESHAPINGS for names in ("W", "U", "WU")),
    _entry("stacked-h-x", "[h; x] kernel cut as [x; h]",
           "A kernel over the joined input was cut at the wrong place: the recurrent rows come first.",
           "Take the first hidden rows as U and the rest as W.",
           "joined, cut = np.concatenate([W, U], axis=2), U.shape[2]\nU, W = joined[..., :cut], joined[..., cut:]", _split_as_x_h),
    _entry("w-u-exchanged", "W and U exchanged",
           "Input and hidden size are equal, so the two kernels can change places unseen.",
           "Exchange W and U.", "W, U = U, W", _exchanged),
    _entry("stacked-x-h", "[x; h] kernel cut as [h; x]",
           "A kernel over the joined input was cut at the wrong place: the input rows come first.",
           "Take the first input rows as W and the rest as U.",
           "joined, cut = np.concatenate([U, W], axis=2), W.shape[2]\nW, U = joined[..., :cut], joined[..., cut:]", _split_as_h_x),
    _entry("blocks-as-units", "gates in blocks stored as if interleaved per unit",
           "Row hidden * gate + unit was written where row 4 * unit + gate is expected, as Chainer stores it.",
           "Interleave the gates per unit before loading.",
           _SEPARATE, partial(_interleave, to_units=True), mixes_gates=True),
    _entry("units-as-blocks", "gates interleaved per unit read as blocks",
           "The source stores row 4 * unit + gate, as Chainer does, and was read as four blocks.",
           "Separate the interleaved gates.",
           _INTERLEAVE, partial(_interleave, to_units=False), mixes_gates=True),
)  # fmt: skip
