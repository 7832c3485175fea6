"""Detects LSTMs among the groups of a Keras weights file.

One LSTM is given per layer: `LSTM`, `RNN(LSTMCell)`, or `Bidirectional` of either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ...model import LSTMSpec
from ..codecs.limits import MAX_LSTMS, escape, refuse_many
from ..detect.assemble import Detected, build, others, unique_names
from ..model import FoundLSTM, OtherTensor, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .cell_functions import layer_name, refuse_idle_options, with_config
from .cells import Cell, Variables, ancestors, cell_of, inner_variables
from .config import BACKWARD, KerasConfig, LayerConfig, merged_by


def detect_keras(
    path: Path,
    groups: Sequence[Variables],
    loose: Sequence[TensorInfo],
    config: KerasConfig,
    options: ReadOptions,
) -> Detected:
    """The LSTMs among groups of variables, and all other tensors."""
    names = {group.place: group.name for group in groups if group.name}
    reasons: dict[str, Reason] = {}
    cells: dict[str, Cell] = {}
    inner = inner_variables(groups)
    for group in groups:
        name = escape(layer_name(group.place.removesuffix("/cell"), names, config.layers), 200)
        cell = cell_of(group, inner.get(group.place, ""), name)
        if isinstance(cell, Cell):
            cell = with_config(path, cell, names, config, options.keras)
        if isinstance(cell, Cell):
            cells[cell.place] = cell
        elif cell:
            reasons.update({tensor.name: cell for tensor in group.tensors.values()})
    refuse_idle_options(path, cells.values(), options.keras, config)
    refuse_many(path, len(cells), "LSTMs", MAX_LSTMS)
    order = {place: position for position, place in enumerate(config.layers)}
    pairs = sorted(_paired(cells), key=lambda pair: order.get(pair[0].layer, len(order)))
    found = [(_found(path, pair, names, config), pair[0].layer) for pair in pairs]
    lstms = unique_names(path, found)
    used = {name for lstm in lstms for name in lstm.tensors}
    everything = [tensor for group in groups for tensor in group.tensors.values()] + list(loose)
    other = others((tensor for tensor in everything if tensor.name not in used), reasons, options)
    return lstms, (*other, *_without_weights(groups, config))


def _without_weights(groups: Sequence[Variables], config: KerasConfig) -> Iterator[OtherTensor]:
    """The LSTMs of the config of which the file holds no weights."""
    lstms = {place: layer for place, layer in config.layers.items() if "lstm" in layer.class_name.lower()}
    places = (place for group in groups if group.tensors for place in (group.place, *ancestors(group.place)))
    built = {(lstms[place].class_name, lstms[place].name) for place in places if place in lstms}
    # Shared layers and those of Keras 2.12 have several places.
    for class_name, name in dict.fromkeys((layer.class_name, layer.name) for layer in lstms.values()):
        if (class_name, name) not in built:
            why = f"the config has this {escape(class_name)}, but the file has no weights of it"
            yield UnreadLSTM(escape(name, 200), why).as_tensor("no weights")


def _paired(cells: Mapping[str, Cell]) -> list[tuple[Cell, ...]]:
    """Each LSTM's cells: one, or forward and backward."""
    pairs: list[tuple[Cell, ...]] = []
    done: set[str] = set()
    for cell in cells.values():
        parent, _, last = cell.layer.rpartition("/")
        partner = cells.get(f"{parent}/backward_layer{cell.place[len(cell.layer) :]}")
        if last == "forward_layer" and partner and _is_bidirectional(cell, partner):
            pairs.append((cell, partner))
            done |= {cell.place, partner.place}
    return pairs + [(cell,) for cell in cells.values() if cell.place not in done]


def _is_bidirectional(forward: Cell, backward: Cell) -> bool:
    return forward.shared == backward.shared and not forward.backward and backward.backward


def _found(path: Path, cells: tuple[Cell, ...], names: Mapping[str, str], config: KerasConfig) -> FoundLSTM:
    first = cells[0]
    both = len(cells) == 2
    layer = first.layer.rpartition("/")[0] if both else first.layer
    layers = config.layers
    name = escape(layer_name(layer, names, layers), 200)
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


def _notes(cells: tuple[Cell, ...], layer: LayerConfig | None) -> tuple[str, ...]:
    notes = list(dict.fromkeys(note for cell in cells for note in cell.notes))
    mode = layer.values.get("merge_mode", "concat") if layer and layer.is_bidirectional else "concat"
    if mode != "concat":
        notes.append(merged_by(mode))
    if len(cells) == 1 and cells[0].backward:
        notes.append(BACKWARD)
    return tuple(notes)
