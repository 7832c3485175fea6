"""Reads plain arrays from `.npz` and `.safetensors`, such as observed outputs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import CheckpointError
from .codecs.limits import escape
from .sniff import is_safetensors, is_zip

#: All arrays of one file together, unpacked.
_MOST_BYTES = 2**31


def read_arrays(path: Path) -> dict[str, Array]:
    """Every array of the file."""
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; expected an .npz or .safetensors file of arrays")
    if is_zip(path):
        return _read_npz(path)
    if is_safetensors(path):
        from .safetensors.read import stored_tensors

        return {tensor.name: tensor.load() for tensor in stored_tensors(path)}
    raise CheckpointError(f"{path} is neither an .npz nor a .safetensors file; write one with numpy.savez")


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _MOST_BYTES:
            raise CheckpointError(f"{path} unpacks to {size:,} bytes, more than the {_MOST_BYTES:,} that are read")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged or holds more than plain arrays ({escape(error)}); write it again"
        ) from error
