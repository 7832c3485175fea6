"""Reads OpenVINO IR: LSTMSequence and LSTMCell with constant weights.

Read without OpenVINO and never run. A weight is found through the inputs of its node, never by its name.
Source: OpenVINO 2026.4.1, LSTMSequence of operation set 5 and LSTMCell of operation set 4.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from ...errors import CheckpointError, SpecError
from ...layouts.table import layout_named
from ...model import LSTMSpec
from ..codecs.limits import FLOAT_SIZES, MAX_LSTMS, escape, refuse_many
from ..detect.assemble import build, others, unique_names, unread_state
from ..model import Checkpoint, FoundLSTM, OtherTensor, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .constants import Constant, Constants
from .graph import Graph, Source, data, graphs, parse
from .written_steps import written_lstms

_LAYOUT = layout_named("openvino")

#: Position of W, R and B, of the initial states, and how many inputs there are.
_PLACES = {"LSTMSequence": ((4, 5, 6), (1, 2), 7), "LSTMCell": ((3, 4, 5), (1, 2), 6)}
_VERSIONS = {"LSTMSequence": "opset5", "LSTMCell": "opset4"}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
_FUNCTIONS = ("sigmoid", "tanh", "relu")
_UNDERSTOOD = {"direction", "hidden_size", "activations", "activations_alpha", "activations_beta", "clip"}
#: What passes zeros on as zeros.
_SHAPING = ("Broadcast", "Split", "Reshape", "Convert", "Transpose", "Unsqueeze", "Squeeze")


class Node(NamedTuple):
    """An LSTM with its layer and its Const layers."""

    found: FoundLSTM
    graph: Graph
    layer: Element
    leaves: tuple[Element, ...]
    states: dict[str, Reason]  # by Const layer, the initial state that it is, where that is not zero


class _NotReadError(ValueError):
    """Why a node is not read; the message is the reason."""


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM of the model, loop bodies included."""
    constants, root = Constants(path), parse(path)
    kinds = Counter(layer.get("type") for layer in root.iter("layer"))
    refuse_many(path, kinds.total(), "layers")
    refuse_many(path, sum(kinds[kind] for kind in _PLACES), "LSTMs", MAX_LSTMS)
    unread: list[OtherTensor] = []
    nodes = nodes_of(path, root, constants, unread)
    unread += [written.as_tensor("operators") for written in written_lstms(path, root, constants)]
    used = {id(leaf) for node in nodes.values() for leaf in node.leaves}
    everything = [layer for graph in graphs(path, root) for layer in graph.layers.values()]
    rest = [constants.stored(layer) for layer in everything if layer.get("type") == "Const" and id(layer) not in used]
    states = {name: state for node in nodes.values() for name, state in node.states.items()}
    # Sizes, axes and single numbers belong to the graph, not to what a model learned.
    rest = [one for one in rest if one.dtype in FLOAT_SIZES and (one.shape or one.name in states)]
    parts = (path, constants.bin) if constants.bin.is_file() else (path,)
    found = tuple(node.found for node in nodes.values())
    return Checkpoint(path, "openvino", found, (*unread, *others(rest, states, options)), parts=parts)


def nodes_of(
    path: Path, root: Element, constants: Constants, unread: list[OtherTensor] | None = None
) -> dict[str, Node]:
    """Every LSTM by name; unread ones are added to `unread`."""
    found: list[tuple[FoundLSTM, str]] = []
    nodes: list[Node] = []
    for graph in graphs(path, root):
        for layer in graph.layers.values():
            if "lstm" not in layer.get("type", "").lower():
                continue
            name = escape(layer.get("name", "").strip("/") or f"lstm_{len(found)}", 200)
            try:
                nodes.append(_read_node(path, constants, graph, layer, name))
            except _NotReadError as error:
                if unread is not None:
                    unread.append(UnreadLSTM(name, str(error)).as_tensor(f"{escape(layer.get('type'))} node"))
                continue
            found.append((nodes[-1].found, f"{name}#{len(found)}"))
    named = unique_names(path, found)
    return {lstm.name: node._replace(found=lstm) for lstm, node in zip(named, nodes, strict=True)}


def weight_sources(graph: Graph, layer: Element) -> dict[str, Source | None]:
    """What feeds W, R and B of an LSTM."""
    inputs = graph.inputs(layer)
    return {key: inputs[place] for key, place in zip("WRB", _PLACES[layer.get("type", "")][0], strict=True)}


def _read_node(path: Path, constants: Constants, graph: Graph, layer: Element, name: str) -> Node:
    kind = layer.get("type", "")
    if kind not in _PLACES:
        raise _NotReadError(f"the operator {escape(kind)} is none of {' and '.join(_PLACES)}")
    _, states_at, total = _PLACES[kind]
    inputs = graph.inputs(layer)
    if layer.get("version") != _VERSIONS[kind] or len(inputs) != total:
        raise _NotReadError(
            f"{kind} of {escape(layer.get('version'))} with {len(inputs)} inputs; convert the model anew"
        )
    parts = {}
    for key, source in weight_sources(graph, layer).items():
        part = constants.at(graph, source)
        if part is None and key == "B" and _is_zero(_origin(constants, graph, source)):
            continue  # zeros that the graph makes: no bias is stored
        if part is None:
            by = graph.layers[source[0]].get("type") if source else "nothing"
            raise _NotReadError(f"its {key} is computed by other nodes ({escape(by)}); convert it uncompressed")
        parts[key] = part
    options = _options(kind, graph, data(layer))
    tensors = _tensors(parts, cell=kind == "LSTMCell")
    spec = _spec(path, name, data(layer), tensors, options)
    weights = build(path, name, _LAYOUT, tensors, spec)
    states = {key: _origin(constants, graph, inputs[place]) for key, place in zip("hc", states_at, strict=True)}
    zeros = [state for state in states.values() if state is not None and _is_zero(state)]
    leaves = [leaf for part in [*parts.values(), *zeros] for leaf in part.leaves]
    other: dict[str, Reason] = {
        escape(leaf.get("name", ""), 200): unread_state(f"initial {key}", name)
        for key, state in states.items()
        for leaf in (state.leaves if state is not None and not _is_zero(state) else ())
    }
    found = FoundLSTM(
        name=name,
        weights=weights,
        layout="openvino",
        why=f"node {name} is an {kind} layer, and its inputs {', '.join(parts)} are constants",
        native_count=weights.parameter_count,
        source_dtype=weights.dtype,
        tensors=tuple(dict.fromkeys(escape(leaf.get("name", ""), 200) for p in parts.values() for leaf in p.leaves)),
        notes=_notes(kind, states, parts),
    )
    return Node(found, graph, layer, tuple(leaves), other)


