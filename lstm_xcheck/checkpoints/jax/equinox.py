"""Reads and writes Equinox's `.eqx`: `.npy` arrays without names.

`LSTMCell` writes weight_ih (4h, x), weight_hh (4h, h) and bias (4h); such three in a row are taken for one.
Source: equinox 0.13.8, equinox/_serialisation.py (`default_serialise_filter_spec`), equinox/nn/_rnn.py.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from pathlib import Path

from ...errors import CheckpointError
from ...layouts.table import layout_named
from ...model import LSTMWeights
from ..codecs import npy
from ..codecs.limits import FLOAT_SIZES, MAX_LSTMS, MAX_TENSORS, refuse_many
from ..detect.assemble import build, others
from ..layout_arrays import tree_arrays
from ..model import Checkpoint, FoundLSTM
from ..options import ReadOptions
from ..other_layers.model import OtherLayers
from ..template import Template
from ..tensor_info import TensorInfo

_LAYOUT = layout_named("equinox")

_KINDS = ("weight_ih", "weight_hh", "bias")
_MAX_LINE = 1 << 16


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTMCell with a bias, by three shapes in a row."""
    tensors = _stored_tensors(path)
    starts = _cells(tensors)
    refuse_many(path, len(starts), "LSTMs", MAX_LSTMS)
    lstms = []
    for number, start in enumerate(starts):
        three = tensors[start : start + 3]
        name = "lstm" if len(starts) == 1 else f"lstm_{number}"
        weights = build(path, name, _LAYOUT, dict(zip(_KINDS, three, strict=True)))
        shapes = ", ".join(str(list(tensor.shape)) for tensor in three)
        lstms.append(
            FoundLSTM(
                name=name,
                weights=weights,
                layout="equinox",
                why=f"arrays {start} to {start + 2} have the shapes {shapes} of an LSTMCell; the file has no names",
                native_count=weights.parameter_count,
                source_dtype=weights.dtype,
                tensors=tuple(tensor.name for tensor in three),
                notes=("recognised by shapes alone: the file says nothing of names, activations or directions",),
            )
        )
    used = {name for lstm in lstms for name in lstm.tensors}
    other = others((tensor for tensor in tensors if tensor.name not in used), {}, options)
    return Checkpoint(path, "equinox", tuple(lstms), other)


def _stored_tensors(path: Path) -> list[TensorInfo]:
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    tensors: list[TensorInfo] = []
    at = _first_array(bytes(data[:_MAX_LINE]))
    while at < len(data):
        if bytes(data[at : at + len(npy.MAGIC)]) != npy.MAGIC or len(tensors) > MAX_TENSORS:
            raise CheckpointError(
                f"{path}: no array begins at byte {at}, where the file should go on or end; copy or download it again"
            )
        tensor, at = npy.describe(path, str(len(tensors)), data, at)
        tensors.append(tensor)
    return tensors


def _first_array(head: bytes) -> int:
    """Where the arrays begin: at once, or after a line of hyperparameters."""
    line, newline, _ = head.partition(b"\n")
    if head.startswith(npy.MAGIC) or not newline:
        return 0
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return 0
    return len(line) + 1


def _cells(tensors: list[TensorInfo]) -> list[int]:
    """Where the arrays of each cell begin."""
    starts = []
    at = 0
    while at + 3 <= len(tensors):
        w, u, b = tensors[at : at + 3]
        same_type = w.dtype == u.dtype == b.dtype and w.dtype in FLOAT_SIZES
        if same_type and len(w.shape) == 2 and len(u.shape) == 2 and u.shape[1] and w.shape[1] and _fits(w, u, b):
            starts.append(at)
            at += 3
        else:
            at += 1
    return starts


def _fits(w: TensorInfo, u: TensorInfo, b: TensorInfo) -> bool:
    return u.shape[0] == 4 * u.shape[1] == w.shape[0] and b.shape == (u.shape[0],)


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes the leaves of a tuple of cells.

    They are in the order of LSTMs, layers and directions.

    `equinox.tree_deserialise_leaves` reads them into such cells.
    """
    for name, weights in lstms.items():
        if weights.spec.bias == "none" or weights.spec.bidirectional:
            what = "has no bias" if weights.spec.bias == "none" else "has two directions"
            raise CheckpointError(
                f"LSTM {name} {what}, which the shapes of an Equinox file cannot say; choose another format with --to"
            )
    arrays = tree_arrays(lstms, "equinox", "/")
    with path.open("xb") as file:
        file.writelines(npy.encode(array, dtype) for array, dtype in arrays.values())


def fill(path: Path, template: Template) -> None:
    """Refuses: nothing in the file tells one array from another."""
    raise CheckpointError(f"--like {template.path}: Equinox files have no keys to keep; leave --like out")
