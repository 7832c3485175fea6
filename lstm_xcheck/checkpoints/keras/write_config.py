"""Makes the Functional config of a written `.keras`.

A line is the whole model where the order of its layers is known; else each layer stands alone, and a stack of LSTMs is
a line of its own.
Source: keras 3.15.1, keras/src/models/functional.py (`get_config`, order of layers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import CheckpointError
from ...layouts.other_layers import OTHER_LAYERS
from ...model import LSTMSpec, LSTMWeights
from ...model.spec import HARD_SIGMOID_KERAS3
from ..codecs.limits import escape
from ..layout_arrays import chain_of
from ..other_layers.model import Layer, OtherLayers, plain_name

#: A layer's entry in the config, still without its input.
Entry = dict[str, Any]


def model_config(lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> tuple[dict[str, Any], list[str]]:
    """The config of the model, and its layers in Keras' order."""
    lines = [_whole_line(lstms, other_layers)] if other_layers.chain else _lines(lstms, other_layers.layers)
    layers: list[tuple[int, Entry]] = []
    inputs, outputs = [], []
    names = {entry["config"]["name"] for _, line in lines for entry in line}
    for number, (taken, line) in enumerate(lines):
        source = _free(f"input_{number}", names)
        # Keras sorts layers by their distance from the output.
        layers.append((len(line), _input(source, taken)))
        inputs.append([source, 0, 0])
        for depth, entry in enumerate(line):
            layers.append((len(line) - 1 - depth, _after(entry, source)))
            source = entry["config"]["name"]
        outputs.append([source, 0, 0])
    layers.sort(key=lambda item: -item[0])
    ordered = [layer for _, layer in layers]
    # A model of one input takes it as it is, not in a list of one.
    ends = {"input_layers": inputs, "output_layers": outputs}
    config = {"name": "lstms", "trainable": True, "layers": ordered}
    config.update({key: places[0] if len(places) == 1 else places for key, places in ends.items()})
    order = [layer["name"] for layer in ordered if layer["class_name"] != "InputLayer"]
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
        "build_config": {"input_shape": None},
    }, order


#: What a line takes, as `batch_shape` and `dtype`, and its layers.
_Line = tuple[dict[str, Any], list[Entry]]


def _lines(lstms: Mapping[str, LSTMWeights], layers: Sequence[Layer]) -> list[_Line]:
    """Each LSTM and each layer for itself."""
    lines = [(_taken(weights), _lstm_entries(name, weights, {})) for name, weights in lstms.items()]
    return lines + [(_taken(layer), [_layer_entry(layer)]) for layer in layers]


