"""Reads the layer configs that Keras 2 adds to a SavedModel.

Only read: no class is looked up. Keras 3 writes no such file.
Source: keras 2.12.0, keras/saving/legacy/saved_model/save.py; keras/protobuf/saved_metadata.proto (`SavedObject`:
`identifier` 4, `metadata` 5, the JSON of a layer).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...errors import CheckpointError
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..codecs.protobuf import fields, message
from ..keras.by_hand import accepted_notes, functions_of, refuse_foreign
from ..keras.config import BACKWARD, TIME_MAJOR, KerasConfig, LayerConfig, layer_config, merged_by
from ..model import FoundLSTM, UnreadLSTM
from ..options import KerasOptions

_FILE = "keras_metadata.pb"
_LARGEST = 64 << 20
_KERAS2 = KerasConfig({}, "2.0")


def keras2_layers(folder: Path) -> dict[str, LayerConfig | None]:
    """The layers and cells by name; None for a name that several have."""
    file = folder / _FILE
    if not file.is_file():
        return {}
    if file.stat().st_size > _LARGEST:
        raise CheckpointError(f"{file} has over {_LARGEST:,} bytes, more than the layers of any model take")
    found: dict[str, LayerConfig | None] = {}
    try:
        for number, node in fields(file.read_bytes()):
            texts = [message(value) for kind, value in fields(message(node)) if kind == 5] if number == 1 else []
            config = layer_config(json.loads(texts[0].decode("utf-8"))) if texts and texts[0] else None
            if config and found.setdefault(config.name, config) != config:
                found[config.name] = None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged ({escape(error)}); copy the whole folder again") from error
    return found


def by_name(layers: Mapping[str, LayerConfig]) -> dict[str, LayerConfig | None]:
    """Layers of a config by their variables' names; None where several share one."""
    found: dict[str, LayerConfig | None] = {}
    for place, layer in layers.items():
        side = place.rpartition("/")[2]
        # A Bidirectional calls its copies of `lstm` `forward_lstm` and `backward_lstm`.
        name = side.removesuffix("layer") + layer.name if side in ("forward_layer", "backward_layer") else layer.name
        if found.setdefault(name, layer) != layer:
            found[name] = None
    return found


def with_function(
    lstm: FoundLSTM, variable: str, layers: Mapping[str, LayerConfig | None], options: KerasOptions
) -> FoundLSTM | UnreadLSTM:
    """The LSTM with its config applied, or why it is not read.

    Args:
        lstm: as its weights alone show it.
        variable: full name of one of its weights, `lstm_1/lstm_cell_3/kernel`.
        layers: of the SavedModel or of --keras-config, by name.
        options: what the user says of it.
    """
    parts = [part for part in variable.split("/")[:-1] if part in layers]
    outer = [layer for part in parts if (layer := layers[part])]
    own = next((layer for layer in reversed(outer) if "recurrent_activation" in layer.values), None)
    if own is None and len(outer) < len(parts):
        return UnreadLSTM(lstm.name, f"the file has several layers named {escape(parts[-1])}, which are not alike")
    if own is None and lstm.layout != "keras":
        return lstm
    if own is None and options.config is not None:
        return UnreadLSTM(lstm.name, f"--keras-config has no LSTM named in {escape(variable)}")
    classes = [layer for layer in outer if layer is own or layer.is_bidirectional or "cell" in layer.values]
    refused = refuse_foreign(classes, options)
    functions = functions_of(own.values if own else {}, "sigmoid", _KERAS2, options)
    if refused or isinstance(functions, str):
        return UnreadLSTM(lstm.name, refused or str(functions))
    spec = lstm.weights.spec
    backward = options.go_backwards if own is None else any(layer.values.get("go_backwards") for layer in outer)
    reverse = backward and not spec.bidirectional
    merges = {str(layer.values.get("merge_mode", "concat")) for layer in outer} - {"concat"}
    notes = [*([] if own else lstm.notes), *accepted_notes(classes), *functions.notes]
    notes += ["--go-backwards says that it reads backward"] * (own is None and reverse)
    notes += [BACKWARD] * reverse + [merged_by(mode) for mode in merges]
    notes += [TIME_MAJOR] * any(bool(layer.values.get("time_major")) for layer in outer)
    cell = functions.activation
    changed = replace(
        spec, gate_activation=functions.recurrent_activation, cell_activation=cell, output_activation=cell,
        reverse=reverse,
    )  # fmt: skip
    weights = lstm.weights if changed == spec else LSTMWeights(changed, lstm.weights.layers, lstm.weights.dtype)
    return replace(lstm, weights=weights, notes=tuple(notes))
