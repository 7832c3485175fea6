"""Carries other layers over: selects, renames, notes and rechecks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..checkpoints import Checkpoint, FoundLSTM, OtherTensor
from ..checkpoints.codecs.limits import escape, shortlist
from ..checkpoints.formats import Format
from ..checkpoints.other_layers.collect import collect_layers
from ..checkpoints.other_layers.copied import with_copies
from ..checkpoints.other_layers.model import Layer, OtherLayers, by_name, plain_name
from ..checkpoints.other_layers.order import infer_layer_order
from ..checkpoints.other_layers.store import kinds_of, same_bits, to_framework
from ..checkpoints.topology import Step
from ..errors import DisagreementError, UserError
from ..layouts.other_layers import OTHER_LAYERS, kinds_named
from .certificate import joined


def carried(checkpoint: Checkpoint, chosen: Format, rename: Mapping[str, str], *, copies: bool) -> OtherLayers:
    """The other layers, if the format has a place for all.

    Args:
        copies: whether tensors of no known layer may be copied as they are.

    Raises:
        DisagreementError: naming what it has no place for, and what could not be recognised.
    """
    others = infer_layer_order(checkpoint, collect_layers(checkpoint, _kinds_named(rename)))
    family = chosen.family
    if copies:
        others = with_copies(others, checkpoint.family, family)
    if not family and others.layers:
        listed = [tensor for tensor in checkpoint.other if tensor not in others.training]
        raise DisagreementError(_cannot(checkpoint, f"for which {chosen.name} files have no place", listed))
    without_place = {
        name for one in others.layers if one.kind not in OTHER_LAYERS[family] for name in one.tensors.values()
    }
    if without_place:
        listed = [tensor for tensor in checkpoint.other if tensor.stored and tensor.stored.name in without_place]
        listed += others.unknown
        raise DisagreementError(_cannot(checkpoint, f"of which {chosen.name} files have no place for these", listed))
    if others.unknown:
        raise DisagreementError(_cannot(checkpoint, "of which these cannot be carried over", others.unknown))
    computing = [layer for layer in others.unsupported if not layer.endswith(tuple(f"({name})" for name in _SILENT))]
    if computing and chosen.is_model:
        raise DisagreementError(
            f"{checkpoint.path} computes what cannot be carried over: {shortlist(computing)}; {chosen.name} files are "
            "models, and this one would lack it; nothing was written; choose a format of weights alone, such as "
            ".safetensors, or add --lstm-only to leave all other layers out"
        )
    return others


def _kinds_named(rename: Mapping[str, str]) -> dict[str, str]:
    """Kinds in new names: `--rename table=word_embedding` says what `table` is."""
    by_layer = {old: kinds_named(new) for old, new in rename.items()}
    return {old: next(iter(kinds)) for old, kinds in by_layer.items() if len(kinds) == 1}


def _cannot(checkpoint: Checkpoint, why: str, tensors: Sequence[OtherTensor]) -> str:
    listed = "; ".join(str(tensor) + (f" ({tensor.note})" if tensor.note else "") for tensor in tensors)
    return (
        f"{checkpoint.path} holds {len(checkpoint.other)} tensors beside its LSTMs, {why}: {listed}; "
        "nothing was written; add --leave-out NAME to leave one out, or --lstm-only for all"
    )


def stacked(
    chosen: Sequence[FoundLSTM], others: OtherLayers, rename: Mapping[str, str]
) -> tuple[tuple[FoundLSTM, ...], OtherLayers]:
    """The LSTMs after `--rename a,b=NEW` has stacked some.

    Raises:
        UserError: for LSTMs that are no layers of one stack.
    """
    lstms = list(chosen)
    for old in rename:
        names = old.split(",")
        named = {lstm.name: lstm for lstm in lstms}
        if len(names) < 2 or old in named or not set(names) <= set(named):
            continue
        parts = [named[name] for name in names]
        _refuse_no_stack(old, parts)
        others = replace(others, chain=_one_step(old, names, others.chain))
        at = lstms.index(parts[0])
        one = replace(
            parts[0], name=old, weights=joined([part.weights for part in parts]), native_count=None,
            tensors=tuple(name for part in parts for name in part.tensors),
        )  # fmt: skip
        lstms = [lstm for lstm in lstms if lstm not in parts]
        lstms.insert(at, one)
    return tuple(lstms), others


def _refuse_no_stack(old: str, parts: Sequence[FoundLSTM]) -> None:
    first = parts[0].weights
    width = first.spec.output_size * first.spec.num_directions
    specs = [replace(part.weights.spec, input_size=1, num_layers=1) for part in parts]
    if first.spec.reverse or any(spec != specs[0] for spec in specs) or len({p.weights.dtype for p in parts}) > 1:
        raise UserError(f"--rename {old!r}: these LSTMs are not alike, so they are no layers of one stack")
    if any(part.weights.spec.input_size != width for part in parts[1:]):
        raise UserError(f"--rename {old!r}: each LSTM should take the {width} numbers that the one before it gives")


def _one_step(old: str, names: Sequence[str], chain: tuple[Step, ...]) -> tuple[Step, ...]:
    """The chain with one step for the stack.

    Raises:
        UserError: when the LSTMs do not follow one another, or a layer between them computes something.
    """
    if not chain:
        return chain
    places = {step.name: position for position, step in enumerate(chain)}
    at = [places[name] for name in names]
    between = [step for step in chain[at[0] : at[-1] + 1] if step.name not in names]
    silent = all(step.attributes.get("class_name") in ("Dropout", "SpatialDropout1D") for step in between)
    merged = {chain[position].attributes.get("merge_mode", "concat") for position in at[:-1]}
    steps = all(chain[position].attributes.get("return_sequences", True) for position in at[:-1])
    if at != sorted(at) or not silent or merged != {"concat"} or not steps:
        raise UserError(f"--rename {old!r}: these LSTMs do not follow one another directly, so they are no stack")
    one = replace(chain[at[-1]], name=old)
    return (*chain[: at[0]], one, *chain[at[-1] + 1 :])


def renamed(others: OtherLayers, rename: Mapping[str, str]) -> OtherLayers:
    """The layers and the chain under their new names."""
    layers = tuple(replace(layer, name=rename.get(layer.name, layer.name)) for layer in others.layers)
    chain = tuple(replace(step, name=rename.get(step.name, step.name)) for step in others.chain)
    names = [plain_name(layer.name) for layer in layers]
    if "" in names:
        raise UserError("--rename: only an LSTM can be without a name; give the layer one")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"--rename: two layers would be named {twice[0]!r}; give each its own name")
    return replace(others, layers=layers, chain=chain)


def entries(before: OtherLayers, after: OtherLayers, back: Checkpoint, chosen: Format) -> list[dict[str, Any]]:
    """A certificate's entries; `after` has the layers renamed."""
    if not before.layers:
        return []
    found = collect_layers(back, kinds_of(after.layers)).layers
    read = {plain_name(layer.name): layer.name for layer in found}
    result = []
    for old, new in zip(before.layers, after.layers, strict=True):
        stored = to_framework(new, chosen.family)
        name = plain_name(new.name)
        result.append(
            {
                "kind": old.kind,
                "source": old.name,
                "destination": read.get(name) or read[name.replace(".", "_")],
                "dtype": old.dtype,
                "shapes": {part: list(array.shape) for part, array in old.arrays.items()},
                "fingerprint": old.fingerprint,
                "filled": list(stored.defaulted),
                "lost": list(stored.dropped),
            }
        )
    return result


