"""Tensors that are copied as they are, from one state dict to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...arrays import Array, fingerprint
from ...errors import CheckpointError
from ..codecs.limits import FLOAT_SIZES, escape
from ..layout_arrays import Typed
from ..model import Checkpoint, OtherTensor
from ..tensor_info import TensorInfo
from .group import module_name
from .model import CopiedTensor, OtherLayers

#: Frameworks whose files are a name and a tensor, again and again.
STATE_DICTS = frozenset({"torch", "paddle"})
#: Types that the files of all of them have.
_TYPES = frozenset({*FLOAT_SIZES, "int64", "int32", "int16", "int8", "uint8", "bool"})


def with_copies(others: OtherLayers, source: str, target: str) -> OtherLayers:
    """The layers, with what is not understood copied where both files are state dicts.

    Args:
        others: of the source.
        source: the family of its file.
        target: the family of the destination.
    """
    if not {source, target} <= STATE_DICTS:
        return others
    taken = [tensor for tensor in others.unknown if _is_copyable(tensor, source == target)]
    stored = [tensor.stored for tensor in taken if tensor.stored is not None]
    times = Counter(_name(tensor) for tensor in stored)
    copied = tuple(
        CopiedTensor(
            _name(tensor) if times[_name(tensor)] == 1 else tensor.name, tensor.name, _loaded(tensor), tensor.dtype
        )
        for tensor in stored
    )
    return replace(others, unknown=tuple(t for t in others.unknown if t not in taken), copied=copied)


def _is_copyable(tensor: OtherTensor, same_family: bool) -> bool:
    # A matrix that may be a dense layer's would have to be transposed for the other framework; and where it is one of
    # two known layers, who ports it knows which.
    is_open = tensor.note.startswith("perhaps ") and not (same_family and "or another layer" in tensor.note)
    return tensor.stored is not None and tensor.dtype in _TYPES and not tensor.unread and not is_open


def _name(tensor: TensorInfo) -> str:
    return module_name(tensor.name[len(tensor.scope) :]).replace("/", ".")


def _loaded(tensor: TensorInfo) -> Array:
    try:
        return tensor.load()
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{escape(tensor.name)} cannot be copied: {escape(error)}") from error


def copied_arrays(others: OtherLayers, taken: Collection[str]) -> dict[str, Typed]:
    """The copies by the names they are written under."""
    for tensor in others.copied:
        if tensor.name in taken:
            raise CheckpointError(
                f"{escape(tensor.name)} would be stored twice, as part of a layer and as it is; rename the layer with "
                "--rename"
            )
    return {tensor.name: (tensor.array, tensor.dtype) for tensor in others.copied}


def refuse_changed_copies(target: object, back: Checkpoint, others: OtherLayers) -> None:
    """Refuses a file whose copies differ in any bit."""
    read = {tensor.stored.name: tensor.stored for tensor in back.other if tensor.stored is not None}
    for tensor in others.copied:
        found = read.get(tensor.name)
        if found is None or found.dtype != tensor.dtype or fingerprint_of(found) != tensor.fingerprint:
            what = "is missing" if found is None else "is not what was written"
            raise CheckpointError(f"{target} was not written: {escape(tensor.name)} read back {what}; report this")


def fingerprint_of(tensor: TensorInfo) -> str:
    """A hash of a tensor's values."""
    return fingerprint({"": _loaded(tensor)})


def entries(others: OtherLayers) -> list[dict[str, object]]:
    """What a certificate says of the copies."""
    return [
        {
            "source": tensor.source,
            "destination": tensor.name,
            "dtype": tensor.dtype,
            "shape": list(tensor.array.shape),
            "fingerprint": tensor.fingerprint,
        }
        for tensor in others.copied
    ]


def changed_copies(listed: Sequence[Mapping[str, Any]], before: Checkpoint, after: Checkpoint) -> list[str]:
    """The copies of a certificate that are not in both files as it says."""
    sides = [{t.stored.name: t.stored for t in side.other if t.stored is not None} for side in (before, after)]
    changed = []
    for entry in listed:
        found = [side.get(entry[role]) for side, role in zip(sides, ("source", "destination"), strict=True)]
        if any(one is None or fingerprint_of(one) != entry["fingerprint"] for one in found):
            changed.append(entry["source"])
    return changed
