"""Reads ONNX models: every LSTM node with constant weights.

The model is parsed, not run. Names of tensors mean nothing after an export, so an LSTM gets its node's name.
Source: onnx 1.23.1, onnx/onnx.proto; ONNX operator LSTM, since version 22.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from ...errors import CheckpointError, SpecError
from ...layouts.table import layout_named
from ...model import LSTMSpec, LSTMWeights
from ..codecs.limits import FLOAT_SIZES, SMALL, escape
from ..detect.assemble import build, others, unique_names, why_unsupported
from ..model import Checkpoint, FoundLSTM, OtherTensor, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from ..topology import ModelTopology
from .attributes import NotInSpecError, spec_options
from .layers import attributes_of, key_of
from .tensors import Constants, constants_of, data_files, floating, stored, tensors_of
from .topology import graph_topology

_LAYOUT = layout_named("onnx")

#: Position of each input that holds weights, and of those that do not.
_WEIGHTS = {"W": 1, "R": 2, "B": 3, "P": 7}
_STATES = {"initial_h": 5, "initial_c": 6}

_MAX_DEPTH = 16
#: LSTMs may share constants in part, as layers with one recurrent matrix do.
MOST_SHARED = 4
#: What protobuf and onnx raise on names that are no text, and on types and fields that do not exist.
_FAULTS = (ValueError, TypeError, AttributeError, KeyError, OverflowError)


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM of the model, nested graphs included.

    Data outside the model's folder is refused.
    """
    model = load_model(path)
    try:
        return _read_model(path, model, options)
    except _FAULTS as error:
        raise CheckpointError(
            f"{path}: the ONNX model is damaged ({escape(error)}); copy or download it again"
        ) from error


def _read_model(path: Path, model: Any, options: ReadOptions) -> Checkpoint:
    found: list[tuple[FoundLSTM, str]] = []
    unread: list[OtherTensor] = []
    read_nodes: list[Any] = []
    shared = Shared(path, sum(file.stat().st_size for file in (path, *data_files(path, tensors_of(model)))))
    for number, (node, constants) in enumerate(lstm_nodes(path, model.graph)):
        name = _name(node, number)
        outcome = _read_node(path, node, name, constants, shared)
        if isinstance(outcome, FoundLSTM):
            found.append((outcome, f"{name}#{number}"))
            read_nodes.append(node)
        else:
            unread.append(UnreadLSTM(name, outcome).as_tensor("LSTM node"))
    lstms = unique_names(path, found)
    used = {name for lstm in lstms for name in lstm.tensors}
    names = constants_of(model.graph, {})
    rest = [stored(path, name, tensor) for name, tensor in names.items() if name not in used]
    rest += [stored(path, name, tensor) for name, tensor in _inner(model.graph) if name not in used]
    topology = ModelTopology()
    if options.load_other_tensors:
        directions = [escape(_text(attributes_of(node).get("direction", b"forward"))) for node in read_nodes]
        lines = zip(read_nodes, lstms, directions, strict=True)
        topology = graph_topology(model.graph, names, {key_of(node): (lstm.name, way) for node, lstm, way in lines})
    parts = (path, *data_files(path, tensors_of(model)))
    return Checkpoint(path, "onnx", lstms, (*unread, *others(rest, {}, options)), "onnx", topology, parts)


def _inner(graph: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Weights in the nested graphs of If, Loop and Scan."""
    if depth > _MAX_DEPTH:
        return
    for inner in (attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")):
        yield from ((name, tensor) for name, tensor in constants_of(inner, {}).items() if floating(tensor))
        yield from _inner(inner, depth + 1)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def load_model(path: Path) -> Any:
    """The parsed model; data in other files is not touched."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no complete ONNX model ({escape(error)}); copy or download it again"
        ) from error
    if not model.HasField("graph"):
        raise CheckpointError(f"{path} is an ONNX model without a graph; export it again")
    return model


def lstm_nodes(
    path: Path, graph: Any, outer: Constants | None = None, depth: int = 0
) -> Iterator[tuple[Any, Constants]]:
    """Every LSTM node with the constants that it may name."""
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"{path} nests graphs more than {_MAX_DEPTH} deep; it is not a real model")
    constants = constants_of(graph, outer or {})
    for node in graph.node:
        if node.op_type == "LSTM" and node.domain in ("", "ai.onnx"):
            yield node, constants
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from lstm_nodes(path, attribute.g, constants, depth + 1)


def weight_names(node: Any) -> dict[str, str]:
    """The names of a node's W, R, B and P."""
    return {kind: name for kind, position in _WEIGHTS.items() if (name := _input(node, position))}


