"""Fills pickles of arrays in place; all other bytes stay.

Nothing is unpickled and pickled again, so keys, other tensors and the objects around them stay what they are.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

from ...arrays import Array, stored_values
from ...errors import CheckpointError
from ..codecs.limits import escape
from ..codecs.numpy_pickle import NumpyUnpickler, PickledArray, as_paddle
from ..codecs.restricted_pickle import named_leaves
from ..template import Template
from .read import PADDLE_TABLE, canonical_name


class _Placed(bytes):
    """Bytes that know where in the file they lie."""

    at: int


class _PlacingUnpickler(NumpyUnpickler):
    """Unpickles arrays and notes where their numbers lie."""

    def _step(self, name: str, argument: Any) -> None:
        if isinstance(argument, (bytes, bytearray)):
            placed = _Placed(argument)
            placed.at = self.stream.tell() - len(argument)
            argument = placed
        super()._step(name, argument)


def filled(template: Template) -> bytearray:
    """The template's bytes with new numbers, under both Paddle names."""
    like = template.path
    for lstm in template.checkpoint.lstms:
        if lstm.name in template.lstms and lstm.layout not in ("torch", "paddle"):
            raise CheckpointError(
                f"--like {like} keeps {escape(lstm.name)} as {lstm.layout} does, but should be a file of Paddle's"
            )
    with like.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        value = _PlacingUnpickler(like, stream).load()
    convert = as_paddle if isinstance(value, dict) and PADDLE_TABLE in value else lambda array: array
    arrays = {one.name: convert(one.leaf) for one in named_leaves(like, value, PickledArray)}
    values = {canonical_name(place, arrays): array for place, (array, _) in template.values.items()}
    content = bytearray(like.read_bytes())
    for place, array in arrays.items():
        new = values.get(canonical_name(place, arrays))
        if new is not None:
            _put(content, like, place, array, new)
    return content


def _put(content: bytearray, like: Path, place: str, array: PickledArray, values: Array) -> None:
    """New numbers where those of an array lie."""
    if not isinstance(array.data, _Placed):
        raise CheckpointError(
            f"--like {like} keeps the numbers of {escape(place)} as text, as pickle protocol 2 does; load it and "
            "save it again with paddle.save(..., protocol=4)"
        )
    stored = stored_values(values, array.dtype, big_endian=array.big_endian)
    data = stored.tobytes(order="F" if array.fortran else "C")
    if values.shape != array.shape or len(data) != len(array.data):
        raise CheckpointError(f"--like {like}: {escape(place)} has not the shape {list(values.shape)}; save it again")
    content[array.data.at : array.data.at + len(data)] = data
