"""The archive of a recording: an uncompressed `.npz` of floats and bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..checkpoints.codecs import npy, npz
from ..checkpoints.codecs.limits import ZIP_ERRORS, escape
from .model import RecordingError

#: Floating-point results, and bytes.
_TYPES = ("<f8", "<f4", "<f2", "|u1")


def encode(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as an uncompressed archive, in order, without a date.

    Raises:
        RecordingError: for an array of another type than floating-point numbers or bytes.
    """
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<").str not in _TYPES:
            raise RecordingError(f"{name} has type {array.dtype}, but a recording holds {', '.join(_TYPES)}")
    buffer = io.BytesIO()
    members = ((f"{name}.npy", npy.encode(array)) for name, array in arrays.items())
    npz.write(buffer, members, permissions=0o644)
    return buffer.getvalue()


def decode(path: Path) -> dict[str, Array]:
    """Every array of an uncompressed archive, by name.

    Raises:
        RecordingError: for a file that is missing, truncated, damaged or no recording.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members, size)
            return {each.filename[:-4]: _decode_array(path, each.filename, archive.read(each)) for each in members}
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from error
    except ZIP_ERRORS as error:
        raise RecordingError(
            f"{path} is no recording, or is truncated or damaged ({escape(error)}); record it again"
        ) from error


def _check_members(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse members that together would unpack to more than the file."""
    names = {member.filename for member in members}
    if len(names) != len(members) or not all(name.endswith(".npy") for name in names):
        raise RecordingError(f"{path} is no recording: its members should be .npy files, each name once")
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
        raise RecordingError(
            f"{path}: a recording is neither compressed nor encrypted, but this file is; record it again"
        )
    if sum(member.file_size for member in members) > size:
        raise RecordingError(f"{path} has {size} bytes, but its members claim more; record it again")


def _decode_array(path: Path, name: str, data: bytes) -> Array:
    header = npy.parse_header(data)
    if header is None or header.fortran or header.dtype.str not in _TYPES:
        raise RecordingError(f"{path}: {escape(name)} is no array of {', '.join(_TYPES)}; record it again")
    available = len(data) - header.start
    if header.size != available or len(header.shape) > 8:
        raise RecordingError(
            f"{path}: {escape(name)} of shape {escape(header.shape)} needs {escape(header.size)} bytes, "
            f"but has {available}"
        )
    return header.values(np.frombuffer(data, np.uint8, offset=header.start))
