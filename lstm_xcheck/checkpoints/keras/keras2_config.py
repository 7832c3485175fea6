"""Makes the Functional config of a written `.h5`, in Keras 2's words.

Source: tf_keras 2.21, src/engine/functional.py (`get_network_config`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import CheckpointError
from ...model import LSTMSpec, LSTMWeights
from ...model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3
from ..codecs.limits import escape
from ..other_layers.model import OtherLayers
from .write_config import Entry, model_config


def plain_spec(spec: LSTMSpec) -> LSTMSpec:
    """The same sizes with what Keras does by default."""
    return LSTMSpec(
        spec.input_size, spec.hidden_size, spec.num_layers, spec.bidirectional, spec.bias, spec.proj_size,
        spec.peepholes,
    )  # fmt: skip


def keras2_config(lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> dict[str, Any]:
    """The model's config; a name has no slash in Keras."""
    worded = {file_name(name): _in_words_of_keras3(name, weights) for name, weights in lstms.items()}
    layers = tuple(replace(layer, name=file_name(layer.name)) for layer in other_layers.layers)
    chain = tuple(replace(step, name=file_name(step.name)) for step in other_layers.chain)
    config, _ = model_config(worded, replace(other_layers, layers=layers, chain=chain))
    values = config["config"]
    ends = {key: _listed(values[key]) for key in ("input_layers", "output_layers")}
    entries = [_entry(entry) for entry in values["layers"]]
    return {"class_name": "Functional", "config": {"name": "lstms", "trainable": True, "layers": entries, **ends}}


def file_name(name: str) -> str:
    """What a layer is called in the file."""
    return name.replace("/", "_")


def _in_words_of_keras3(name: str, weights: LSTMWeights) -> LSTMWeights:
    """The weights with Keras 2's hard_sigmoid as what Keras 3 calls so."""
    spec = weights.spec
    functions = [spec.gate_activation, spec.cell_activation, spec.output_activation]
    if HARD_SIGMOID_KERAS3 in functions:
        raise CheckpointError(
            f"LSTM {escape(name)} cannot be written for Keras 2, whose hard_sigmoid is another activation"
        )
    gates, cell, output = (HARD_SIGMOID_KERAS3 if f == HARD_SIGMOID_KERAS2 else f for f in functions)
    spec = replace(spec, gate_activation=gates, cell_activation=cell, output_activation=output)
    return LSTMWeights(spec, weights.layers, weights.dtype)


def _listed(ends: list[Any]) -> list[Any]:
    """The ends of the model, in a list also where there is one."""
    return ends if isinstance(ends[0], list) else [ends]


def _entry(entry: Entry) -> Entry:
    """A layer of Keras 3's config as one of Keras 2's."""
    nodes = [[[source, 0, 0, {}] for node in entry["inbound_nodes"] for source in _sources(node)]]
    return {**_described(entry), "name": entry["name"], "inbound_nodes": nodes if nodes[0] else []}


def _sources(node: Mapping[str, Any]) -> list[str]:
    return [argument["config"]["keras_history"][0] for argument in node["args"]]


def _described(entry: Entry) -> Entry:
    config = dict(entry["config"])
    policy = config.get("dtype")
    if isinstance(policy, dict):
        config["dtype"] = policy["config"]["name"]
    if "batch_shape" in config:
        config["batch_input_shape"] = config.pop("batch_shape")
    config.update({key: _described(config[key]) for key in ("layer", "backward_layer") if key in config})
    return {"module": "keras.layers", "class_name": entry["class_name"], "config": config, "registered_name": None}
