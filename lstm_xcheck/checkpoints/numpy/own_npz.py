"""Reads and writes this project's `.npz` of canonical arrays.

Arrays are named `<lstm>/<layer>.<direction>.<array>`, such as `encoder/0.0.W`, gates in the order i, f, g, o. The
member `lstm_xcheck` is JSON text in bytes: `{"schema": 1, "lstms": [{"name", "dtype", "spec"}]}`. It is the one format
that keeps everything a spec says; bfloat16 numbers lie, exactly, in float32 arrays.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import STORAGE, Array
from ...errors import CheckpointError, SpecError
from ...model import CellWeights, LSTMSpec, LSTMWeights
from ...model.weights import check_shapes
from ..codecs import npy, npz
from ..codecs.limits import MAX_LSTMS, escape, open_archive, refuse_many
from ..detect.assemble import deferred
from ..model import Checkpoint, FoundLSTM, OtherTensor
from ..options import ReadOptions
from ..other_layers.model import OtherLayers
from ..template import Template
from ..tensor_info import TensorInfo

SCHEMA = 1
_INDEX = "lstm_xcheck"
_MAX_INDEX = 16 << 20
_ARRAYS = {field.name for field in fields(CellWeights)}


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes every LSTM with its spec, always in the same bytes."""
    index = [{"name": name, "dtype": w.dtype, "spec": w.spec.to_dict()} for name, w in lstms.items()]
    text = json.dumps({"schema": SCHEMA, "lstms": index}, allow_nan=False).encode()
    arrays: dict[str, Array] = {_INDEX: np.frombuffer(text, np.uint8)}
    for name, weights in lstms.items():
        arrays.update({f"{name}/{key}": array for key, array in weights.arrays().items()})
    with path.open("xb") as file:
        npz.write(file, ((f"{name}.npy", npy.encode(array)) for name, array in arrays.items()))


def fill(path: Path, template: Template) -> None:
    """Refuses: the keys of this format are its own."""
    raise CheckpointError(f"--like {template.path}: lstm-xcheck npz files have keys of their own; leave --like out")


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM of the file; pickled members are refused, not loaded."""
    with open_archive(path) as archive:
        if f"{_INDEX}.npy" not in archive.namelist():
            raise CheckpointError(
                f"{path} is an .npz file without the member {_INDEX}, so it does not say which LSTM it holds; "
                "write it with lx.port or lstm-xcheck port"
            )
        index = _index(path, npz.describe(path, archive, f"{_INDEX}.npy"))
        lstms = tuple(_found(path, archive, entry) for entry in index)
        used = {name for lstm in lstms for name in lstm.tensors} | {_INDEX}
        rest = [name.removesuffix(".npy") for name in archive.namelist()]
        other = tuple(OtherTensor(escape(name, 200), (), "npy") for name in rest if name not in used)
    return Checkpoint(path, "npz", lstms, other)


def _index(path: Path, member: TensorInfo) -> list[dict[str, Any]]:
    try:
        if member.dtype != "uint8" or math.prod(member.shape) > _MAX_INDEX:
            raise ValueError(f"{member.dtype} {list(member.shape)[:8]}")
        content = json.loads(member.load().tobytes().decode())
        entries: list[dict[str, Any]] = content["lstms"]
        if content["schema"] != SCHEMA or not all(set(entry) == {"name", "dtype", "spec"} for entry in entries):
            raise ValueError(f"schema {content['schema']}")
        names = [entry["name"] for entry in entries]
        if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
            raise ValueError("names that are no names, or twice the same")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: member {_INDEX} is damaged ({escape(error)}); write the file again") from error
    refuse_many(path, len(entries), "LSTMs", MAX_LSTMS)
    return entries


def _found(path: Path, archive: zipfile.ZipFile, entry: dict[str, Any]) -> FoundLSTM:
    name = escape(entry["name"], 200)
    prefix = f"{entry['name']}/"
    try:
        spec = LSTMSpec(**entry["spec"])
        if entry["dtype"] not in STORAGE:
            raise SpecError(f"dtype is {entry['dtype']!r}, expected one of {', '.join(STORAGE)}")
        tensors = tuple(n[:-4] for n in archive.namelist() if n.startswith(prefix) and n.endswith(".npy"))
        cells: dict[tuple[int, int], dict[str, TensorInfo]] = {}
        for tensor in tensors:
            layer, direction, kind = _parse_name(path, tensor, prefix)
            array = npz.describe(path, archive, f"{tensor}.npy")
            if array.dtype != STORAGE[entry["dtype"]].__name__:
                raise SpecError(f"{escape(tensor)} is stored as {array.dtype}, but the file says {entry['dtype']}")
            cells.setdefault((layer, direction), {})[kind] = array
        _check_cells(spec, cells)
        weights = deferred(path, entry["name"], spec, entry["dtype"], partial(_read_cell, cells))
    except (SpecError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: LSTM {name} cannot be read: {escape(error, 300)}") from error
    why = f"the file says so: canonical arrays {prefix}0.0.W and so on, with their spec"
    return FoundLSTM(name, weights, "canonical", why, weights.parameter_count, weights.dtype, tensors)


def _check_cells(spec: LSTMSpec, cells: Mapping[tuple[int, int], Mapping[str, TensorInfo]]) -> None:
    """Refuse cells that are not those of the spec."""
    expected = {(k, d) for k in range(min(spec.num_layers, len(cells) + 1)) for d in range(spec.num_directions)}
    if set(cells) != expected:
        found = ", ".join(f"{k}.{d}" for k, d in sorted(cells)) or "none"
        raise SpecError(
            f"the file has the cells {found}, but should have {spec.num_layers} layers "
            f"of {spec.num_directions} directions"
        )
    for (layer, direction), arrays in cells.items():
        check_shapes(spec, layer, direction, {kind: tensor.shape for kind, tensor in arrays.items()})


def _read_cell(cells: Mapping[tuple[int, int], Mapping[str, TensorInfo]], layer: int, direction: int) -> CellWeights:
    arrays = cells[layer, direction]
    return CellWeights(**{kind: tensor.load() for kind, tensor in arrays.items()})  # type: ignore[arg-type]


def _parse_name(path: Path, tensor: str, prefix: str) -> tuple[int, int, str]:
    layer, _, rest = tensor.removeprefix(prefix).partition(".")
    direction, _, kind = rest.partition(".")
    if not (layer.isdecimal() and len(layer) < 4 and direction in ("0", "1") and kind in _ARRAYS):
        raise CheckpointError(f"{path}: {escape(tensor)} is no array of an LSTM, expected a name such as {prefix}0.0.W")
    return int(layer), int(direction), kind
