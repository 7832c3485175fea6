"""An `.npz` file with the same bytes wherever it is written, and read without believing it.

`numpy.load(file, allow_pickle=False)` reads it as well. It is written here because `numpy.savez` puts the time of day
into the archive and pads array headers differently from version to version; it is read here because a header may claim
any size, and a compressed member may grow to any size.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..arrays import Array
from .model import RecordingError

#: Floating-point results, and bytes.
_TYPES = ("<f8", "<f4", "<f2", "|u1")

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(rb"\{'descr': '([<|]\w\d)', 'fortran_order': False, 'shape': \(([\d, ]{0,200})\), \} *\n")

_ZIP_FAULTS = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, KeyError)


def encode(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as an uncompressed archive, in the order given and without a date.

    Raises:
        RecordingError: for an array of another type than floating-point numbers or bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, _encode_array(name, array))
    return buffer.getvalue()


def _encode_array(name: str, array: Array) -> bytes:
    plain = np.ascontiguousarray(array).reshape(array.shape)
    plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    if plain.dtype.str not in _TYPES:
        raise RecordingError(f"{name} has type {plain.dtype}, but a recording holds {', '.join(_TYPES)}")
    shape: tuple[int, ...] = tuple(map(int, plain.shape))
    header = f"{{'descr': '{plain.dtype.str}', 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    padded = header.ljust(-(-(len(header) + 11) // 64) * 64 - 11) + b"\n"
    return _MAGIC + len(padded).to_bytes(2, "little") + padded + plain.tobytes()


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
    except _ZIP_FAULTS as error:
        raise RecordingError(
            f"{path} is no recording, or is truncated or damaged ({shown(error)}); record it again"
        ) from error


def _check_members(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    """What is unpacked is as large as the file at most."""
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
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(data[start:end])
    if data[: len(_MAGIC)] != _MAGIC or header is None or header[1].decode() not in _TYPES:
        raise RecordingError(f"{path}: {shown(name)} is no array of {', '.join(_TYPES)}; record it again")
    shape = tuple(int(size) for size in header[2].split(b",") if size.strip())
    needed = int(np.prod(shape, dtype=object)) * np.dtype(header[1].decode()).itemsize
    if needed != len(data) - end or len(shape) > 8:
        raise RecordingError(
            f"{path}: {shown(name)} of shape {shown(shape)} needs {shown(needed)} bytes, but has {len(data) - end}"
        )
    return np.frombuffer(data, header[1].decode(), offset=end).reshape(shape)


def shown(text: object, limit: int = 80) -> str:
    r"""Something from a file, safe to print: one line, no control characters, not endless.

    >>> shown("case\n")
    'case\\n'
    """
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text)[: limit + 1])
    return plain if len(plain) <= limit else plain[:limit] + "..."
