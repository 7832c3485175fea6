"""Reads Keras configs: each layer by the place of its weights.

The config is only read: no class is looked up, no Lambda layer's code is decoded, nothing is executed.
Source: keras 3.15.1, keras/src/saving/saving_lib.py (`_save_container_state`: class name in snake case, numbered),
keras/src/layers/rnn/{rnn,lstm,bidirectional,stacked_rnn_cells}.py (`get_config`). Keras 2.12 lists layers elsewhere
and some twice: keras 2.12.0, keras/engine/functional.py (`_layer_checkpoint_dependencies`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import CheckpointError
from ...model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3
from ..codecs.limits import escape

#: Containers whose members are numbered per class, and the config keys of single children by their attribute name.
_LISTS = ("layers", "cells")
_CHILDREN = {"layer": "layer", "cell": "cell"}
_BIDIRECTIONAL = {"layer": "forward_layer", "backward_layer": "backward_layer"}

#: A layer in a model's list: its class, and its number if it is not the first of its class.
_IN_LIST = re.compile(r"(?<![^/])layers/([^/]+?)(?:_([0-9]{1,9}))?(?![^/])")

_MAX_DEPTH = 32

#: What a config says and the canonical form does not.
BACKWARD = "go_backwards: Keras gives outputs in the order read, the canonical form aligned with the input"
TIME_MAJOR = "time_major: Keras takes and gives steps before the batch, the canonical form batch first"


def merged_by(mode: str) -> str:
    """The note on a merge_mode other than concat."""
    return f"Keras merges both directions by merge_mode {escape(mode)}; the canonical form keeps both apart"


#: Keras' own classes that hold an LSTM, and the packages that they come from.
OWN = ("LSTM", "LSTMCell", "CuDNNLSTM", "UnifiedLSTM", "RNN", "StackedRNNCells", "Bidirectional")
#: Keras' own classes that hold other layers and change nothing in what they compute.
_AROUND = ("Functional", "Sequential", "Model", "TimeDistributed")
_PACKAGES = ("keras", "tf_keras", "tensorflow")
_NO_MODULE = "<none>"


@dataclass(frozen=True)
class LayerConfig:
    """One layer or cell of a config."""

    class_name: str
    name: str  # the user's layer name
    values: dict[str, Any]
    origin: str = ""  # the module or package that the config names, empty where it names none
    outer: tuple[LayerConfig, ...] = field(default=(), compare=False)  # what it lies in, nearest first

    @property
    def short_class(self) -> str:
        """The class without the package that it was registered under."""
        return self.class_name.rpartition(">")[2]

    @property
    def is_own(self) -> bool:
        """Whether this is Keras' own class, whose formula is known."""
        return self.class_name in (*OWN, *_AROUND) and self.origin.partition(".")[0] in ("", *_PACKAGES)

    @property
    def is_bidirectional(self) -> bool:
        """Whether it has a forward and a backward layer."""
        return self.class_name == "Bidirectional" or ("layer" in self.values and "merge_mode" in self.values)

    @property
    def policy(self) -> str:
        """Name of the dtype policy, such as `mixed_float16`; else empty."""
        dtype = self.values.get("dtype")
        if isinstance(dtype, dict):
            inner = dtype.get("config")
            dtype = inner.get("name") if isinstance(inner, dict) else None
        return dtype if isinstance(dtype, str) else ""


@dataclass(frozen=True)
class KerasConfig:
    """All layers by group path, and the version of Keras that wrote them."""

    layers: dict[str, LayerConfig]
    version: str = ""  # such as `2.2.4-tf`, empty where nothing says it
    # `recurrent_activation` of an LSTM of which nothing says it; None where two are possible
    default_gates: str | None = "sigmoid"

    def activation(self, value: Any) -> str | None:
        """A Keras activation as a spec names it, or None."""
        if value is None:
            return "linear"
        if value == "hard_sigmoid":
            numbers = _numbers(self.version)
            return (HARD_SIGMOID_KERAS2 if numbers < (3,) else HARD_SIGMOID_KERAS3) if numbers else None
        return value if isinstance(value, str) and value in ("tanh", "sigmoid", "relu", "linear") else None


def default_gates(version: str) -> str | None:
    """`recurrent_activation` where an older `.h5` says none; None if unknown.

    Keras 2.3 took sigmoid for hard_sigmoid. tf.keras calls itself 2.2.4-tf from TensorFlow 1.13, where its LSTM has
    hard_sigmoid, to 2.1, where it has sigmoid.
    Source: keras 2.2.5 and 2.3.0, keras/layers/recurrent.py; TensorFlow 1.15 and 2.1,
    tensorflow/python/keras/__init__.py and layers/recurrent_v2.py.

    >>> default_gates("2.2.4"), default_gates("2.3.0-tf"), default_gates("2.2.4-tf")
    ('hard_sigmoid:0.2,0.5', 'sigmoid', None)
    """
    numbers = _numbers(version)
    if not numbers or (version.endswith("-tf") and (2, 2) <= numbers < (2, 3)):
        return None
    return HARD_SIGMOID_KERAS2 if numbers < (2, 3) else "sigmoid"


