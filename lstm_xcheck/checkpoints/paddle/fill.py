"""Fills pickles of arrays in place; all other bytes stay.

Nothing is unpickled and pickled again, so keys, other tensors and the objects around them stay what they are.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...arrays import Array
from ...errors import CheckpointError
from ..codecs.limits import escape
from ..codecs.numpy_pickle import NumpyUnpickler, PickledArray, as_paddle
from ..codecs.pickle_tree import named_leaves
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
    """The template's bytes with new numbers, under both Paddle names.

    Raises:
        CheckpointError: for an LSTM that the file names as another framework does, and numbers that are kept as text.
    """
    like = template.path
    for lstm in template.checkpoint.lstms:
        if lstm.name in template.lstms and lstm.layout not in ("torch", "paddle"):
            raise CheckpointError(
                f"--like {like} keeps {escape(lstm.name)} as {lstm.layout} does, but should be a file of Paddle's"
            )
    with like.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        value = _PlacingUnpickler(like, stream).load()
    convert = as_paddle if isinstance(value, dict) and PADDLE_TABLE in value else lambda array: array
    arrays = {scope + key: convert(array) for scope, key, array in named_leaves(like, value, PickledArray)}
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
    order: Literal["<", ">"] = ">" if array.big_endian else "<"
    if array.dtype == "bfloat16":
        stored = (np.ascontiguousarray(values).view(np.uint32) >> np.uint32(16)).astype(f"{order}u2")
    else:
        stored = values.astype(np.dtype(array.dtype).newbyteorder(order))
    data = stored.tobytes(order="F" if array.fortran else "C")
    if values.shape != array.shape or len(data) != len(array.data):
        raise CheckpointError(f"--like {like}: {escape(place)} has not the shape {list(values.shape)}; save it again")
    content[array.data.at : array.data.at + len(data)] = data
