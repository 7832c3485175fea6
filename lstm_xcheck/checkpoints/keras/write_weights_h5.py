"""Writes Keras 3's `.weights.h5` with h5py alone.

The groups are what Keras itself writes for a Sequential or Functional model: `layers/lstm/cell/vars/0`, then `lstm_1`;
`layers/bidirectional/forward_layer/cell/vars/0` for both directions. Keras finds layers by class and order, not name.
Source: keras 3.15.1, keras/src/saving/saving_lib.py (`H5IOStore`, `_save_container_state`).
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py

from ...arrays import Array, stored_values
from ...errors import CheckpointError, SpecError
from ...layouts import to_layout
from ...layouts.other_layers import OTHER_LAYERS
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..layout_arrays import Typed, chain_of
from ..other_layers.model import Layer, OtherLayers, plain_name
from ..other_layers.store import to_framework
from ..template import Template
from ..topology import Step
from .config import snake_case


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes one layer for each LSTM, a chain for a stack."""
    with path.open("x+b", buffering=0) as file:
        target = _Faultless(file)
        with h5py.File(target, "w") as root:
            write_groups(root, keras_layers(lstms, other_layers))
        target.raise_fault()


def fill(path: Path, template: Template) -> None:
    """Writes the template's file with its arrays replaced."""
    with path.open("x+b", buffering=0) as file:
        with template.path.open("rb") as source:
            shutil.copyfileobj(source, file)
        target = _Faultless(file)
        with h5py.File(target, "r+") as root:
            fill_groups(root, template.values)
        target.raise_fault()


class _Faultless(io.RawIOBase):
    """A file that keeps its first write error to the end: HDF5 loses some."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._fault: OSError | None = None

    def raise_fault(self) -> None:
        """Raise the OSError that a write met, if one did."""
        if self._fault is not None:
            raise self._fault

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the file stands."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int | None:
        """Read."""
        return self._file.readinto(buffer)

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file."""
        self._try(lambda: self._file.truncate(size))
        return size or 0

    def write(self, data: Any) -> int:
        """Write all of it, or note why that is not possible."""
        view = memoryview(data).cast("B")
        self._try(lambda: self._write_all(view))
        return len(view)

    def _write_all(self, view: memoryview) -> None:
        while view:
            view = view[self._file.write(view) or 0 :]

    def _try(self, action: Callable[[], object]) -> None:
        if self._fault is None:
            try:
                action()
            except OSError as error:
                self._fault = error


def keras_layers(lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> dict[str, LSTMWeights | Layer]:
    """All layers in chain order, or LSTMs first."""
    found: dict[str, LSTMWeights | Layer] = dict(chain_of(lstms))
    for layer in other_layers.layers:
        if plain_name(layer.name) in found:
            raise CheckpointError(f"two layers would be named {escape(layer.name)}; rename one with --rename")
        found[plain_name(layer.name)] = layer
    unstorable = [name for name in found if "\0" in name]
    if unstorable:
        raise CheckpointError(f"{escape(unstorable[0])} is no name that HDF5 can store; give another with --rename")
    order = [name for step in other_layers.chain for name in step_names(step, lstms)]
    return {name: found[name] for name in [*order, *found] if name in found}


def step_names(step: Step, lstms: Mapping[str, LSTMWeights]) -> list[str]:
    """The Keras layers of one step; a stack has several."""
    return list(chain_of({step.name: lstms[step.name]})) if step.name in lstms else [plain_name(step.name)]


def write_groups(root: Any, layers: Mapping[str, LSTMWeights | Layer]) -> None:
    """Writes the groups of a model with these layers."""
    used: dict[str, int] = {}
    root.create_group("vars").attrs["name"] = "lstms"
    for name, layer in layers.items():
        kind = snake_case(class_of(layer))
        number = used.get(kind, 0)
        used[kind] = number + 1
        group = root.create_group(f"layers/{kind}_{number}" if number else f"layers/{kind}")
        if isinstance(layer, Layer):
            _write_layer(group, name, layer)
        else:
            group.create_group("vars").attrs["name"] = name
            _write_lstm(group, name, layer)


def class_of(layer: LSTMWeights | Layer) -> str:
    """The Keras class of a layer, with its wrapper."""
    if isinstance(layer, Layer):
        return (
            "TimeDistributed"
            if layer.attributes.get("time_distributed")
            else OTHER_LAYERS["keras"][layer.kind].class_name
        )
    return "Bidirectional" if layer.spec.bidirectional else "LSTM"


def _write_layer(group: Any, name: str, layer: Layer) -> None:
    if layer.attributes.get("time_distributed"):
        group.create_group("vars").attrs["name"] = name
        group = group.create_group("layer")
        name = f"{name}_layer"
    variables = group.create_group("vars")
    variables.attrs["name"] = name
    for number, (array, dtype) in enumerate(to_framework(layer, "keras").arrays.values()):
        _store(variables, str(number), array, dtype)


def _write_lstm(group: Any, name: str, weights: LSTMWeights) -> None:
    arrays = keras_arrays(name, weights)
    for prefix in ("forward_layer/", "backward_layer/") if weights.spec.bidirectional else ("",):
        if prefix:
            group.create_group(f"{prefix}vars").attrs["name"] = f"{prefix[:-7]}_{name}"
        cell = group.create_group(f"{prefix}cell/vars")
        cell.attrs["name"] = "lstm_cell"
        for index, key in enumerate(key for key in arrays if key.startswith(prefix)):
            _store(cell, str(index), arrays[key], weights.dtype)


def fill_groups(root: Any, values: Mapping[str, Typed]) -> None:
    """Put new arrays into datasets, by their names."""
    for place, (array, dtype) in values.items():
        parent, _, key = place.rpartition("/")
        group = root[parent]
        del group[key]
        _store(group, key, array, dtype)


def keras_arrays(name: str, weights: LSTMWeights) -> dict[str, Array]:
    """Kernel, recurrent kernel and bias of one layer, forward before backward."""
    try:
        return to_layout(weights, "keras", copy=False)
    except SpecError as error:
        raise CheckpointError(f"LSTM {escape(name)} cannot be written for Keras: {error}") from error


def _store(group: Any, key: str, array: Array, dtype: str) -> None:
    """Stores an array; bfloat16 as two bytes with an attribute."""
    if dtype == "bfloat16":
        group.create_dataset(key, data=stored_values(array, dtype).view("V2")).attrs["dtype"] = dtype
    else:
        group.create_dataset(key, data=array)
