"""Writes `.safetensors` with PyTorch's names, always in the same bytes.

Tensors are C-contiguous and little-endian, in the order of their names, the header padded to 8 bytes.
Source: safetensors 0.8.0, the format's README.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...arrays import Array, stored_values
from ...model import LSTMWeights
from ..other_layers.model import OtherLayers
from ..template import Template
from ..torch.names import state_names

_CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip

#: Type code, shape and bytes of a tensor.
Raw = tuple[str, tuple[int, ...], memoryview]


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes tensors named `<lstm>.weight_ih_l0` and so on."""
    raw = {name: _raw(array, dtype) for name, (array, dtype) in state_names(lstms, other_layers).items()}
    _write(path, raw, {"format": "pt"})


def fill(path: Path, template: Template) -> None:
    """Writes the template's file with its tensors replaced."""
    raw, metadata = _raw_tensors(template.path)
    raw.update({place: _raw(array, dtype) for place, (array, dtype) in template.values.items()})
    _write(path, raw, metadata)


def _write(path: Path, raw: Mapping[str, Raw], metadata: Mapping[str, str]) -> None:
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    # Wide types first, as the format's own library does: every tensor then lies aligned.
    ordered = sorted(raw, key=lambda name: (-_width(raw[name]), name))
    for name in ordered:
        code, shape, data = raw[name]
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in ordered:
            file.write(raw[name][2])


def _width(raw: Raw) -> int:
    size = int(np.prod(raw[1], dtype=np.int64))
    return len(raw[2]) // size if size else 0


def _raw(array: Array, dtype: str) -> Raw:
    return _CODES[dtype], array.shape, stored_values(array, dtype).reshape(-1).view(np.uint8).data


def _raw_tensors(path: Path) -> tuple[dict[str, Raw], dict[str, str]]:
    """Every tensor of a checked file, and its metadata."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = memoryview(file.read())
    metadata = header.pop("__metadata__", {})
    raw = {
        name: (entry["dtype"], tuple(entry["shape"]), data[entry["data_offsets"][0] : entry["data_offsets"][1]])
        for name, entry in header.items()
    }
    return raw, metadata