def refuse_other_layers(file: Any, listed: Sequence[Mapping[str, Any]], before: Checkpoint, after: Checkpoint) -> None:
    """Compares the layers of a certificate with both files.

    Raises:
        DisagreementError: naming the first that is not as it says.
    """
    sides = []
    for checkpoint, role in ((before, "source"), (after, "destination")):
        layers = collect_layers(checkpoint, {entry[role]: entry["kind"] for entry in listed}).layers if listed else ()
        sides.append({layer.name: layer for layer in layers})
    for entry in listed:
        ours, theirs = (side.get(entry[role]) for side, role in zip(sides, ("source", "destination"), strict=True))
        same = ours is not None and theirs is not None and ours.fingerprint == entry["fingerprint"]
        if not same or ours is None or theirs is None or not same_bits(ours, theirs, entry["lost"]):
            raise DisagreementError(f"{entry['source']}: the {entry['kind']} read now is not that of {file}")


def left_out(others: OtherLayers, listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Arrays that the destination has no place for."""
    lost = {entry["source"]: entry["lost"] for entry in listed}
    return [
        f"{escape(layer.tensors[part], 200)} int64[]" for layer in others.layers for part in lost.get(layer.name, ())
    ]


def notes(others: OtherLayers, chosen: Format, listed: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What the user must do about layers, by name."""
    family = chosen.family
    by_layer = {layer.name: _layer_notes(layer, chosen) for layer in others.layers}
    for entry in listed:
        by_layer[entry["source"]] += [f"{name} is filled in; it changes nothing" for name in entry["filled"]]
    runs = chosen.is_model
    for step in others.chain:
        if step.kind == "plain" and not (others.layers and runs):
            by_layer[step.name] = [f"a {step.attributes['class_name']}: it has no weights; put it into your model"]
        elif family == "onnx" and step.attributes.get("class_name") in _SILENT:
            by_layer[step.name] = [
                f"a {step.attributes['class_name']}: it does nothing outside training and is left out"
            ]
    if others.layers and runs:
        by_layer["model"] = [_model_note(others)]
    if others.unsupported:
        by_layer["graph"] = [f"not carried over, put it into your model: {shortlist(list(others.unsupported))}"]
    return {name: texts for name, texts in by_layer.items() if texts}


#: Keras layers that do nothing outside training.
_SILENT = ("Dropout", "SpatialDropout1D", "GaussianNoise", "ActivityRegularization")


def _model_note(others: OtherLayers) -> str:
    if not others.chain:
        return "the order of the layers is not known, so each has an input and an output of its own"
    config = any(step.attributes for step in others.chain)
    silent = "" if config else "; the source says nothing of activations and of last steps, so it has none"
    return f"one model, its layers in order by {others.order_source}{silent}"


def _layer_notes(layer: Layer, chosen: Format) -> list[str]:
    found, family, runs = [], chosen.family, chosen.is_model
    row = OTHER_LAYERS.get(family, {}).get(layer.kind)
    activation = layer.attributes.get("activation", "linear")
    if not runs and activation not in (None, "linear"):
        named = activation if isinstance(activation, str) else "of its own"
        found.append(f"its activation {named} is not in such a file; apply it in your model")
    if layer.attributes.get("mask_zero") and family != "keras":
        graph = "; the graph does not: give it sequences without padding"
        found.append(f"mask_zero: Keras skips id 0{graph if runs else ', which your model has to do by lengths'}")
    if row and row.epsilon is not None:
        own = layer.attributes.get("epsilon", OTHER_LAYERS[layer.family][layer.kind].epsilon)
        sure = (
            "" if "epsilon" in layer.attributes else f", the default of {layer.family}, unless the source had another"
        )
        if runs or own != row.epsilon:
            found.append(f"{'it has' if runs else 'build it with'} epsilon {own}{sure}")
    if row and layer.kind == "batch_norm" and row.axis != OTHER_LAYERS[layer.family][layer.kind].axis:
        found.append("PyTorch and Paddle normalise axis 1, others the last; turn the data where that differs")
    return found


def differing_layers(first: Checkpoint, second: Checkpoint) -> list[str]:
    """Other layers that differ under one name, with their arrays."""
    ours = by_name(collect_layers(first).layers)
    theirs = by_name(collect_layers(second, kinds_of(list(ours.values()))).layers)
    found = []
    for name in ours.keys() & theirs.keys():
        one, other = ours[name], theirs[name]
        shared = one.arrays.keys() & other.arrays.keys()
        parts = [part for part in sorted(shared) if not np.array_equal(one.arrays[part], other.arrays[part])]
        found += [f"{name} ({', '.join(parts) or one.kind})"] if parts or one.kind != other.kind else []
    return sorted(found)