def _input(node: Any, position: int) -> str:
    return node.input[position] if len(node.input) > position else ""


def _name(node: Any, number: int) -> str:
    given = node.name or next((output for output in node.output if output), "") or f"lstm_{number}"
    return escape(given.strip("/") or f"lstm_{number}", 200)


def _read_node(path: Path, node: Any, name: str, constants: Constants, shared: Shared) -> FoundLSTM | str:
    """The LSTM, or why it cannot be read."""
    names = weight_names(node)
    missing = [kind for kind in "WR" if kind not in names]
    if missing:
        return f"it has no input {missing[0]}"
    computed = [kind for kind, tensor in names.items() if tensor not in constants]
    if computed:
        return (
            f"its {computed[0]} is computed by other nodes; export the model with constants folded "
            "(onnxruntime or onnxsim does it)"
        )
    tensors = {kind: stored(path, tensor, constants[tensor]) for kind, tensor in names.items()}
    unsupported = why_unsupported(tensor.dtype for tensor in tensors.values())
    if unsupported:
        return unsupported
    try:
        spec = _spec(path, name, node, tensors)
    except NotInSpecError as error:
        return escape(error, 300)
    odd = [
        list(state.dims)
        for state in _constant_states(node, constants)
        if state.dims and state.dims[-1] != spec.hidden_size
    ]
    if odd:
        return (
            f"it has {spec.hidden_size} units, but its initial states are {odd[0]}; torch.onnx writes such "
            "graphs, which nothing runs, for proj_size; port the state dict instead"
        )
    weights = shared.weights((spec, *(id(constants[tensor]) for tensor in names.values())), name, tensors, spec)
    given = [kind for kind, position in _STATES.items() if _input(node, position)]
    return FoundLSTM(
        name=name,
        weights=weights,
        layout="onnx",
        why=f"node {escape(node.name) or name} is the operator LSTM, and its inputs {', '.join(tensors)} are constants",
        native_count=weights.parameter_count,
        source_dtype=weights.dtype,
        tensors=tuple(tensor.name for tensor in tensors.values()),
        notes=(f"the graph gives it {' and '.join(given)}",) if given else (),
        arrays={key: tensor.name for key, tensor in tensors.items()},
    )


def _constant_states(node: Any, constants: Constants) -> list[Any]:
    """The initial states that are constants."""
    return [constants[state] for position in _STATES.values() if (state := _input(node, position)) in constants]


class Shared:
    """Weights by their constants, which many nodes may share."""

    def __init__(self, path: Path, size: int) -> None:
        """Starts empty for a model of `size` bytes."""
        self._path = path
        self._left = max(SMALL, MOST_SHARED * size)
        self._read: dict[tuple[Any, ...], LSTMWeights] = {}

    def weights(self, key: tuple[Any, ...], name: str, tensors: dict[str, TensorInfo], spec: LSTMSpec) -> LSTMWeights:
        """The LSTM of these tensors, one object for equal nodes."""
        if key not in self._read:
            if self._left < 0:
                raise CheckpointError(
                    f"{self._path}: its LSTM nodes combine the same constants in so many ways that they take more than "
                    f"{MOST_SHARED} times what the model has; it was not read"
                )
            # Building it shows that the file has what it claims.
            self._read[key] = build(self._path, name, _LAYOUT, tensors, spec)
            self._left -= sum(math.prod(tensor.shape) * FLOAT_SIZES[tensor.dtype] for tensor in tensors.values())
        return self._read[key]


def _spec(path: Path, name: str, node: Any, tensors: dict[str, TensorInfo]) -> LSTMSpec:
    attributes = attributes_of(node)
    options = spec_options(attributes)
    w, r = tensors["W"].shape, tensors["R"].shape
    hidden = attributes.get("hidden_size", r[-1] if r else 0)
    directions = 2 if options["bidirectional"] else 1
    if len(w) != 3 or r != (directions, 4 * hidden, hidden) or w[:2] != r[:2] or not hidden:
        raise CheckpointError(
            f"{path}: LSTM {name} has W {list(w)[:8]} and R {list(r)[:8]}, but should have {directions} x {4 * hidden} "
            f"x inputs and {directions} x {4 * hidden} x {hidden}; export the model again"
        )
    try:
        return LSTMSpec(
            input_size=w[2],
            hidden_size=hidden,
            bias="split" if "B" in tensors else "none",
            peepholes="P" in tensors,
            **options,
        )
    except SpecError as error:
        raise CheckpointError(f"{path}: LSTM {name} cannot be read: {escape(error, 300)}") from error
