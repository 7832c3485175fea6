"""Reads PyTorch's `.pt` without PyTorch, zip archive or old form.

The archive holds a pickle of descriptions (`data.pkl`) and one member of raw bytes per storage (`data/0`, ...).
The old form is five pickles in a row, then for each storage its element count and bytes.
Source: torch 2.13.0, torch/serialization.py (`_save`, `_load`, `_legacy_save`, `_legacy_load`).
"""

from __future__ import annotations

import io
import mmap
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ...errors import CheckpointError
from ..codecs.lazy_bytes import ByteRange, Member
from ..codecs.limits import escape, open_archive, read_member
from ..codecs.restricted_pickle import Stream, other_content
from ..detect.torch_names import detect_torch_names
from ..detect.user_layout import detect
from ..model import Checkpoint, FoundLSTM, OtherTensor
from ..options import ReadOptions
from ..sniff import TORCH_LEGACY_MAGIC, beginning, is_zip
from ..tensor_info import TensorInfo
from ..topology import ModelTopology
from .quantised import unpacked
from .tensors import Fetch, Storage, TensorView, TorchUnpickler, named_tensors, storage_of, tensor_of

#: The pickle holds descriptions alone; a model of 10,000 tensors takes 2 MB.
MAX_PICKLE = 64 << 20

_LEGACY_PROTOCOL = 1001


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM in a PyTorch checkpoint, nested dicts included."""
    if is_zip(path):
        return _read_archive(path, options)
    if TORCH_LEGACY_MAGIC in beginning(path, 32):
        return _read_legacy(path, options)
    kind = "a plain pickle without PyTorch's header" if beginning(path, 1) == b"\x80" else "not a PyTorch file"
    raise CheckpointError(
        f"{path} is {kind}: it begins with {escape(ascii(beginning(path, 24))[1:])}, expected the zip archive that "
        "torch.save writes; nothing was run"
    )


def unpickle(path: Path, stream: Stream, seen: dict[str, Storage]) -> Any:
    """One pickle; the storages that it mentions are added to `seen`."""
    return unpacked(TorchUnpickler(path, stream, partial(storage_of, path, seen), partial(tensor_of, path)).load())


def _read_archive(path: Path, options: ReadOptions) -> Checkpoint:
    with open_archive(path) as archive:
        root = archive_root(path, archive)
        value = unpickle(path, io.BytesIO(read_member(path, archive, f"{root}data.pkl", MAX_PICKLE)), {})
        big_endian = is_big_endian(path, archive, root)
        tensors = named_tensors(path, value, *member_storages(path, archive, f"{root}data", big_endian))
        lstms, other = detect(path, tensors, detect_torch_names, options)
    return _checkpoint(path, "torch", lstms, other, tensors, value)


def _checkpoint(
    path: Path,
    format: str,
    lstms: tuple[FoundLSTM, ...],
    other: tuple[OtherTensor, ...],
    tensors: Sequence[TensorInfo],
    value: Any,
) -> Checkpoint:
    """What was read, with what stands beside the tensors."""
    unread = [tensor for tensor in other if tensor.unread]
    if unread and not lstms and any(tensor.owner or tensor.sources for tensor in tensors):
        raise CheckpointError(f"{path} holds {unread[0].unread}, {unread[0].note}; nothing was run")
    order = ModelTopology(tensor_order=tuple(tensor.name for tensor in tensors))
    content = other_content(path, value, TensorView)
    return Checkpoint(path, format, lstms, other, "torch", order, content=content)


def archive_root(path: Path, archive: zipfile.ZipFile) -> str:
    """The folder that holds `data.pkl`."""
    pickles = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(f"{path} is a zip archive with {len(pickles)} data.pkl, but torch.save writes one")
    return pickles[0][: -len("data.pkl")]


def is_big_endian(path: Path, archive: zipfile.ZipFile, root: str) -> bool:
    """Whether the storages were written by a big-endian machine."""
    order = b"little"
    if f"{root}byteorder" in archive.NameToInfo:
        order = read_member(path, archive, f"{root}byteorder", 16)
    if order not in (b"little", b"big"):
        raise CheckpointError(f"{path}: byteorder is {escape(order)}, expected little or big")
    return order == b"big"


def member_storages(
    path: Path, archive: zipfile.ZipFile, folder: str, big_endian: bool
) -> tuple[Fetch, Callable[[Storage], Member]]:
    """What reads a part of a storage, and what looks where it lies."""
    look = lru_cache(maxsize=None)(partial(_member, path, archive, folder))
    return lambda storage, start, size: (look(storage).read(start, size), big_endian), look


def _member(path: Path, archive: zipfile.ZipFile, folder: str, storage: Storage) -> Member:
    """Where a storage lies in the open archive."""
    member = Member(path, archive, f"{folder}/{storage.key}", storage.nbytes)
    if member.size != storage.nbytes:
        raise CheckpointError(
            f"{path}: storage {escape(storage.key)} does not have {storage.nbytes} bytes, but {member.size}; "
            "copy or download it again"
        )
    return member


def _read_legacy(path: Path, options: ReadOptions) -> Checkpoint:
    # A memory map bounds every read by the file, whatever length the pickle claims.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        seen: dict[str, Storage] = {}
        unpickle(path, stream, seen)
        protocol, _ = unpickle(path, stream, seen), unpickle(path, stream, seen)
        if protocol != _LEGACY_PROTOCOL:
            raise CheckpointError(f"{path} has PyTorch's old format with an unknown protocol; save it again")
        value, keys = unpickle(path, stream, seen), unpickle(path, stream, seen)
        starts = _legacy_starts(path, stream, keys, seen)
        ranges = {key: ByteRange(path, start, seen[key].nbytes) for key, start in starts.items()}
        tensors = named_tensors(
            path,
            value,
            lambda storage, start, size: (ranges[storage.key].read(start, size), False),
            lambda storage: ranges[storage.key],
        )
        lstms, other = detect(path, tensors, detect_torch_names, options)
    return _checkpoint(path, "torch-legacy", lstms, other, tensors, value)


def _legacy_starts(path: Path, stream: mmap.mmap, keys: Any, seen: dict[str, Storage]) -> dict[str, int]:
    """Where each storage's bytes begin, in the order of `keys`.

    The bytes are little-endian on every machine (torch/csrc/serialization.cpp, THPStorage_writeFileRaw).
    """
    if not isinstance(keys, list) or set(map(str, keys)) != set(seen) or len(keys) != len(seen):
        raise CheckpointError(f"{path}: the list of storages is damaged; copy or download the file again")
    starts = {}
    position = stream.tell()
    for key in keys:
        storage = seen[key]
        elements = int.from_bytes(stream[position : position + 8], "little")
        starts[key] = position + 8
        position += 8 + storage.nbytes
        if elements != storage.elements or position > len(stream):
            raise CheckpointError(
                f"{path}: storage {escape(key)} should have {storage.elements} elements, but the file is truncated or "
                "damaged there; copy or download it again"
            )
    return starts
