"""Detects LSTMs among the groups of a Keras weights file.

An LSTM cell is `kernel (x, 4h)`, `recurrent_kernel (h, 4h)` and perhaps `bias (4h)`; a GRU has 3 h columns, a
SimpleRNN 1. One LSTM is given per layer: `LSTM`, `RNN(LSTMCell)`, or `Bidirectional` of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import CheckpointError
from ...layouts.table import Layout, layout_named
from ...model import LSTMSpec
from ..codecs.limits import escape
from ..detect.assemble import Detected, build, others, unique_names, why_unsupported
from ..model import FoundLSTM, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .config import KerasConfig, LayerConfig

_KERAS, _CUDNN = layout_named("keras"), layout_named("cudnn-keras")
_KERNELS = ("kernel", "recurrent_kernel", "bias")
_DIRECTIONS = ("forward_layer", "backward_layer")


@dataclass(frozen=True)
class Variables:
    """A group of variables: the owner's place and name, tensors by number."""

    place: str
    name: str
    tensors: dict[str, TensorInfo]


@dataclass(frozen=True)
class _Cell:
    """One LSTM cell: its place, its layer's, and its config."""

    place: str
    layer: str
    tensors: dict[str, TensorInfo]
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    backward: bool = False
    notes: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        return self.tensors["recurrent_kernel"].shape[0]

    @property
    def input_size(self) -> int:
        return self.tensors["kernel"].shape[0]

    @property
    def layout(self) -> Layout:
        """The layout row; CuDNNLSTM has two biases in one vector."""
        bias = self.tensors.get("bias")
        return _CUDNN if bias and bias.shape == (8 * self.units,) else _KERAS

    @property
    def shared(self) -> tuple[object, ...]:
        """What both directions of one LSTM must share."""
        return (self.units, self.input_size, len(self.tensors), self.layout, self.activation, self.recurrent_activation)


def detect_keras(
    path: Path,
    groups: Sequence[Variables],
    loose: Sequence[TensorInfo],
    config: KerasConfig | None,
    options: ReadOptions,
) -> Detected:
    """The LSTMs among groups of variables, and all other tensors."""
    names = {group.place: group.name for group in groups if group.name}
    reasons: dict[str, Reason] = {}
    cells: dict[str, _Cell] = {}
    for group in groups:
        cell = _cell_of(group)
        if isinstance(cell, _Cell):
            cell = _with_config(path, cell, names, config)
        if isinstance(cell, _Cell):
            cells[cell.place] = cell
        elif cell:
            reasons.update({tensor.name: cell for tensor in group.tensors.values()})
    order = {place: position for position, place in enumerate(config.layers if config else ())}
    pairs = sorted(_paired(cells), key=lambda pair: order.get(pair[0].layer, len(order)))
    found = [(_found(path, pair, names, config), pair[0].layer) for pair in pairs]
    lstms = unique_names(path, found)
    used = {name for lstm in lstms for name in lstm.tensors}
    everything = [tensor for group in groups for tensor in group.tensors.values()] + list(loose)
    return lstms, others((tensor for tensor in everything if tensor.name not in used), reasons, options)


def _cell_of(group: Variables) -> _Cell | Reason:
    """The group as a cell, or why it is none; empty for others."""
    parent, _, last = group.place.rpartition("/")
    if last != "cell" and "lstm" not in last and "lstm" not in group.name:
        return ""
    count = len(group.tensors)
    if count not in (2, 3) or set(group.tensors) != set("012"[:count]):
        return f"not an LSTM: it has {count} variables, an LSTM cell has 2 or 3"
    tensors = {kind: group.tensors[str(k)] for k, kind in enumerate(_KERNELS[:count])}
    layer = parent if last == "cell" else group.place
    reason = _why_no_lstm(tensors)
    unsupported = why_unsupported(tensor.dtype for tensor in tensors.values())
    if unsupported and not reason:
        return UnreadLSTM(escape(group.name or layer, 200), unsupported)
    return reason or _Cell(group.place, layer, tensors)


def _why_no_lstm(tensors: Mapping[str, TensorInfo]) -> str:
    """Why shapes and types make no LSTM; empty if they do."""
    kernel, recurrent = tensors["kernel"].shape, tensors["recurrent_kernel"].shape
    if len(recurrent) != 2 or len(kernel) != 2 or not recurrent[0] or not kernel[0]:
        return f"not an LSTM: kernel is {list(kernel)} and recurrent kernel {list(recurrent)}"
    units, columns = recurrent
    if columns != 4 * units:
        family = next((f"a {name}, " for name, n in (("GRU", 3), ("SimpleRNN", 1)) if columns == n * units), "")
        return f"{family}not an LSTM: the recurrent kernel is {units} x {columns}, but an LSTM's has 4 columns per row"
    bias = tensors["bias"].shape if "bias" in tensors else (columns,)
    if kernel[1] != columns or bias not in ((columns,), (2 * columns,)):
        return f"not an LSTM: kernel {list(kernel)} and bias {list(bias)} beside recurrent kernel {list(recurrent)}"
    return ""


