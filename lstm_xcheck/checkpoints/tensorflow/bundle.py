"""Reads tensors of a TensorFlow checkpoint from its index and data.

Read without TensorFlow, whose own reader ends the process on a shape or a type that is not possible.
Source: TensorFlow 2.21, tensorflow/core/protobuf/tensor_bundle.proto and core/util/tensor_bundle/tensor_bundle.cc.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ..codecs.crc32c import crc32c, masked
from ..codecs.limits import escape, refuse_many
from ..codecs.protobuf import fields, message, signed, varint
from ..codecs.sstable import entries
from ..tensor_info import TensorInfo

#: An index of a million tensors takes some 100 MB.
_MAX_INDEX = 256 << 20
_MAX_SHARDS = 99_999
#: Tensors of a shard lie side by side; damage alone makes a few of them longer.
_GROWTH = 8

#: TensorFlow's number of a type -> name and bytes. tensorflow/core/framework/types.proto.
_TYPES = {
    1: ("float32", 4), 2: ("float64", 8), 3: ("int32", 4), 4: ("uint8", 1), 5: ("int16", 2), 6: ("int8", 1),
    8: ("complex64", 8), 9: ("int64", 8), 10: ("bool", 1), 14: ("bfloat16", 2), 17: ("uint16", 2),
    18: ("complex128", 16), 19: ("float16", 2), 22: ("uint32", 4), 23: ("uint64", 8),
}  # fmt: skip
_TEXT = 7


@dataclass(frozen=True)
class Entry:
    """What the index says of one tensor."""

    kind: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0
    sliced: bool = False

    @property
    def dtype(self) -> str:
        """Name of the type; sliced tensors keep values elsewhere."""
        name = _TYPES.get(self.kind, ("text" if self.kind == _TEXT else f"type {self.kind}", 0))[0]
        return f"{name} in slices" if self.sliced else name


@dataclass(frozen=True)
class Bundle:
    """An index that has been read: the tensors by key."""

    path: Path
    prefix: Path  # without `.index`
    shards: int  # how many data files there are
    big_endian: bool  # of the numbers
    entries: dict[str, Entry]  # what the index says of each tensor

    def data_file(self, shard: int) -> Path:
        """The file with the tensors of one shard."""
        return self.prefix.with_name(f"{self.prefix.name}.data-{shard:05d}-of-{self.shards:05d}")

    def data_files(self) -> dict[int, Path]:
        """The files beside the index that hold a tensor of it, by shard."""
        shards = {entry.shard for entry in self.entries.values() if 0 <= entry.shard < self.shards}
        return {shard: file for shard in sorted(shards) if (file := self.data_file(shard)).is_file()}

    def tensor(self, key: str) -> TensorInfo:
        """One tensor, its place checked against the file that holds it."""
        entry = self.entries[key]
        name, size = _TYPES.get(entry.kind, ("", 0))
        if size and not entry.sliced:
            if math.prod(entry.shape) * size != entry.size:
                raise CheckpointError(
                    f"{self.path}: {escape(key)} of shape {list(entry.shape)[:8]} and type {name} cannot take "
                    f"{entry.size} bytes; copy or download the checkpoint again"
                )
            self._check_place(key, entry)
        return TensorInfo(key, entry.shape, entry.dtype, partial(self._load, key, entry))

    def text(self, key: str) -> bytes:
        """The only element of a text tensor, after its length."""
        entry = self.entries[key]
        self._check_place(key, entry)
        data = self._bytes(entry)
        try:
            length, start = varint(data, 0)
        except ValueError as error:
            raise CheckpointError(f"{self.path}: {escape(key)} is damaged ({error}); copy it again") from error
        if entry.kind != _TEXT or entry.shape or start + 4 + length != len(data):
            raise CheckpointError(f"{self.path}: {escape(key)} is no text of {length} bytes; copy the checkpoint again")
        return data[start + 4 :]

    def _check_place(self, key: str, entry: Entry) -> None:
        file = self.data_file(entry.shard)
        if not 0 <= entry.shard < self.shards or entry.offset < 0 or entry.size < 0:
            raise CheckpointError(f"{self.path}: {escape(key)} lies nowhere; copy or download the checkpoint again")
        if not file.is_file():
            raise CheckpointError(f"{self.path} needs {file.name} beside it, which is missing; copy both files")
        size = file.stat().st_size
        if entry.offset + entry.size > size:
            raise CheckpointError(
                f"{self.path}: {escape(key)} ends at byte {entry.offset + entry.size} of {file.name}, which has "
                f"{size}; copy or download both files again"
            )

    def _bytes(self, entry: Entry) -> bytes:
        with self.data_file(entry.shard).open("rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size)

    def _load(self, key: str, entry: Entry) -> Array:
        data = self._bytes(entry)
        if len(data) != entry.size or masked(crc32c(data)) != entry.checksum:
            raise CheckpointError(
                f"{self.path}: the numbers of {escape(key)} do not fit their checksum; "
                "copy or download both files again"
            )
        return native_values(data, entry.dtype, big_endian=self.big_endian).reshape(entry.shape)


def read_bundle(path: Path, prefix: Path) -> Bundle:
    """The index of a checkpoint."""
    index = prefix.with_name(f"{prefix.name}.index")
    if index.stat().st_size > _MAX_INDEX:
        raise CheckpointError(f"{path}: {index.name} has more than {_MAX_INDEX:,} bytes; it is no real index")
    try:
        table = entries(index.read_bytes())
        shards, big_endian = _header(table.pop(b""))
        # Keys with a zero byte are slices of other tensors.
        found = {key.decode("utf-8"): _entry(value) for key, value in table.items() if b"\0" not in key}
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: its index is damaged ({escape(error)}); copy or download it again") from error
    refuse_many(path, len(found))
    bundle = Bundle(path, prefix, shards, big_endian, found)
    sizes = Counter[int]()
    for entry in found.values():
        sizes[entry.shard] += max(0, entry.size)
    for shard, file in bundle.data_files().items():
        if sizes[shard] > _GROWTH * file.stat().st_size:
            raise CheckpointError(
                f"{path}: its tensors share the bytes of {file.name}, which TensorFlow never does; it was not read"
            )
    return bundle


def _header(data: bytes) -> tuple[int, bool]:
    """Number of shards and byte order."""
    values = {number: value for number, value in fields(data) if number in (1, 2)}
    shards, order = signed(values.get(1, 0)), values.get(2, 0)
    if not 1 <= shards <= _MAX_SHARDS or order not in (0, 1):
        raise ValueError("an impossible number of files or byte order")
    return shards, order == 1


def _entry(data: bytes) -> Entry:
    values = dict(fields(data))
    numbers = {number: signed(value) for number, value in values.items() if number in (1, 3, 4, 5, 6)}
    shape = _shape(message(values.get(2, b"")))
    kind, shard, offset, size, checksum = (numbers.get(number, 0) for number in (1, 3, 4, 5, 6))
    return Entry(kind, shape, shard, offset, size, checksum, 7 in values)


def _shape(data: bytes) -> tuple[int, ...]:
    sizes = [signed(dict(fields(message(value))).get(1, 0)) for number, value in fields(data) if number == 2]
    if len(sizes) > 64 or any(not 0 <= size < 1 << 60 for size in sizes):
        raise ValueError("an impossible shape")
    return tuple(sizes)