def _notes(kind: str, states: dict[str, Constant | None], parts: dict[str, Constant]) -> tuple[str, ...]:
    notes = []
    given = [key for key, state in states.items() if not _is_zero(state)]
    if kind == "LSTMCell":
        notes.append("an LSTMCell, read as a layer of its own")
    elif given:
        notes.append(f"the graph gives it an initial {' and '.join(given)}")
    if any(part.dtype != part.computed for part in parts.values()):
        stored, used = (sorted({getattr(part, key) for part in parts.values()}) for key in ("dtype", "computed"))
        notes.append(f"stored as {' and '.join(stored)}; the graph widens it to {' and '.join(used)}")
    return tuple(notes)


def _origin(constants: Constants, graph: Graph, source: Source | None) -> Constant | None:
    """The constant that an initial state is made of."""
    for _ in range(len(_SHAPING)):
        constant = constants.at(graph, source)
        if constant is not None:
            return constant
        if source is None or graph.layers[source[0]].get("type") not in _SHAPING:
            return None
        source = next(iter(graph.inputs(graph.layers[source[0]])), None)
    return None


def _is_zero(constant: Constant | None) -> bool:
    """Whether an initial state is known, and zeros."""
    return constant is not None and constant.dtype in FLOAT_SIZES and not np.any(constant.load())


def _options(kind: str, graph: Graph, fields: dict[str, str]) -> dict[str, Any]:
    """The spec options that a node's attributes mean."""
    unknown = set(fields) - _UNDERSTOOD
    if unknown:
        raise _NotReadError(f"attribute {escape(min(unknown))} has no canonical form")
    direction = fields.get("direction", "forward")
    if direction not in _DIRECTIONS:
        raise _NotReadError(f"direction {escape(direction)} is none of {', '.join(_DIRECTIONS)}")
    names = [name.strip().lower() for name in fields.get("activations", "sigmoid, tanh, tanh").split(",")]
    if len(names) != 3 or not set(names) <= set(_FUNCTIONS):
        raise _NotReadError(f"activations {escape(', '.join(names))} have no canonical form")
    try:
        clip = float(fields.get("clip", "0") or "0")
    except ValueError as error:
        raise _NotReadError(f"clip is {escape(fields['clip'])}") from error
    return {
        "reverse": direction == "reverse" or (kind == "LSTMCell" and bool(graph.backward)),
        "bidirectional": direction == "bidirectional",
        "gate_activation": names[0],
        "cell_activation": names[1],
        "output_activation": names[2],
        "gate_clip": float(str(np.float32(clip))) if clip else None,
    }


def _tensors(parts: dict[str, Constant], *, cell: bool) -> dict[str, TensorInfo]:
    """W, R and B with an axis of directions, in one type."""
    mixed = len({part.dtype for part in parts.values()}) > 1
    tensors = {}
    for key, part in parts.items():
        dtype = part.computed if mixed else part.dtype
        shape = (1, *part.shape) if cell else part.shape
        if dtype not in FLOAT_SIZES or part.dtype not in FLOAT_SIZES:
            raise _NotReadError(f"stored as {part.dtype}, expected one of {', '.join(FLOAT_SIZES)}")

        def load(part: Constant = part, shape: tuple[int, ...] = shape, dtype: str = dtype) -> Any:
            values = part.load().reshape(shape)
            return values if dtype == "bfloat16" else values.astype(dtype)

        tensors[key] = TensorInfo(escape(part.leaves[0].get("name", ""), 200), shape, dtype, load)
    return tensors


def _spec(
    path: Path, name: str, fields: dict[str, str], tensors: dict[str, TensorInfo], options: dict[str, Any]
) -> LSTMSpec:
    w, r = (tensors[key].shape for key in "WR")
    b = tensors["B"].shape if "B" in tensors else w[:2]
    hidden = r[-1] if r else 0
    directions = 2 if options["bidirectional"] else 1
    fits = len(w) == 3 and r == (directions, 4 * hidden, hidden) and w[:2] == r[:2] == b
    if not fits or not hidden or not w[2] or fields.get("hidden_size", str(hidden)) != str(hidden):
        raise CheckpointError(
            f"{path}: LSTM {name} of hidden_size {escape(fields.get('hidden_size'))} has W {list(w)[:8]}, "
            f"R {list(r)[:8]} and B {list(b)[:8]}, which do not fit together; export the model again"
        )
    try:
        return LSTMSpec(input_size=w[2], hidden_size=hidden, bias="single" if "B" in tensors else "none", **options)
    except SpecError as error:
        raise CheckpointError(f"{path}: LSTM {name} cannot be read: {escape(error, 300)}") from error
