"""Stores other layers as a framework does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import CheckpointError
from ...layouts.other_layers import OTHER_LAYERS, transposed
from ..codecs.limits import escape, shortlist
from ..layout_arrays import Typed
from ..model import Checkpoint
from .collect import collect_layers
from .model import Layer, OtherLayers, by_name, plain_name


@dataclass(frozen=True)
class FrameworkLayer:
    """A layer as a framework stores it."""

    arrays: dict[str, Typed]  # by the framework's own names, in its order
    # names of arrays that the layer lacks and the framework needs; the values change nothing
    defaulted: tuple[str, ...]
    dropped: tuple[str, ...]  # canonical names of arrays that the framework has no place for


def to_framework(layer: Layer, family: str) -> FrameworkLayer:
    """The arrays under a framework's names and in its orientation."""
    row = OTHER_LAYERS[family][layer.kind]
    complete = dict(layer.arrays)
    wanted = row.required
    if row.together & set(complete) or (row.together and layer.kind == "layer_norm"):
        wanted |= row.together
    if wanted - set(complete):
        width = next(array.shape[0] for array in complete.values() if array.shape)
        for part in wanted - set(complete):
            complete[part] = (np.ones if part == "scale" else np.zeros)(width, next(iter(complete.values())).dtype)
    if "count" in row.names:
        complete.setdefault("count", np.zeros((), np.int64))
    arrays = {
        own: (transposed(family, layer.kind, part, complete[part]), "int64" if part == "count" else layer.dtype)
        for part, own in row.names.items()
        if part in complete
    }
    defaulted = tuple(row.names[part] for part in row.names if part in complete and part not in layer.arrays)
    return FrameworkLayer(arrays, defaulted, tuple(part for part in layer.arrays if part not in row.names))


def stored_arrays(layers: Sequence[Layer], family: str, taken: Sequence[str] = ()) -> dict[str, Typed]:
    """Every array by its full name in the framework's spelling."""
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


def template_arrays(template: Checkpoint, other_layers: OtherLayers, family: str) -> dict[str, Typed]:
    """New values of other layers by the file's names."""
    if not other_layers.layers:
        return {}
    like = template.path
    available = by_name(collect_layers(template, kinds_of(other_layers.layers)).layers)
    result: dict[str, Typed] = {}
    for layer in other_layers.layers:
        theirs = available.get(plain_name(layer.name))
        if theirs is None or theirs.kind != layer.kind:
            choices = [name for name, other in available.items() if other.kind == layer.kind]
            raise CheckpointError(
                f"--like {like} has no {layer.kind} {escape(layer.name)}, but {shortlist(choices) or 'none'}; "
                f"add --rename {escape(layer.name)}={choices[0] if choices else 'NEW'}, or --lstm-only"
            )
        result.update(_filled(like, layer, theirs, family))
    return result


def _filled(like: Path, layer: Layer, theirs: Layer, family: str) -> dict[str, Typed]:
    row = OTHER_LAYERS[family][layer.kind]
    stored = to_framework(layer, family)
    ours = {part: stored.arrays[own] for part, own in row.names.items() if own in stored.arrays}
    given = {part for part in ours if row.names[part] not in stored.defaulted or part != "count"}
    shapes = {
        part: transposed(family, layer.kind, part, array).shape for part, (array, _) in ours.items() if part in given
    }
    wanted = {part: array.shape for part, array in theirs.arrays.items() if part in given or part != "count"}
    if shapes != wanted or layer.dtype != theirs.dtype:
        raise CheckpointError(
            f"--like {like}: {layer.kind} {escape(layer.name)} has {_listed(wanted, theirs.dtype)}, "
            f"but should have {_listed(shapes, layer.dtype)} as in the source"
        )
    return {theirs.tensors[part]: ours[part] for part in given}


def _listed(shapes: dict[str, tuple[int, ...]], dtype: str) -> str:
    return ", ".join(f"{part} {list(shape)}" for part, shape in shapes.items()) + f" of {dtype}"


def kinds_of(layers: Sequence[Layer]) -> dict[str, str]:
    """Kinds by layer name, in every spelling of a format."""
    spellings = (lambda name: name, plain_name, lambda name: plain_name(name).replace(".", "/"))
    return {spelling(layer.name): layer.kind for layer in layers for spelling in spellings}


def refuse_changed_layers(target: Path, back: Checkpoint, layers: Sequence[Layer], family: str) -> None:
    """Refuses a file whose layers differ in any bit."""
    read = by_name(collect_layers(back, kinds_of(layers)).layers) if layers else {}
    for layer in layers:
        name = plain_name(layer.name)
        found = read.get(name) or read.get(name.replace(".", "_"))
        if found is None or not same_bits(layer, found, to_framework(layer, family).dropped):
            what = "is missing" if found is None else "is not what was written"
            raise CheckpointError(f"{target} was not written: {escape(layer.name)} read back {what}; report this")


def same_bits(layer: Layer, other: Layer, dropped: Sequence[str] = ()) -> bool:
    """Whether another layer has the same bits, dropped arrays aside."""
    kept = [part for part in layer.arrays if part not in dropped]
    return (layer.kind, layer.dtype) == (other.kind, other.dtype) and all(
        part in other.arrays
        and layer.arrays[part].shape == other.arrays[part].shape
        and layer.arrays[part].tobytes() == other.arrays[part].tobytes()
        for part in kept
    )
