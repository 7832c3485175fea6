"""NumPy's `.npz`, a zip archive of `.npy` members: deterministic bytes, distrustful reading.

`numpy.load(file, allow_pickle=False)` reads it as well. It is written here because `numpy.savez` puts the time of day
into the archive and pads headers differently from version to version; it is read here because a header may claim any
size, and a compressed member may grow to any size.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ...arrays import Array
from ...errors import CheckpointError
from ..tensor_info import TensorInfo, checked
from .lazy_bytes import Member
from .limits import escape
from .npy import MAX_HEADER, Header, read_header


def write(file: BinaryIO, members: Iterable[tuple[str, bytes]], permissions: int = 0) -> None:
    """Writes members as an uncompressed archive, in their order, without a date."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, permissions << 16  # 3: Unix, on every system
            archive.writestr(info, data)


def describe(path: Path, archive: zipfile.ZipFile, name: str) -> TensorInfo:
    """The array in a member; only its header is read."""
    member = Member(path, archive, name)
    short = name.removesuffix(".npy")
    header = read_header(path, short, member.beginning(archive, MAX_HEADER), member.size)
    if header.start + header.size != member.size:
        raise CheckpointError(
            f"{path}: array {escape(short)} of shape {list(header.shape)[:8]} should take {header.size} bytes, "
            f"but has {member.size - header.start}; copy or download the file again"
        )
    return TensorInfo(short, header.shape, header.kind, partial(_load, member, header), check=checked)


def _load(member: Member, header: Header) -> Array:
    return header.values(member.read_all()[header.start :])