def _with_config(path: Path, cell: _Cell, names: Mapping[str, str], config: KerasConfig | None) -> _Cell | Reason:
    """The cell with its config applied, or why it is not read."""
    layers = config.layers if config else {}
    own = layers.get(cell.place) or layers.get(cell.layer)
    # Within StackedRNNCells the direction is the outer RNN's: <rnn>/cell/cells/<cell>.
    outer = layers.get(cell.layer.partition("/cell/cells/")[0])
    if config is None or own is None or outer is None:
        note = "the file says nothing of activations, go_backwards and merge_mode; Keras' defaults are taken"
        return replace(cell, backward="backward_layer" in cell.place.split("/"), notes=(note,))
    if "lstm" not in own.class_name.lower():
        return f"shaped as an LSTM, but its class is {escape(own.class_name)}, whose formula the file does not say"
    _check_agreement(path, cell, own, names.get(cell.place if cell.place in layers else cell.layer, ""))
    functions = []
    for key, default in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        value = own.values.get(key, default)
        function = config.activation(value)
        if function is None:
            why = "has two meanings without a Keras version" if value == "hard_sigmoid" else "has no canonical form"
            layer = escape(_layer_name(cell.layer, names, layers), 200)
            return UnreadLSTM(layer, f"its {key} {escape(value)} {why}")
        functions.append(function)
    backward = bool(outer.values.get("go_backwards", False))
    return replace(
        cell,
        activation=functions[0],
        recurrent_activation=functions[1],
        backward=backward,
        notes=_config_notes(own, outer),
    )


def _config_notes(own: LayerConfig, outer: LayerConfig) -> tuple[str, ...]:
    notes = []
    if outer.values.get("stateful"):
        notes.append("stateful: Keras goes on from the states of the batch before; give them to the other framework")
    if own.class_name not in ("LSTM", "LSTMCell"):
        notes.append(f"its class is {escape(own.class_name)}, not Keras' own, and may compute something else")
    if own.policy.startswith("mixed_"):
        notes.append(f"its dtype policy is {escape(own.policy)}: Keras computes in {escape(own.policy[6:])}")
    return tuple(notes)


def _check_agreement(path: Path, cell: _Cell, own: LayerConfig, stored_name: str) -> None:
    """Refuse to pair a config with another layer's weights."""
    facts = {"units": cell.units, "use_bias": "bias" in cell.tensors, "name": stored_name or own.name}
    for key, actual in facts.items():
        declared = own.name if key == "name" else own.values.get(key, actual)
        if declared != actual:
            raise CheckpointError(
                f"{path}: config.json says {key} {escape(declared)} where the weights at {escape(cell.place)} have "
                f"{escape(actual)}; save the model again"
            )


def _paired(cells: Mapping[str, _Cell]) -> list[tuple[_Cell, ...]]:
    """Each LSTM's cells: one, or forward and backward."""
    pairs: list[tuple[_Cell, ...]] = []
    done: set[str] = set()
    for cell in cells.values():
        parent, _, last = cell.layer.rpartition("/")
        partner = cells.get(f"{parent}/backward_layer{cell.place[len(cell.layer) :]}")
        if last == "forward_layer" and partner and _is_bidirectional(cell, partner):
            pairs.append((cell, partner))
            done |= {cell.place, partner.place}
    return pairs + [(cell,) for cell in cells.values() if cell.place not in done]


def _is_bidirectional(forward: _Cell, backward: _Cell) -> bool:
    return forward.shared == backward.shared and not forward.backward and backward.backward


def _found(path: Path, cells: tuple[_Cell, ...], names: Mapping[str, str], config: KerasConfig | None) -> FoundLSTM:
    first = cells[0]
    both = len(cells) == 2
    layer = first.layer.rpartition("/")[0] if both else first.layer
    layers = config.layers if config else {}
    name = escape(_layer_name(layer, names, layers), 200)
    spec = LSTMSpec(
        input_size=first.input_size,
        hidden_size=first.units,
        bidirectional=both,
        bias="none" if "bias" not in first.tensors else first.layout.bias,
        reverse=first.backward and not both,
        gate_activation=first.recurrent_activation,
        cell_activation=first.activation,
        output_activation=first.activation,
    )
    prefixes = first.layout.directions[1:] if both else ("",)
    tensors = {p + kind: t for p, cell in zip(prefixes, cells, strict=True) for kind, t in cell.tensors.items()}
    weights = build(path, name, first.layout, tensors, spec)
    return FoundLSTM(
        name=name,
        weights=weights,
        layout=first.layout.name,
        why=(
            f"{escape(first.place)} has a recurrent kernel of {first.units} x {4 * first.units}: "
            "4 columns per unit make an LSTM, a GRU has 3 and a SimpleRNN 1"
        ),
        native_count=weights.parameter_count,
        source_dtype=weights.dtype,
        tensors=tuple(tensor.name for tensor in tensors.values()),
        notes=_notes(cells, layers.get(layer)),
        arrays={key: tensor.name for key, tensor in tensors.items()},
    )


def _notes(cells: tuple[_Cell, ...], layer: LayerConfig | None) -> tuple[str, ...]:
    notes = list(dict.fromkeys(note for cell in cells for note in cell.notes))
    mode = layer.values.get("merge_mode", "concat") if layer and layer.class_name == "Bidirectional" else "concat"
    if mode != "concat":
        notes.append(f"Keras merges both directions by merge_mode {escape(mode)}; the canonical form keeps both apart")
    if len(cells) == 1 and cells[0].backward:
        notes.append("go_backwards: Keras gives outputs in the order read, the canonical form aligned with the input")
    return tuple(notes)


def _layer_name(place: str, names: Mapping[str, str], layers: Mapping[str, LayerConfig]) -> str:
    """The user's layer name, else the last part of its place."""
    outer, _, cell = place.partition("/cell/cells/")
    if cell:
        return f"{_layer_name(outer, names, layers)}/{cell}"
    parent, _, last = place.rpartition("/")
    if last in _DIRECTIONS:
        return f"{_layer_name(parent, names, layers)}/{last}"
    written = layers[place].name if place in layers else ""
    return names.get(place) or written or last or "lstm"
