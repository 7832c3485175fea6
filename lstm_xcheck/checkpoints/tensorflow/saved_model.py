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
from ..keras.config import KerasConfig, LayerConfig
from ..model import FoundLSTM, UnreadLSTM

_FILE = "keras_metadata.pb"
_LARGEST = 64 << 20
_KERAS2 = KerasConfig({}, 2)


def keras2_layers(folder: Path) -> dict[str, LayerConfig]:
    """The layers and cells by name, ambiguous names left out."""
    file = folder / _FILE
    if not file.is_file() or file.stat().st_size > _LARGEST:
        return {}
    found: dict[str, LayerConfig] = {}
    unlike = set()
    try:
        for number, node in fields(file.read_bytes()):
            texts = [message(value) for kind, value in fields(message(node)) if kind == 5] if number == 1 else []
            config = _config(texts[0]) if texts else None
            if config and found.setdefault(config.name, config) != config:
                unlike.add(config.name)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged ({escape(error)}); copy the whole folder again") from error
    return {name: config for name, config in found.items() if name not in unlike}


def _config(text: bytes) -> LayerConfig | None:
    entry = json.loads(text.decode("utf-8")) if text else None
    if not isinstance(entry, dict):
        return None
    values = entry.get("config")
    if not isinstance(values, dict) or not isinstance(entry.get("class_name"), str):
        return None
    return LayerConfig(entry["class_name"], str(values.get("name", "")), values)


def with_function(lstm: FoundLSTM, variable: str, layers: Mapping[str, LayerConfig]) -> FoundLSTM | UnreadLSTM:
    """The LSTM with its config applied, or why it is not read.

    Args:
        lstm: as its weights alone show it.
        variable: full name of one of its weights, `lstm_1/lstm_cell_3/kernel`.
        layers: of the SavedModel, by name.
    """
    parts = variable.split("/")[:-1]
    own = next((layers[part] for part in reversed(parts) if part in layers), None)
    if own is None or "recurrent_activation" not in own.values:
        return lstm
    inner, outer = own.values, [layers[part].values for part in parts if part in layers]
    gates, cell = (_KERAS2.activation(inner.get(key)) for key in ("recurrent_activation", "activation"))
    if gates is None or cell is None:
        options = ", ".join(f"{key} {escape(inner.get(key))}" for key in ("recurrent_activation", "activation"))
        return UnreadLSTM(lstm.name, f"its {options} have no canonical form")
    spec = lstm.weights.spec
    reverse = not spec.bidirectional and any(values.get("go_backwards") for values in outer)
    merges = {str(values.get("merge_mode", "concat")) for values in outer} - {"concat"}
    notes = ["go_backwards: Keras gives outputs in the order read, the canonical form aligned with the input"] * reverse
    notes += [
        f"Keras merges both directions by merge_mode {escape(m)}; the canonical form keeps both apart" for m in merges
    ]
    changed = replace(spec, gate_activation=gates, cell_activation=cell, output_activation=cell, reverse=reverse)
    weights = lstm.weights if changed == spec else LSTMWeights(changed, lstm.weights.layers, lstm.weights.dtype)
    return replace(lstm, weights=weights, notes=tuple(notes))
