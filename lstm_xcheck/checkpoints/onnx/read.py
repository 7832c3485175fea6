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
from ...layouts.onnx_node import NotInSpecError
from ...layouts.table import layout_named
from ...model import LSTMSpec, LSTMWeights
from ..codecs.limits import FLOAT_SIZES, MAX_LSTMS, SMALL, escape, refuse_many, shortlist
from ..detect.assemble import build, others, unique_names, unread_state, why_unsupported
from ..model import Checkpoint, FoundLSTM, OtherTensor, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from ..topology import ModelTopology
from ..written.cell import Known
from .attributes import spec_options
from .folding import Constant, Folding
from .layers import key_of
from .order_of_steps import Reversal, reversal
from .scopes import Scope, Value, scopes_of
from .states import not_zero, note_of, short_lengths, unread_lengths
from .tensors import constants_of, data_files, floating, stored, tensors_of
from .topology import graph_topology
from .written_steps import written_lstms

_LAYOUT = layout_named("onnx")

#: Position of each input that holds weights, and of those that do not.
_WEIGHTS = {"W": 1, "R": 2, "B": 3, "P": 7}
_LENGTHS = 4
_STATES = {"initial_h": 5, "initial_c": 6}
#: LSTMs may share constants in part, as layers with one recurrent matrix do.
MOST_SHARED = 4
#: What the smallest LSTM counts for, whose building takes longer than its reading.
_LEAST = 1024
#: Nodes of a model, of which an unrolled network has some ten thousand, and tensors that nested graphs know.
_MAX_NODES, _MAX_KNOWN = 200_000, 20_000_000
#: What protobuf and onnx raise on names that are no text, and on types and fields that do not exist.
_FAULTS = (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError)


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM of the model, nested graphs included.

    Data outside the model's folder is refused.
    """
    model = load_model(path)
    try:
        _refuse_large(path, model)
        return _read_model(path, model, options)
    except _FAULTS as error:
        raise CheckpointError(
            f"{path}: the ONNX model is damaged ({escape(error)}); copy or download it again"
        ) from error


def _read_model(path: Path, model: Any, options: ReadOptions) -> Checkpoint:
    parts = (path, *data_files(path, tensors_of(model)))
    size = sum(file.stat().st_size for file in parts)
    scopes = list(scopes_of(path, model))
    reader = _Reader(path, Folding(path, size), Shared(path, size))
    for scope in scopes:
        for node in scope.graph.node:
            reader.take(scope, node)
    unread, found = reader.unread, [lstm for lstm, _, _ in reader.found]
    known = Known(path, max(SMALL, MOST_SHARED * size))
    nodes: set[str] = set()
    for written in written_lstms(path, scopes, reader.folding, known, reader.inside):
        if isinstance(written, UnreadLSTM):
            unread.append(written.as_tensor("operators"))
        else:
            found.append(written.found)
            reader.states.update(written.states)
            nodes |= written.nodes
    unread += _unread_calls(scopes, reader)
    lstms = unique_names(path, [(lstm, f"{lstm.name}#{number}") for number, lstm in enumerate(found)])
    used = {name for lstm in lstms for name in lstm.tensors}
    rest = [tensor for tensor in _stored(path, scopes) if tensor.name not in used]
    topology = ModelTopology()
    if options.load_other_tensors:
        lines = zip(lstms, reader.found, strict=False)
        top = {key_of(node): (lstm.name, _direction(scope, node)) for lstm, (_, scope, node) in lines if not scope.kind}
        topology = graph_topology(model.graph, constants_of(model.graph, {}), top, used | nodes)
    listed = others(rest, reader.states, options)
    return Checkpoint(path, "onnx", lstms, (*unread, *listed), "onnx", topology, parts)


def _stored(path: Path, scopes: list[Scope]) -> Iterator[TensorInfo]:
    """Every stored tensor; of nested graphs, those that may be weights."""
    seen: set[int] = set()
    for scope in scopes:
        for name, tensor in scope.tensors.items():
            if id(tensor) not in seen and (not scope.kind or floating(tensor)):
                seen.add(id(tensor))
                yield stored(path, name, tensor)


def _unread_calls(scopes: list[Scope], reader: _Reader) -> Iterator[OtherTensor]:
    """Functions that are called an LSTM, in which none is found."""
    for scope in scopes:
        if scope.kind == "call" and _is_lstm(scope.graph.name) and not any(map(scope.path.startswith, reader.inside)):
            why = f"the function {escape(scope.graph.name)} has no operator LSTM within"
            yield UnreadLSTM(scope.path.rstrip("/"), why).as_tensor("function")


def _is_lstm(operator: str) -> bool:
    return "lstm" in operator.lower()


def _direction(scope: Scope, node: Any) -> str:
    return escape(_text(scope.attributes(node).get("direction", b"forward")))


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


def _refuse_large(path: Path, model: Any) -> None:
    """Refuse more tensors, nodes and LSTMs than any real model has, nested graphs included."""
    nodes = lstms = tensors = 0
    inner = [model.graph, *model.functions]
    while inner:
        graph = inner.pop()
        nodes += len(graph.node)
        tensors += len(getattr(graph, "initializer", ()))
        refuse_many(path, tensors)
        refuse_many(path, nodes, "nodes", _MAX_NODES)
        for node in graph.node:
            lstms += "LSTM" in node.op_type
            for attribute in node.attribute:
                inner += [attribute.g] if attribute.HasField("g") else []
                inner += attribute.graphs
        refuse_many(path, lstms, "LSTMs", MAX_LSTMS)
        # Each graph knows the tensors of those around it.
        refuse_many(path, len(inner) * tensors, "tensors known to nested graphs", _MAX_KNOWN)


class _Reader:
    """The LSTMs of a model, and what is not read of them.

    Attributes:
        found: each with its graph and node.
        unread: LSTMs that are not read, with the reason.
        states: by tensor, the initial state that it is, where that is not zero.
        inside: the functions that an LSTM lies in, read or not.
    """

    def __init__(self, path: Path, folding: Folding, shared: Shared) -> None:
        self._path, self.folding, self._shared = path, folding, shared
        self.found: list[tuple[FoundLSTM, Scope, Any]] = []
        self.unread: list[OtherTensor] = []
        self.states: dict[str, Reason] = {}
        self.inside: set[str] = set()

    def take(self, scope: Scope, node: Any) -> None:
        """Read a node if it is an LSTM, or name it."""
        plain = node.op_type == "LSTM" and node.domain in ("", "ai.onnx")
        if not plain and not _is_lstm(_operator(node)):
            return
        if not plain and scope.calls(node):
            return
        self.inside.add(scope.path)
        name = scope.path + _name(node, len(self.found) + len(self.unread))
        try:
            if not plain:
                raise NotInSpecError(f"{_foreign(node)}; its inputs are {self._weights_of(scope, node)}")
            self.found.append((self._read(scope, node, name), scope, node))
        except NotInSpecError as error:
            self.unread.append(UnreadLSTM(name, escape(error, 400)).as_tensor(f"{escape(_operator(node))} node"))

    def _weights_of(self, scope: Scope, node: Any) -> str:
        """The stored tensors that a node takes, with type and shape."""
        infos = [constant.info for value in scope.inputs(node) if (constant := self.folding.constant(value))]
        listed = [f"{escape(info.name)} {info.dtype}{list(info.shape)}" for info in infos if len(info.shape) > 1]
        return shortlist(listed) or "computed"

    def _read(self, scope: Scope, node: Any, name: str) -> FoundLSTM:
        """The LSTM that a node is.

        Raises:
            NotInSpecError: with the reason why it cannot be read.
        """
        inputs = scope.inputs(node)
        parts: dict[str, Constant] = {}
        for kind, position in _WEIGHTS.items():
            value = _at(inputs, position)
            constant = self.folding.constant(value)
            if constant is not None:
                parts[kind] = constant
            elif value is not None:
                by = escape(getattr(scope.maker(value)[0], "op_type", "") or "an input")
                raise NotInSpecError(
                    f"its {kind} is computed by other nodes ({by}); export the model with constants folded "
                    "(onnxruntime or onnxsim does it)"
                )
            elif kind in "WR":
                raise NotInSpecError(f"it has no input {kind}")
        tensors = {kind: constant.info for kind, constant in parts.items()}
        unsupported = why_unsupported(tensor.dtype for tensor in tensors.values())
        if unsupported:
            raise NotInSpecError(unsupported)
        spec = _spec(self._path, name, scope.attributes(node), tensors)
        states = {kind: _at(inputs, position) for kind, position in _STATES.items()}
        self._refuse_other_states(states, spec)
        weights = self._shared.weights((spec, *(part.key for part in parts.values())), name, tensors, spec)
        whole = all(part.stored for part in parts.values())
        return FoundLSTM(
            name=name,
            weights=weights,
            layout="onnx",
            why=f"node {escape(node.name) or name} is the operator LSTM, and its inputs {', '.join(tensors)} are "
            + ("constants" if whole else "made of constants"),
            native_count=weights.parameter_count,
            source_dtype=weights.dtype,
            tensors=tuple(dict.fromkeys(leaf for part in parts.values() for leaf in part.leaves)),
            notes=tuple(self._notes(name, states, _at(inputs, _LENGTHS), _at(inputs, 0))),
            arrays={key: tensor.name for key, tensor in tensors.items()} if whole else {},
        )

    def _refuse_other_states(self, states: dict[str, Value | None], spec: LSTMSpec) -> None:
        shapes = [constant.info.shape for state in states.values() if (constant := self.folding.constant(state))]
        odd = [list(shape) for shape in shapes if shape and shape[-1] != spec.hidden_size]
        if odd:
            raise NotInSpecError(
                f"it has {spec.hidden_size} units, but its initial states are {odd[0]}; torch.onnx writes such "
                "graphs, which nothing runs, for proj_size; port the state dict instead"
            )

    def _notes(
        self, name: str, states: dict[str, Value | None], lengths: Value | None, sequence: Value | None
    ) -> Iterator[str]:
        """What the graph gives it that weights do not hold."""
        given = [kind for kind, state in states.items() if state is not None]
        if given:
            yield f"the graph gives it {' and '.join(given)}"
        if lengths is not None:
            yield "the graph gives it sequence_lens"
        if reversal(self.folding, sequence) == Reversal(True):
            yield "the graph reverses the sequence that it reads, and may not reverse its outputs"
        leaves = short_lengths(self.folding, lengths, sequence)
        if leaves:
            yield f"its sequence_lens are the constant {', '.join(map(escape, leaves))}, which is not read"
            self.states.update(dict.fromkeys(leaves, unread_lengths(name)))
        for kind, leaves in not_zero(self.folding, states):
            yield note_of(kind, leaves)
            self.states.update(dict.fromkeys(leaves, unread_state(kind, name)))


def _operator(node: Any) -> str:
    """What a node does, which an attribute may say."""
    names = [_text(one.s) for one in node.attribute if one.name in ("operator", "rnn_mode")]
    return next(filter(_is_lstm, names), str(node.op_type))


def _foreign(node: Any) -> str:
    if node.op_type == "DynamicQuantizeLSTM":
        return "its weights are quantised to 8 bits; port the model as it was before quantisation"
    where = f" of {escape(node.domain)}" if node.domain else ""
    return f"the operator {escape(_operator(node))}{where} is none of ONNX' own"


def _at(inputs: list[Value | None], position: int) -> Value | None:
    return inputs[position] if len(inputs) > position else None


def _name(node: Any, number: int) -> str:
    given = node.name or next((output for output in node.output if output), "") or f"lstm_{number}"
    return escape(given.strip("/") or f"lstm_{number}", 200)


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
            size = sum(math.prod(tensor.shape) * FLOAT_SIZES[tensor.dtype] for tensor in tensors.values())
            self._left -= max(size, _LEAST)
        return self._read[key]


def _spec(path: Path, name: str, attributes: dict[str, Any], tensors: dict[str, TensorInfo]) -> LSTMSpec:
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