def _whole_line(lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> _Line:
    layers = {layer.name: layer for layer in other_layers.layers}
    steps = [step for step in other_layers.chain if step.kind != "input"]
    entries = []
    for step in steps:
        if step.name in lstms:
            entries += _lstm_entries(step.name, lstms[step.name], step.attributes)
        elif step.name in layers:
            entries.append(_layer_entry(layers[step.name]))
        else:
            entries.append(_described(step.attributes["class_name"], dict(step.attributes["config"])))
    first = next((step.name for step in steps if step.kind != "plain"), "")
    taken = _taken(lstms[first] if first in lstms else layers[first], before_lstm=True)
    given = next((step.attributes for step in other_layers.chain if step.kind == "input"), {})
    attributes = isinstance(given.get("batch_shape"), list) and isinstance(given.get("dtype"), str)
    return (given if attributes else taken), entries


def _taken(layer: LSTMWeights | Layer, *, before_lstm: bool = False) -> dict[str, Any]:
    """What a layer takes: vectors or ids, in sequence or single."""
    if isinstance(layer, LSTMWeights):
        return {"batch_shape": [None, None, layer.spec.input_size], "dtype": layer.dtype}
    if layer.kind == "embedding":
        return {"batch_shape": [None, None], "dtype": "int32"}
    width = next(array.shape[0] for array in layer.arrays.values() if array.shape)
    steps: list[int | None] = [None] if before_lstm or layer.attributes.get("time_distributed") else []
    return {"batch_shape": [None, *steps, width], "dtype": layer.dtype}


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"{name}_"
    return name


def _input(name: str, taken: Mapping[str, Any]) -> Entry:
    config = {"batch_shape": taken["batch_shape"], "dtype": taken["dtype"], "name": name}
    return {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None,
            "name": name, "inbound_nodes": []}  # fmt: skip


def _after(entry: Entry, source: str) -> Entry:
    """The entry of a layer after another; Keras finds tensors by history alone."""
    tensor = {"shape": [None], "dtype": "float32", "keras_history": [source, 0, 0]}
    node = {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": [node]}


def _layer_entry(layer: Layer) -> Entry:
    """The entry of another layer, with its attributes."""
    row = OTHER_LAYERS["keras"][layer.kind]
    name = plain_name(layer.name)
    config = {"name": name, "trainable": True, "dtype": _policy(layer.dtype)}
    attributes = layer.attributes
    if layer.kind == "embedding":
        size = dict(zip(("input_dim", "output_dim"), layer.arrays["table"].shape, strict=True))
        config.update({**size, "mask_zero": bool(attributes.get("mask_zero", False))})
    elif layer.kind == "dense":
        use_bias, units = "bias" in layer.arrays, layer.arrays["kernel"].shape[1]
        config.update({"units": units, "activation": attributes.get("activation", "linear"), "use_bias": use_bias})
    else:
        epsilon = attributes.get("epsilon", OTHER_LAYERS[layer.family][layer.kind].epsilon)
        config.update({"axis": -1, "epsilon": epsilon})
        config.update({"center": "offset" in layer.arrays, "scale": "scale" in layer.arrays})
        config.update({"momentum": attributes["momentum"]} if "momentum" in attributes else {})
    if not attributes.get("time_distributed"):
        return _described(row.class_name, config)
    inner = _described(row.class_name, {**config, "name": f"{name}_layer"})
    return _described("TimeDistributed", {"name": name, "trainable": True, "dtype": config["dtype"], "layer": inner})


def _lstm_entries(name: str, weights: LSTMWeights, attributes: Mapping[str, Any]) -> list[Entry]:
    """The layers of a stack; only the last may drop steps."""
    chain = chain_of({name: weights})
    last = list(chain)[-1]
    return [_lstm_entry(label, layer, attributes if label == last else {}) for label, layer in chain.items()]


def _lstm_entry(name: str, weights: LSTMWeights, attributes: Mapping[str, Any]) -> Entry:
    spec = weights.spec
    shape = {"input_shape": [None, None, spec.input_size]}
    config = {**_lstm_config(name, spec, weights.dtype), "return_sequences": attributes.get("return_sequences", True)}
    lstm = {**_described("LSTM", config), "build_config": shape}
    if not spec.bidirectional:
        return lstm
    config = {
        "name": name,
        "trainable": True,
        "dtype": _policy(weights.dtype),
        "merge_mode": attributes.get("merge_mode", "concat"),
        "layer": {**lstm, "config": {**lstm["config"], "name": f"forward_{name}"}},
        "backward_layer": {**lstm, "config": {**lstm["config"], "name": f"backward_{name}", "go_backwards": True}},
    }
    return {**_described("Bidirectional", config), "build_config": shape}


def _described(class_name: str, config: dict[str, Any]) -> Entry:
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


def _lstm_config(name: str, spec: LSTMSpec, dtype: str) -> dict[str, Any]:
    """What differs from Keras' defaults, or might one day."""
    activation, recurrent = (_activation(name, f) for f in (spec.cell_activation, spec.gate_activation))
    attributes = LSTMSpec(
        spec.input_size, spec.hidden_size, spec.num_layers, spec.bidirectional, spec.bias, reverse=spec.reverse,
        gate_activation=spec.gate_activation, cell_activation=spec.cell_activation,
        output_activation=spec.cell_activation,
    )  # fmt: skip
    if attributes != spec:
        differing = [key for key, value in spec.to_dict().items() if value != attributes.to_dict()[key]]
        raise CheckpointError(f"LSTM {escape(name)} cannot be written for Keras: no such {', '.join(differing)} there")
    return {
        "name": name, "trainable": True, "dtype": _policy(dtype), "return_sequences": True, "return_state": False,
        "go_backwards": spec.reverse, "stateful": False, "unroll": False, "units": spec.hidden_size,
        "activation": activation, "recurrent_activation": recurrent, "use_bias": spec.bias != "none",
        "unit_forget_bias": True, "dropout": 0.0, "recurrent_dropout": 0.0,
    }  # fmt: skip


def _activation(name: str, function: str) -> str:
    if function == HARD_SIGMOID_KERAS3:
        return "hard_sigmoid"
    if function not in ("tanh", "sigmoid", "relu", "linear"):
        raise CheckpointError(f"LSTM {escape(name)} cannot be written for Keras, which has no activation {function}")
    return function


def _policy(dtype: str) -> dict[str, Any]:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": dtype}, "registered_name": None}
