"""Writes Keras 3's `.weights.h5` with h5py alone: `model.load_weights(path)` takes it, for a model with these layers.

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
import numpy as np

from ..arrays import Array
from ..errors import CheckpointError, SpecError
from ..layouts import to_layout
from ..spec import LSTMWeights
from .keras_weights_h5 import read
from .untrusted import shown
from .writing import chain_of


def write(path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None) -> None:
    """One layer for each LSTM, a chain for a stack; with `like`, that file with its LSTMs replaced.

    Raises:
        CheckpointError: for what Keras' LSTM has no place for.
    """
    chain = chain_of(lstms)
    with path.open("x+b", buffering=0) as file:
        if like is not None:
            with like.open("rb") as source:
                shutil.copyfileobj(source, file)
        target = _Faultless(file)
        with h5py.File(target, "w" if like is None else "r+") as root:
            if like is None:
                write_groups(root, chain)
            else:
                fill_groups(root, chain, {lstm.name: lstm.tensors for lstm in read(like).lstms})
        target.raise_fault()


class _Faultless(io.RawIOBase):
    """A file that never fails: on a full disk HDF5 fails while it closes a file, and not always with an OSError.

    The first fault is kept and told at the end, when HDF5 is done; what is written after it is lost.
    """

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


def write_groups(root: Any, chain: Mapping[str, LSTMWeights]) -> None:
    """The groups of a model whose layers are these, in this order."""
    used: dict[str, int] = {}
    root.create_group("vars").attrs["name"] = "lstms"
    for name, weights in chain.items():
        kind = "bidirectional" if weights.spec.bidirectional else "lstm"
        number = used.get(kind, 0)
        used[kind] = number + 1
        group = root.create_group(f"layers/{kind}_{number}" if number else f"layers/{kind}")
        group.create_group("vars").attrs["name"] = name
        arrays = keras_arrays(name, weights)
        for prefix in ("forward_layer/", "backward_layer/") if weights.spec.bidirectional else ("",):
            if prefix:
                group.create_group(f"{prefix}vars").attrs["name"] = f"{prefix[:-7]}_{name}"
            cell = group.create_group(f"{prefix}cell/vars")
            cell.attrs["name"] = "lstm_cell"
            kinds = [key for key in arrays if key.startswith(prefix)]
            for index, key in enumerate(kinds):
                _store(cell, str(index), arrays[key], weights.dtype)


def fill_groups(root: Any, chain: Mapping[str, LSTMWeights], held: Mapping[str, tuple[str, ...]]) -> None:
    """Put new values into the datasets that hold each LSTM now."""
    for name, weights in chain.items():
        for place, array in zip(held[name], keras_arrays(name, weights).values(), strict=True):
            parent, _, key = place.rpartition("/")
            group = root[parent]
            del group[key]
            _store(group, key, array, weights.dtype)


def keras_arrays(name: str, weights: LSTMWeights) -> dict[str, Array]:
    """Kernel, recurrent kernel and bias of one layer, forward before backward.

    Raises:
        CheckpointError: for what Keras' LSTM has no place for.
    """
    try:
        return to_layout(weights, "keras", copy=False)
    except SpecError as error:
        raise CheckpointError(f"LSTM {shown(name)} cannot be written for Keras: {error}") from error


def _store(group: Any, key: str, array: Array, dtype: str) -> None:
    """HDF5 has no bfloat16: Keras stores its two bytes and says so in an attribute."""
    if dtype == "bfloat16":
        upper = (np.ascontiguousarray(array).view(np.uint32) >> np.uint32(16)).astype("<u2")
        group.create_dataset(key, data=upper.view("V2")).attrs["dtype"] = "bfloat16"
    else:
        group.create_dataset(key, data=array)