def _numbers(version: str) -> tuple[int, ...]:
    """Major and minor of a version; empty for what is none."""
    match = re.match(r"([0-9]{1,3})\.([0-9]{1,3})", version)
    return (int(match[1]), int(match[2])) if match else ()


def layer_config(item: Any) -> LayerConfig | None:
    """A layer of a config, if this is one."""
    if not (
        isinstance(item, dict) and isinstance(item.get("class_name"), str) and isinstance(item.get("config"), dict)
    ):
        return None
    # Keras' own classes have a module and are registered nowhere, others are or have another module or none.
    # The older .h5 names no modules at all.
    package, _, _ = str(item.get("registered_name") or "").rpartition(">")
    origin = package or str(item.get("module") or "")
    if "module" in item and not item["module"]:
        origin = _NO_MODULE
    # A class of the user may leave the name out of its config.
    name = str(item["config"].get("name") or item.get("name") or "")
    return LayerConfig(item["class_name"], name, item["config"], origin)


def within(layer: LayerConfig, outer: LayerConfig) -> LayerConfig:
    """The layer with what it lies in."""
    return replace(layer, outer=(outer, *outer.outer))


def parse_config(path: Path, text: bytes, metadata: bytes) -> KerasConfig:
    """The layers of a `config.json` and the version in `metadata.json`."""
    version = _json_object(path, "metadata.json", metadata).get("keras_version")
    return described(path, {**_json_object(path, "config.json", text), "keras_version": version})


def described(path: Path, model: dict[str, Any]) -> KerasConfig:
    """The layers of a model as `to_json()` describes it."""
    layers: dict[str, LayerConfig] = {}
    _collect(path, model, "", layers, ())
    # First come the places of today: the order of layers is theirs.
    layers |= {_place_in_keras_2_12(place): layer for place, layer in layers.items()}
    version = model.get("keras_version")
    # Keras 3 gives no version here, but modules.
    if "keras_version" not in model and str(model.get("module")).startswith("keras."):
        version = "3.0"
    return KerasConfig(layers, version if isinstance(version, str) else "")


def backward_layer(layer: LayerConfig) -> LayerConfig:
    """The second layer of a Bidirectional that names only one.

    Source: keras 2.15.0, keras/src/layers/rnn/bidirectional.py (`_recreate_layer_from_config`).
    """
    name = f"backward_{layer.name}"
    changed = {"name": name, "go_backwards": not layer.values.get("go_backwards", False)}
    return replace(layer, name=name, values={**layer.values, **changed})


def snake_case(name: str) -> str:
    """A class name as Keras 3.15.1 spells it in paths (keras/src/utils/naming.py).

    >>> snake_case("LSTM"), snake_case("LSTMCell"), snake_case("TimeDistributed")
    ('lstm', 'lstm_cell', 'time_distributed')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _json_object(path: Path, member: str, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {member} is not JSON ({escape(error)}); save the model again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {member} is a {type(value).__name__}, but should be a JSON object")
    return value


def _place_in_keras_2_12(place: str) -> str:
    """Where Keras 2.12 stores a layer: it counts each layer with weights twice.

    >>> _place_in_keras_2_12("layers/lstm_1/cell"), _place_in_keras_2_12("layers/rnn/cell/cells/lstm_cell_1")
    ('_layer_checkpoint_dependencies/lstm_2/cell', '_layer_checkpoint_dependencies/rnn/cell/cells/lstm_cell_1')
    """

    def doubled(match: re.Match[str]) -> str:
        number = f"_{2 * int(match[2])}" if match[2] else ""
        return f"_layer_checkpoint_dependencies/{match[1]}{number}"

    return _IN_LIST.sub(doubled, place)


def _collect(
    path: Path, entry: dict[str, Any], place: str, layers: dict[str, LayerConfig], outer: tuple[LayerConfig, ...]
) -> None:
    """Adds an entry and its children under their places."""
    if len(outer) > _MAX_DEPTH:
        raise CheckpointError(f"{path}: config.json nests layers more than {_MAX_DEPTH} deep; it is not a real model")
    layer = layer_config(entry)
    if layer is None:
        return
    layers[place] = replace(layer, outer=outer)
    inside = (layers[place], *outer)
    start = f"{place}/" if place else ""
    values = layer.values
    inner = layer_config(values.get("layer"))
    if layer.is_bidirectional and inner and not values.get("backward_layer"):
        second = backward_layer(inner)
        values = {**values, "backward_layer": {**values["layer"], "config": second.values}}
    children = _BIDIRECTIONAL if layer.is_bidirectional else _CHILDREN
    for key, attribute in children.items():
        if isinstance(values.get(key), dict):
            _collect(path, values[key], start + attribute, layers, inside)
    for key in _LISTS:
        if isinstance(values.get(key), list):
            for name, item in _numbered(values[key]):
                _collect(path, item, f"{start}{key}/{name}", layers, inside)


def _numbered(items: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Members of a container by group names such as `lstm_1`."""
    used: dict[str, int] = {}
    result = []
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("class_name"), str):
            name = snake_case(item["class_name"].rpartition(">")[2])
            count = used.get(name, 0)
            used[name] = count + 1
            result.append((f"{name}_{count}" if count else name, item))
    return result
