"""Layers beside LSTMs as a framework stores them, and what it has no place for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...arrays import Array
from ...errors import CheckpointError
from ...layouts.other_layers import OTHER_LAYERS, transposed
from ..codecs.limits import escape, shortlist
from ..detect.training_state import reading_whole
from ..model import Checkpoint
from .model import Layer, OtherLayers, by_name, collect_layers, plain_name

#: What `--to` calls a format -> whose layers it keeps. Others hold LSTMs alone.
FAMILIES = {
    "torch": "torch", "safetensors": "torch", "keras": "keras", "keras-weights": "keras", "keras-h5": "keras",
    "flax": "flax", "orbax": "flax", "onnx": "onnx", "onnx-22": "onnx", "paddle": "paddle", "haiku": "haiku",
    "mlx": "mlx",
}  # fmt: skip

#: An array and its precision.
Typed = tuple[Array, str]


@dataclass(frozen=True)
class FrameworkLayer:
    """A layer as a framework stores it.

    Attributes:
        arrays: by the framework's own names, in its order.
        filled: names of arrays that the layer lacks and the framework needs; the values change nothing.
        lost: canonical names of arrays that the framework has no place for.
    """

    arrays: dict[str, Typed]
    filled: tuple[str, ...]
    lost: tuple[str, ...]


def to_framework(layer: Layer, family: str) -> FrameworkLayer:
    """The arrays under a framework's names, turned as it wants them; every bit is kept."""
    row = OTHER_LAYERS[family][layer.kind]
    held = dict(layer.arrays)
    wanted = row.required
    if row.together & set(held) or (row.together and layer.kind == "layer_norm"):
        wanted |= row.together
    if wanted - set(held):
        width = next(array.shape[0] for array in held.values() if array.shape)
        for part in wanted - set(held):
            held[part] = (np.ones if part == "scale" else np.zeros)(width, next(iter(held.values())).dtype)
    if "count" in row.names:
        held.setdefault("count", np.zeros((), np.int64))
    arrays = {
        own: (transposed(family, layer.kind, part, held[part]), "int64" if part == "count" else layer.dtype)
        for part, own in row.names.items()
        if part in held
    }
    filled = tuple(row.names[part] for part in row.names if part in held and part not in layer.arrays)
    return FrameworkLayer(arrays, filled, tuple(part for part in layer.arrays if part not in row.names))


def stored_arrays(layers: Sequence[Layer], family: str, taken: Sequence[str] = ()) -> dict[str, Typed]:
    """Every array by its full name: joined by dots as in a state dict, or by slashes as in Flax' and Haiku's trees.

    Raises:
        CheckpointError: when two arrays would have one name.
    """
    result: dict[str, Typed] = {}
    for layer in layers:
        for own, typed in to_framework(layer, family).arrays.items():
            if family == "flax":
                collection = "batch_stats" if own in ("mean", "var") else "params"
                full = f"{collection}/{plain_name(layer.name).replace('.', '/')}/{own}"
            elif family == "haiku":
                full = f"{plain_name(layer.name).replace('.', '/')}/{own}"
            else:
                full = f"{plain_name(layer.name)}.{own}"
            if full in result or full in taken:
                raise CheckpointError(f"two layers would be stored as {escape(full)}; rename one with --rename")
            result[full] = typed
    return result


def template_arrays(
    like: Path, read: Callable[[Path], Checkpoint], other_layers: OtherLayers | None, family: str
) -> dict[str, Typed]:
    """New values by the names under which a file holds these layers now.

    Raises:
        CheckpointError: for a layer that the file does not have, or has in another size or type.
    """
    if other_layers is None or not other_layers.layers:
        return {}
    with reading_whole():
        held = by_name(collect_layers(read(like), kinds_of(other_layers.layers)).layers)
    result: dict[str, Typed] = {}
    for layer in other_layers.layers:
        theirs = held.get(plain_name(layer.name))
        if theirs is None or theirs.kind != layer.kind:
            choices = [name for name, other in held.items() if other.kind == layer.kind]
            raise CheckpointError(
                f"--like {like} has no {layer.kind} {escape(layer.name)}, but {shortlist(choices) or 'none'}; "
                f"add --rename {escape(layer.name)}={choices[0] if choices else 'NEW'}, or --lstm-only"
            )
        result.update(_filled(like, layer, theirs, family))
    return result


def _filled(like: Path, layer: Layer, theirs: Layer, family: str) -> dict[str, Typed]:
    row = OTHER_LAYERS[family][layer.kind]
    laid = to_framework(layer, family)
    ours = {part: laid.arrays[own] for part, own in row.names.items() if own in laid.arrays}
    given = {part for part in ours if row.names[part] not in laid.filled or part != "count"}
    shapes = {
        part: transposed(family, layer.kind, part, array).shape for part, (array, _) in ours.items() if part in given
    }
    wanted = {part: array.shape for part, array in theirs.arrays.items() if part in given or part != "count"}
    if shapes != wanted or layer.dtype != theirs.dtype:
        raise CheckpointError(
            f"--like {like}: {layer.kind} {escape(layer.name)} has {_said(wanted, theirs.dtype)}, "
            f"but should have {_said(shapes, layer.dtype)} as in the source"
        )
    return {theirs.tensors[part]: ours[part] for part in given}


def _said(shapes: dict[str, tuple[int, ...]], dtype: str) -> str:
    return ", ".join(f"{part} {list(shape)}" for part, shape in shapes.items()) + f" of {dtype}"


def kinds_of(layers: Sequence[Layer]) -> dict[str, str]:
    """The kind of each layer by its name, in each spelling that a format may read back."""
    spellings = (lambda name: name, plain_name, lambda name: plain_name(name).replace(".", "/"))
    return {spelling(layer.name): layer.kind for layer in layers for spelling in spellings}


def refuse_changed(target: Path, back: Checkpoint, layers: Sequence[Layer], family: str) -> None:
    """Refuse to keep a file that does not say, bit for bit, what these layers are.

    Raises:
        CheckpointError: for a layer that is missing, of another kind, or of other numbers.
    """
    read = by_name(collect_layers(back, kinds_of(layers)).layers)
    for layer in layers:
        name = plain_name(layer.name)
        found = read.get(name) or read.get(name.replace(".", "_"))
        if found is None or not same_bits(layer, found, to_framework(layer, family).lost):
            what = "is missing" if found is None else "is not what was written"
            raise CheckpointError(f"{target} was not written: {escape(layer.name)} read back {what}; report this")


def same_bits(layer: Layer, other: Layer, lost: Sequence[str] = ()) -> bool:
    """Whether another layer has every array of this one but those that are lost, bit for bit."""
    kept = [part for part in layer.arrays if part not in lost]
    return (layer.kind, layer.dtype) == (other.kind, other.dtype) and all(
        part in other.arrays
        and layer.arrays[part].shape == other.arrays[part].shape
        and layer.arrays[part].tobytes() == other.arrays[part].tobytes()
        for part in kept
    )
