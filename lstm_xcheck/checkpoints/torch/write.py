"""Writes PyTorch state dicts without PyTorch.

The zip archive is the one that `torch.save` writes: `data.pkl` describes the tensors, `data/0`, `data/1`, ... are their
bytes, each aligned, none compressed. The same LSTMs always give the same bytes.
Source: torch 2.13.0, torch/serialization.py (`_save`) and caffe2/serialize/inline_container.cc.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...arrays import Array, stored_values
from ...errors import CheckpointError
from ...model import LSTMWeights
from ..layout_arrays import Typed
from ..other_layers.model import OtherLayers
from ..template import Template
from .names import state_names
from .tensors import STORAGES

_ROOT = "archive/"
_ALIGNMENT = 64
#: What torch writes before the storages; it never writes big-endian ones unless asked to, and neither do we.
_MARKS = {".format_version": b"1", ".storage_alignment": b"%d" % _ALIGNMENT, "byteorder": b"little"}
#: Checksummed and written while they lie in a processor's cache.
_PIECE = 1 << 20
#: The extra field that torch pads a member's header with.
_PADDING = b"FB"
_LOCAL_HEADER, _FIELD_HEADER, _ZIP64_FIELD = 30, 4, 20

_CLASSES = {dtype: name for name, dtype in reversed(STORAGES.items())}


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes a state dict named `<lstm>.weight_ih_l0` and so on."""
    with path.open("xb") as file:
        write_state(file, state_names(lstms, other_layers))


def fill(path: Path, template: Template) -> None:
    """Fills a file through PyTorch, which can write its other objects."""
    if find_spec("torch") is None:
        raise CheckpointError(
            f"--like {template.path} needs torch, which this Python does not have; "
            "run: pip install 'lstm-xcheck[torch]', or leave --like out"
        )
    from .fill import fill_state

    fill_state(path, template)


def write_state(file: BinaryIO, state: Mapping[str, Typed]) -> None:
    """An OrderedDict of tensors, each with its own storage."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "data.pkl", memoryview(_pickled(state)))
        for name, text in _MARKS.items():
            _add(archive, name, memoryview(text))
        for key, (array, dtype) in enumerate(state.values()):
            _add(archive, f"data/{key}", stored_values(array, dtype).reshape(-1).view(np.uint8).data)
        _add(archive, "version", memoryview(b"3\n"))


def _add(archive: zipfile.ZipFile, name: str, data: memoryview) -> None:
    """One member, its bytes aligned."""
    info = zipfile.ZipInfo(_ROOT + name)
    info.create_system = 3  # the same bytes on every system
    large = data.nbytes > zipfile.ZIP64_LIMIT
    header = _LOCAL_HEADER + len(info.filename) + _FIELD_HEADER + (_ZIP64_FIELD if large else 0)
    missing = -(archive.fp.tell() + header) % _ALIGNMENT if archive.fp else 0
    info.extra = _PADDING + missing.to_bytes(2, "little") + b"Z" * missing
    with archive.open(info, "w", force_zip64=large) as member:
        for start in range(0, data.nbytes, _PIECE):
            member.write(data[start : start + _PIECE])


def _pickled(state: Mapping[str, Typed]) -> bytes:
    """The pickle's opcodes: an OrderedDict of calls that make tensors."""
    items = [_text(name) + _tensor(str(key), *typed) for key, (name, typed) in enumerate(state.items())]
    return b"\x80\x02" + _ORDERED_DICT + b"(" + b"".join(items) + b"u."


_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def _tensor(key: str, array: Array, dtype: str) -> bytes:
    """`_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`."""
    kind = f"ctorch\n{_CLASSES[dtype]}\n".encode()
    storage = b"(" + _text("storage") + kind + _text(key) + _text("cpu") + _number(array.size) + b"tQ"
    # As torch counts them: an axis without elements has the stride of one with one.
    strides = [int(np.prod([max(1, n) for n in array.shape[axis + 1 :]], dtype=object)) for axis in range(array.ndim)]
    view = _number(0) + _numbers(array.shape) + _numbers(strides) + b"\x89" + _ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"tR"


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + len(data).to_bytes(4, "little") + data


def _number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little")
    return b"\x8a" + bytes([len(data)]) + data


def _numbers(values: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"
