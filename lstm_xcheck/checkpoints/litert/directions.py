"""Finds the direction of LSTMs in a graph, and pairs directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..codecs.limits import escape
from ..written.cell import IN_ORDER_READ
from .cell import Cell
from .graph import Graph, Operator

#: What joins the outputs of two directions; the first puts them side by side.
_JOINING = ("CONCATENATION", "ADD", "MUL")
#: What takes one step of a sequence, and what only hands it on.
_PICKING = ("STRIDED_SLICE", "SLICE")
_PASSING = ("TRANSPOSE", "REVERSE_V2", "RESHAPE", "CUSTOM FlexTensorListStack", *_PICKING)
_MAX_STEPS = 8
#: Cells that meet in one operator, of which a model has two.
_MOST_PARTNERS = 8
_SWAPPED = (1, 0, 2)


def placed(cell: Cell) -> Cell:
    """The cell with its original sequence, and whether it reads backward."""
    (number, axis), transposed = cell.sequence, False
    for _ in range(_MAX_STEPS):
        kind, op, _ = cell.graph.maker(number)
        given = cell.graph.integers(op.input(1)) if op and kind in ("TRANSPOSE", "REVERSE_V2") else None
        if op is None or not given:
            break
        if kind == "REVERSE_V2" and len(given) == 1 and given[0] == axis:
            transposed = not transposed
        elif kind == "TRANSPOSE" and given == _SWAPPED:
            axis = 1 - axis
        else:
            break
        number = op.input(0)
    return replace(cell, sequence=(number, axis), backward=cell.backward != transposed)


@dataclass(frozen=True)
class _End:
    """An operator that a cell's outputs reach, and how."""

    op: Operator
    position: int
    aligned: bool


def _walk(cell: Cell) -> Iterator[_End]:
    """The operators that a cell's outputs reach, past pass-through ones."""
    waiting = [(number, 0, False) for number in cell.results]
    seen: set[int] = set()
    while waiting:
        number, steps, aligned = waiting.pop()
        for op in cell.graph.used_by.get(number, ()) if number >= 0 else ():
            yield _End(op, op.inputs.index(number), aligned or len(cell.graph.tensors[number].shape) == 2)  # one step
            if op.kind in _PASSING and op.inputs[0] == number and steps < _MAX_STEPS and id(op) not in seen:
                seen.add(id(op))
                transposed = aligned or op.kind == "REVERSE_V2" or op.kind in _PICKING
                waiting += [(made, steps + 1, transposed) for made in op.outputs[:1]]


def pairs(cells: list[tuple[Cell, ...]]) -> Iterator[tuple[Cell, ...]]:
    """The LSTMs with paired directions, forward first."""
    taken: set[int] = set()
    alone = {k: cell for k, directions in enumerate(cells) if len(directions) == 1 for cell in directions}
    meeting = {k: {id(end.op): end for end in _walk(cell) if end.op.kind in _JOINING} for k, cell in alone.items()}
    met: dict[int, list[int]] = {}
    for k, ends in meeting.items():
        for key in ends:
            met.setdefault(key, []).append(k)
    for k, directions in enumerate(cells):
        if k in taken:
            continue
        near = sorted({m for key in meeting.get(k, ()) for m in met[key][:_MOST_PARTNERS] if m > k and m not in taken})
        partner = next((m for m in near if _fit(alone, meeting, k, m)), None)
        if k not in alone or partner is None:
            yield tuple(map(_noted, directions)) if k in alone else directions
            continue
        taken.add(partner)
        forward, backward = sorted((k, partner), key=lambda number: alone[number].backward)
        yield _joined(alone[forward], alone[backward], _shared(meeting, forward, backward))


def _shared(meeting: dict[int, dict[int, _End]], forward: int, backward: int) -> _End | None:
    return next((meeting[backward][key] for key in meeting[forward] if key in meeting[backward]), None)


def _fit(alone: dict[int, Cell], meeting: dict[int, dict[int, _End]], k: int, m: int) -> bool:
    """Whether two are the directions of one layer."""
    if k not in alone or alone[k].backward == alone[m].backward:
        return False
    forward, backward = sorted((k, m), key=lambda number: alone[number].backward)
    one, other = alone[forward], alone[backward]
    end = _shared(meeting, forward, backward)
    if end is None or not end.aligned or one.graph is not other.graph or one.sequence != other.sequence:
        return False
    shapes = [{key: (tensor.shape, tensor.dtype) for key, tensor in cell.tensors.items()} for cell in (one, other)]
    before = meeting[forward][id(end.op)].position < end.position
    return shapes[0] == shapes[1] and one.options == other.options and (before or end.op.kind != "CONCATENATION")


def _joined(forward: Cell, backward: Cell, end: _End | None) -> tuple[Cell, Cell]:
    """Both directions under the name of the layer around them."""
    kind = end.op.kind if end else _JOINING[0]
    notes: tuple[str, ...] = ()
    if kind != "CONCATENATION":
        notes = (f"the graph joins its directions by {kind}; the canonical form puts them side by side",)
    name = _common(forward.name, backward.name) or _joint_name(forward.graph, end) or forward.name
    return (replace(forward, name=name, notes=(*forward.notes, *notes)), replace(backward, name=name))


def _common(one: str, other: str) -> str:
    """The folder that two names share."""
    first, second = one.rpartition("/")[0], other.rpartition("/")[0]
    return first if first == second else ""


def _joint_name(graph: Graph, end: _End | None) -> str:
    made = end.op.outputs[0] if end and end.op.outputs else -1
    return escape(graph.tensors[made].name.rpartition("/")[0], 200) if made >= 0 else ""


def _noted(cell: Cell) -> Cell:
    """A note for a backward LSTM whose outputs stay reversed."""
    transposed = any(end.op.kind == "REVERSE_V2" for end in _walk(cell))
    return replace(cell, notes=(*cell.notes, IN_ORDER_READ)) if cell.backward and not transposed else cell
