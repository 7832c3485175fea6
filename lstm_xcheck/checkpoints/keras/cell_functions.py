"""What a cell computes: by config, by hand, else by default."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import CheckpointError
from ..codecs.limits import escape
from ..model import UnreadLSTM
from ..options import KerasOptions
from .by_hand import Functions, accepted_notes, functions_by_hand, functions_of, option_of, refuse_foreign
from .cells import CUDNN, Cell, ancestors
from .config import OWN, TIME_MAJOR, KerasConfig, LayerConfig, snake_case

DIRECTIONS = ("forward_layer", "backward_layer")


def with_config(
    path: Path, cell: Cell, names: Mapping[str, str], config: KerasConfig, options: KerasOptions
) -> Cell | UnreadLSTM:
    """The cell with its config applied, or why it is not read."""
    layers = config.layers
    own = layers.get(cell.place) or layers.get(cell.layer)
    # Within StackedRNNCells the direction is the outer RNN's: <rnn>/cell/cells/<cell>.
    outer = layers.get(cell.layer.partition("/cell/cells/")[0])
    near = next((layers[place] for place in (cell.place, *ancestors(cell.place), "") if place in layers), None)
    classes = (near, *near.outer) if near else ()
    name = escape(layer_name(cell.layer, names, layers), 200)
    refused = refuse_foreign(classes, options)
    if refused:
        return UnreadLSTM(name, refused)
    if own is None or outer is None:
        return _by_default(path, cell, names, config, options, accepted_notes(classes))
    _check_agreement(path, cell, own, names.get(cell.place if cell.place in layers else cell.layer, ""))
    functions = _functions(cell, own.values, config, options)
    if isinstance(functions, str):
        return UnreadLSTM(name, functions)
    return replace(
        cell,
        activation=functions.activation,
        recurrent_activation=functions.recurrent_activation,
        backward=bool(outer.values.get("go_backwards", False)),
        notes=(*accepted_notes(classes), *functions.notes, *_config_notes(cell, own, outer)),
        stated=functions.stated,
    )


def _functions(cell: Cell, values: Mapping[str, Any], config: KerasConfig, options: KerasOptions) -> Functions | str:
    """What a cell computes; the functions of cuDNN are fixed."""
    if cell.layout is CUDNN:
        return functions_of(values, "sigmoid", config, KerasOptions())
    return functions_of(values, config.default_gates, config, options)


def _by_default(
    path: Path,
    cell: Cell,
    names: Mapping[str, str],
    config: KerasConfig,
    options: KerasOptions,
    accepted: Sequence[str],
) -> Cell | UnreadLSTM:
    """The cell with what the user says, else with the defaults of its Keras.

    A config leaves open only what lies in an accepted class of the user.
    """
    if options.config is not None and not accepted:
        listed = ", ".join(layer.name for layer in config.layers.values() if "lstm" in layer.class_name.lower())
        raise CheckpointError(
            f"{path}: --keras-config {options.config} has no LSTM at {escape(cell.layer)}, but {escape(listed, 200)}; "
            "give the config of this very model"
        )
    unknown = "the config of the file has no layer for its weights" if config.layers and not accepted else ""
    functions = unknown or _functions(cell, {}, config, options)
    if isinstance(functions, str):
        return UnreadLSTM(escape(layer_name(cell.layer, names, config.layers), 200), functions)
    parts = cell.place.split("/")
    backward = options.go_backwards and not set(DIRECTIONS) & set(parts)
    stated = [*functions.notes, *["--go-backwards says that it reads backward"] * backward]
    note = "the file says nothing of activations, go_backwards and merge_mode; Keras' defaults are taken"
    gates = functions.recurrent_activation
    if gates != "sigmoid" and "recurrent_activation" not in functions.stated:
        note += f": {gates} and tanh, as in Keras {escape(config.version)}"
    return replace(
        cell,
        activation=functions.activation,
        recurrent_activation=gates,
        backward=backward or "backward_layer" in parts,
        notes=(f"{note}, but {' and '.join(stated)}" if stated else note, *accepted, *_class_notes(cell, names)),
        stated=(*functions.stated, *["go_backwards"] * backward),
    )


def _class_notes(cell: Cell, names: Mapping[str, str]) -> Iterator[str]:
    """Names a group's class if it is not Keras' own."""
    container, _, last = cell.layer.rpartition("/")
    group = re.sub("_[0-9]+$", "", last)
    if names and container.rpartition("/")[2] == "layers" and group not in map(snake_case, OWN):
        yield f"its class, by its group {escape(group)}, is not Keras' own and may compute something else"


def refuse_idle_options(path: Path, cells: Collection[Cell], options: KerasOptions, config: KerasConfig) -> None:
    """Refuse what the user says where the file says another thing of every LSTM."""
    wanted = {**functions_by_hand(options, config), **({"go_backwards": True} if options.go_backwards else {})}
    for key, value in wanted.items():
        own = {cell.backward if key == "go_backwards" else getattr(cell, key) for cell in cells}
        if cells and value not in own and not any(key in cell.stated for cell in cells):
            raise CheckpointError(
                f"{path}: {option_of(key)} says {value}, but the file itself says {' and '.join(map(str, own))}; "
                "leave the option out"
            )


def _config_notes(cell: Cell, own: LayerConfig, outer: LayerConfig) -> tuple[str, ...]:
    keys = () if cell.layout is CUDNN else ("activation", "recurrent_activation")
    notes = [f"its config says nothing of {key}; Keras' default is taken" for key in keys if key not in own.values]
    if outer.values.get("stateful"):
        notes.append("stateful: Keras goes on from the states of the batch before; give them to the other framework")
    if outer.values.get("time_major"):
        notes.append(TIME_MAJOR)
    if own.policy.startswith("mixed_"):
        notes.append(f"its dtype policy is {escape(own.policy)}: Keras computes in {escape(own.policy[6:])}")
    return tuple(notes)


def _check_agreement(path: Path, cell: Cell, own: LayerConfig, stored_name: str) -> None:
    """Refuse to pair a config with another layer's weights."""
    facts = {"units": cell.units, "use_bias": "bias" in cell.tensors, "name": stored_name or own.name}
    for key, actual in facts.items():
        declared = own.name if key == "name" else own.values.get(key, actual)
        if declared != actual:
            raise CheckpointError(
                f"{path}: the config says {key} {escape(declared)} where the weights at {escape(cell.place)} have "
                f"{escape(actual)}; save the model again"
            )


def layer_name(place: str, names: Mapping[str, str], layers: Mapping[str, LayerConfig]) -> str:
    """The user's layer name, else the last part of its place."""
    outer, _, cell = place.partition("/cell/cells/")
    if cell:
        return f"{layer_name(outer, names, layers)}/{cell}"
    parent, _, last = place.rpartition("/")
    if last in DIRECTIONS:
        return f"{layer_name(parent, names, layers)}/{last}"
    written = layers[place].name if place in layers else ""
    return names.get(place) or written or last or "lstm"
