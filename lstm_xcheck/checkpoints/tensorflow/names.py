"""Names of LSTM variables in TensorFlow checkpoints.

Checkpoints of TF1 have the variables' own names. Those of TF2 name a place in a tree of objects,
`layer_with_weights-0/cell/kernel/.ATTRIBUTES/VARIABLE_VALUE`; a SavedModel often only numbers them, `variables/0`, as
does a checkpoint with an optimizer, `optimizer/_trainable_variables/0`, and says beside it what they are called.

Source: TensorFlow 2.21, tensorflow/python/checkpoint/graph_view.py and core/protobuf/trackable_object_graph.proto;
Keras 3.15.1, keras/src/export/saved_model.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from ..codecs.protobuf import fields, message

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_NUMBERED = re.compile(r"(?:.*/)?(?P<list>_all_|_?(?:non_)?trainable_|)variables/[0-9]+", re.DOTALL)
#: What training needs and the model does not.
_TRAINING = re.compile(
    r"(?:.*/)?(?:\.OPTIMIZER_SLOT/.*|_?optimizer[0-9_]*/.*|keras_api/metrics/.*|seed_generator_state)", re.DOTALL
)
_FORWARD = re.compile(r"(?P<parent>(?:.*/)?)forward_(?P<layer>[^/]+)/(?P<rest>.*)", re.DOTALL)
_NUMBER = re.compile(r"((?:^|/)lstm_cell)_[0-9]+(?=/)")
_COUNTED = re.compile(r"(?:^|[-/])[0-9]+$")
_CELL = re.compile(r"(?:basic_)?(?:lstm_)?cell(?:_[0-9]+)?")


def full_names(graph: bytes) -> dict[str, str]:
    """The variables' own names by their keys.

    Raises:
        ValueError: for a damaged graph of objects.
    """
    found = {}
    for number, node in fields(graph):
        if number != 1:
            continue
        for kind, attribute in fields(message(node)):
            if kind == 2:
                texts = {field: value for field, value in fields(message(attribute)) if field in (2, 3)}
                key, name = (message(texts.get(field, b"")).decode("utf-8") for field in (3, 2))
                found[key] = name.partition(":")[0]
    return found


def model_names(keys: Iterable[str], shapes: Mapping[str, tuple[int, ...]], full: Mapping[str, str]) -> dict[str, str]:
    """The name of each model variable by key, as layout rows spell it.

    Slots of optimizers, counters and states of random generators are left out, and variables that are listed twice.
    """
    plain = {key: key.removesuffix(_SUFFIX) for key in keys if shapes[key] and key != GRAPH}
    # TF1 puts an optimizer's slots under the variable: `kernel/Adam`.
    taken = set(plain.values())
    plain = {key: name for key, name in plain.items() if name.rpartition("/")[0] not in taken}
    numbered = {key: match["list"] for key, name in plain.items() if (match := _NUMBERED.fullmatch(name))}
    own = {key: full[key] for key in sorted(numbered, key=lambda key: bool(numbered[key])) if full.get(key)}
    once: dict[str, str] = {}
    for key, name in own.items():
        if not (numbered[key] and name in once.values()):
            once[key] = name
    if len(set(once.values())) == len(once):
        plain = {key: once.get(key, name) for key, name in plain.items() if key in once or key not in own}
    names = {key: name for key, name in plain.items() if not _TRAINING.fullmatch(name)}
    return _with_directions(names)


def layer_names(lstms: Mapping[str, tuple[str, ...]], full: Mapping[str, str]) -> dict[str, str]:
    """A name for each LSTM: the user's layer, else a number."""
    layers = {name: _layer(keys, full) or name for name, keys in lstms.items()}
    taken = Counter([*layers.values(), *lstms])
    return {name: layer if _COUNTED.search(name) and taken[layer] == 1 else name for name, layer in layers.items()}


def _layer(keys: tuple[str, ...], full: Mapping[str, str]) -> str:
    """The layer of a variable, without cell and direction."""
    parts = full.get(keys[0], "").split("/")[:-1]
    while parts and (_CELL.fullmatch(parts[-1]) or (len(keys) > 3 and parts[-1].startswith("forward_"))):
        parts.pop()
    return parts[-1] if parts else ""


def _with_directions(names: dict[str, str]) -> dict[str, str]:
    """Renames Bidirectional's copies, `forward_lstm`, to their attributes."""
    # Keras 2 numbers cells through the whole model, where every layer has but one.
    plain = {key: _NUMBER.sub(r"\1", name) for key, name in names.items()}
    times = Counter(plain.values())
    names = {key: name if times[plain[key]] > 1 else plain[key] for key, name in names.items()}
    taken = set(names.values())
    changed = {}
    for name in taken:
        match = _FORWARD.fullmatch(name)
        partner = f"{match['parent']}backward_{match['layer']}/{match['rest']}" if match else ""
        if match and partner in taken:
            changed[name] = f"{match['parent']}forward_layer/{match['rest']}"
            changed[partner] = f"{match['parent']}backward_layer/{match['rest']}"
    return {key: changed.get(name, name) for key, name in names.items()}
