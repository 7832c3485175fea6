"""Reads LiteRT (TensorFlow Lite) models: LSTM operators and loops.

Read without LiteRT and never run. A forward and a backward LSTM of one sequence whose outputs are joined are one.
Source: TensorFlow 2.21, its converter and interpreter.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, SpecError
from ...layouts import spec_of
from ...layouts.table import layout_named
from ...model import LSTMSpec
from ..codecs.limits import escape
from ..detect.assemble import build, others, unique_names, unread_state
from ..model import Checkpoint, FoundLSTM, OtherTensor, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .cell import FUSED, Cell, Leaf, NotReadError, fused_cells
from .directions import pairs, placed
from .graph import Graph, Model, Operator, parse
from .loop import loop_cell, step_cells

_LAYOUT = layout_named("litert")

#: What exporters call a tensor whose maker has no name.
_NAMELESS = ("StatefulPartitionedCall", "PartitionedCall", "tfl.", "arith.", "Identity")
#: Each costs the reader some milliseconds, but a file only some bytes, since operators may share their weights.
_MOST = 1000


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM of the model."""
    model = parse(path)
    try:
        return _read(path, model, options)
    except ValueError as error:
        raise CheckpointError(
            f"{path}: the LiteRT model is damaged ({escape(error)}); copy or download it again"
        ) from error


def _read(path: Path, model: Model, options: ReadOptions) -> Checkpoint:
    cells, unread = _cells(model)
    found: list[tuple[FoundLSTM, str]] = []
    used: set[Leaf] = set()
    states: dict[Leaf, Reason] = {}
    for directions in pairs(cells):
        name = directions[0].name
        try:
            found.append((_found(path, name, directions), f"{name}#{len(found)}"))
            used.update(leaf for cell in directions for leaf in cell.leaves)
            given = [(leaf, state) for cell in directions for leaf, state in cell.states.items()]
            states.update((leaf, unread_state(state, name)) for leaf, state in given)
        except NotReadError as error:
            unread.append(UnreadLSTM(name, str(error)).as_tensor("LSTM"))
    reasons = {model.graphs[graph].stored(number).name: why for (graph, number), why in states.items()}
    rest = others(_rest(model, used, states), reasons, options)
    return Checkpoint(path, "litert", unique_names(path, found), (*unread, *rest))


def _cells(model: Model) -> tuple[list[tuple[Cell, ...]], list[OtherTensor]]:
    """The LSTMs in running order, and why others are not read."""
    cells: list[tuple[Cell, ...]] = []
    unread: list[OtherTensor] = []
    bodies = {op.option(1) for graph in model.graphs for op in graph.operators if op.kind == "WHILE"}
    for graph in model.graphs:
        for op in graph.operators:
            if op.kind not in (*FUSED, "WHILE"):
                continue
            name = _name(graph, op.outputs, len(cells) + len(unread))
            try:
                directions = _directions(graph, op, name)
            except NotReadError as error:
                unread.append(UnreadLSTM(name, str(error)).as_tensor(op.kind))
                continue
            if directions:
                cells.append(directions)
            if len(cells) > _MOST:
                raise CheckpointError(f"{model.path} has more than {_MOST} LSTMs; it is not a real model")
        if graph.number not in bodies:
            written, refused = _written(graph, len(cells) + len(unread))
            cells += written
            unread += refused
    return cells, unread


def _written(graph: Graph, number: int) -> tuple[list[tuple[Cell, ...]], list[OtherTensor]]:
    """The single steps that a graph writes out."""
    unread: dict[str, UnreadLSTM] = {}
    cells: list[tuple[Cell, ...]] = []
    for found in step_cells(graph, lambda op: _name(graph, op.outputs, number)):
        if isinstance(found, Cell):
            cells.append((found,))
        else:
            unread.setdefault(str(found[1]), UnreadLSTM(found[0], str(found[1])))
    return cells, [one.as_tensor("MUL") for one in unread.values()]


def _directions(graph: Graph, op: Operator, name: str) -> tuple[Cell, ...]:
    """The LSTM that an operator is; none for other loops."""
    if op.kind == "WHILE":
        cell = loop_cell(graph, op, name)
        return () if cell is None else (placed(cell),)
    directions = tuple(placed(cell) for cell in fused_cells(graph, op, name))
    if len(directions) > 1 and directions[0].backward:
        raise NotReadError("its sequence is reversed before it")
    return directions


def _name(graph: Graph, outputs: tuple[int, ...], number: int) -> str:
    """The layer's own name where the converter kept it."""
    made = graph.tensors[outputs[0]].name.partition(";")[0] if outputs and outputs[0] >= 0 else ""
    made = made.partition(":")[0]
    layer = made.rpartition("/while")[0] or made.rpartition("/")[0]
    if not layer or made.startswith(_NAMELESS):
        return f"lstm_{number}"
    return escape(layer.strip("/"), 200)


def _found(path: Path, name: str, directions: tuple[Cell, ...]) -> FoundLSTM:
    prefixes = ("",) if len(directions) == 1 else ("fw_", "bw_")
    given = {p + key: t for p, cell in zip(prefixes, directions, strict=True) for key, t in cell.tensors.items()}
    tensors = _of_one_type(given)
    weights = build(path, name, _LAYOUT, tensors, _spec(tensors, directions))
    stored = sorted({tensor.dtype for tensor in given.values()})
    widened = () if stored == ["float32"] else (f"stored as {' and '.join(stored)}; the graph widens it to float32",)
    model = directions[0].graph.model
    leaves = sorted({leaf for cell in directions for leaf in cell.leaves})
    names = (escape(model.graphs[graph].tensors[number].name, 200) for graph, number in leaves)
    return FoundLSTM(
        name=name,
        weights=weights,
        layout="litert",
        why=f"{directions[0].why}, and its weights are constants",
        native_count=weights.parameter_count - sum(cell.made_up for cell in directions),
        source_dtype=weights.dtype,
        tensors=tuple(dict.fromkeys(names)),
        notes=tuple(dict.fromkeys([*(note for cell in directions for note in cell.notes), *widened])),
    )


def _spec(tensors: dict[str, TensorInfo], directions: tuple[Cell, ...]) -> LSTMSpec:
    """Sizes from the shapes, all else from the graph."""
    options: dict[str, Any] = {**directions[0].options}
    options.pop("peepholes", None)
    try:
        sizes = spec_of({key: tensor.shape for key, tensor in tensors.items()}, "litert", None)
        return replace(sizes, reverse=len(directions) == 1 and directions[0].backward, **options)
    except SpecError as error:
        raise NotReadError(escape(error, 300)) from error


def _of_one_type(tensors: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Tensors as stored, or in float32 if types are mixed."""
    if len({tensor.dtype for tensor in tensors.values()}) == 1:
        return tensors
    if any(tensor.dtype == "float64" for tensor in tensors.values()):
        raise NotReadError("its weights are of float64 and other types")

    def widened(tensor: TensorInfo) -> TensorInfo:
        return replace(tensor, dtype="float32", load=lambda: tensor.load().astype("float32"))

    return {key: widened(tensor) for key, tensor in tensors.items()}


def _rest(model: Model, used: set[Leaf], states: Container[Leaf]) -> Iterator[TensorInfo]:
    """The constants of no LSTM; sizes, axes and scalars left out."""
    for graph in model.graphs:
        for number, tensor in enumerate(graph.tensors):
            place = (graph.number, number)
            listed = place in states or (tensor.shape and tensor.dtype not in ("int32", "int64", "bool"))
            if listed and place not in used and graph.is_stored(number) and graph.used_by.get(number):
                yield graph.stored(number)
