"""Compares the LSTMs of two checkpoints: weights, function and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import STORAGE, Array
from ..checkpoints import Checkpoint, read_checkpoint
from ..checkpoints.formats import keras_options_for
from ..checkpoints.layout_arrays import chain_of
from ..checkpoints.options import KerasOptions
from ..diagnose.two_weights import (
    PRECISIONS,
    Differing,
    differing_arrays,
    differing_fields,
    function_of,
    probe_of,
    why_different,
)
from ..errors import UserError
from ..layouts import explain_count
from ..model import LSTMWeights
from .certificate import joined
from .clips import CLIPS, left_out_clips, unclipped, where_it_acts, without_clips
from .comparison import ComparedLSTM, Comparison
from .other_layers import differing_layers

#: Fields of a spec that leave all arrays comparable.
_NOT_OF_SHAPES = {"reverse", "gate_activation", "cell_activation", "output_activation", "coupling", *CLIPS}


@dataclass(frozen=True)
class _Side:
    name: str
    weights: LSTMWeights
    count: int


def compare(
    first: str | PathLike[str],
    second: str | PathLike[str],
    *,
    layout: str | Sequence[str | None] | None = None,
    without: Sequence[str] = (),
    keras_config: str | PathLike[str] | None = None,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    go_backwards: bool = False,
    accept_class: Sequence[str] = (),
) -> Comparison:
    """Compare every LSTM of two checkpoints of any formats.

    Args:
        first: one of them.
        second: the other.
        layout: a name of `lstm-xcheck layouts` for files whose own names do not say whose they are; two names, or None,
            where it is not the same for both.
        without: clips to leave out of both, gate_clip, cell_clip or proj_clip.
        keras_config, activation, recurrent_activation, go_backwards, accept_class: as in `load`, for Keras files.

    Returns:
        `.same`, which is about the LSTMs alone and false where one was not read; `.unread`, those that were not;
        `.layers`, the other layers that differ; and for each pair in `.lstms` the differences in spec and weights, the
        verdict on the function, both parameter counts explained, and the diagnosis. Where specs differ in clips alone,
        the function is that without them.

    Raises:
        CheckpointError: when a file cannot be read or holds no LSTM.
        UserError: when it is not clear which LSTM is to be compared with which.

    >>> import tempfile, pathlib
    >>> from lstm_xcheck.checkpoints import write_checkpoint
    >>> from lstm_xcheck.model import LSTMSpec
    >>> weights = LSTMWeights.random(LSTMSpec(input_size=3, hidden_size=2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = [pathlib.Path(folder, name) for name in ("a.npz", "b.safetensors")]
    ...     _ = [write_checkpoint(file, {"encoder": weights}) for file in files]
    ...     compare(*files).same
    True
    """
    layouts = (layout, layout) if layout is None or isinstance(layout, str) else layout
    if len(layouts) != 2:
        raise UserError(f"layout has {len(layouts)} names, but should have one, or one for each of the two files")
    keras = KerasOptions.of(keras_config, activation, recurrent_activation, go_backwards, accept_class)
    files = [
        read_checkpoint(Path(path), row, load_other_tensors=True, keras=options)
        for path, row, options in zip((first, second), layouts, keras_options_for((first, second), keras), strict=True)
    ]
    clipped = [file.require_lstms() for file in files]
    files = [replace(file, lstms=without_clips(file.lstms, without)) for file in files]
    left_out = [text.partition(":")[0] for lstms in clipped for text in left_out_clips(lstms, without)]
    pairs = [_compare(one, other) for one, other in _paired(files)]
    unread = [
        {"file": side, "name": lstm.name, "why": lstm.why}
        for side, checkpoint in zip(("first", "second"), files, strict=True)
        for lstm in checkpoint.unread
    ]
    return Comparison(
        first=str(first),
        second=str(second),
        formats=[checkpoint.format for checkpoint in files],
        same=all(pair.same for pair in pairs) and not unread,
        lstms=pairs,
        unread=unread,
        layers=differing_layers(*files),
        without=left_out,
    )


def _sides(checkpoint: Checkpoint) -> list[_Side]:
    return [
        _Side(lstm.name, lstm.weights, lstm.weights.parameter_count if lstm.native_count is None else lstm.native_count)
        for lstm in checkpoint.require_lstms()
    ]


def _paired(files: Sequence[Checkpoint]) -> list[tuple[_Side, _Side]]:
    """Pairs by name, as stack and chain, or by certain order."""
    ours, theirs = (_sides(checkpoint) for checkpoint in files)
    for one, other in ((ours, theirs), (_apart(ours), theirs), (ours, _apart(theirs))):
        by_name = {side.name: side for side in other}
        if len(one) == len(other) and {side.name for side in one} == set(by_name):
            return [(side, by_name[side.name]) for side in one]
    for one, other in ((ours, theirs), (_as_stack(ours, theirs), theirs), (ours, _as_stack(theirs, ours))):
        if len(one) == len(other) == 1:
            return [(one[0], other[0])]
    in_order = list(zip(ours, theirs, strict=False))
    same_shapes = [_shape(one) == _shape(other) for one, other in in_order]
    certain = len({_shape(side) for side in ours}) == len(ours)
    if (
        len(ours) == len(theirs)
        and all(same_shapes)
        and (certain or not any(any(differing_arrays(one.weights, other.weights)) for one, other in in_order))
    ):
        return in_order
    listed = [f"{checkpoint.path} holds {', '.join(lstm.name for lstm in checkpoint.lstms)}" for checkpoint in files]
    raise UserError(
        f"it is not clear which LSTM to compare with which: {' and '.join(listed)}; give them the same names with "
        "lstm-xcheck port --rename OLD=NEW, or port one alone with --layer"
    )


def _shape(side: _Side) -> tuple[int, ...]:
    spec = side.weights.spec
    return (spec.input_size, spec.hidden_size, spec.num_layers, spec.num_directions)


def _apart(sides: list[_Side]) -> list[_Side]:
    if any(side.weights.spec.num_layers > 1 and side.weights.spec.reverse for side in sides):
        return sides
    chain = chain_of({side.name: side.weights for side in sides})
    return [_Side(name, weights, weights.parameter_count) for name, weights in chain.items()]


def _as_stack(sides: list[_Side], others: list[_Side]) -> list[_Side]:
    """Layers joined to a stack, if the other file has one."""
    specs = [side.weights.spec for side in sides]
    fitting = (
        len(others) == 1
        and len(sides) == others[0].weights.spec.num_layers > 1
        and all(spec.num_layers == 1 for spec in specs)
        and len({(s.hidden_size, s.num_directions, s.bias, s.proj_size) for s in specs}) == 1
        and len({side.weights.dtype for side in sides}) == 1
        and all(spec.input_size == specs[0].output_size * specs[0].num_directions for spec in specs[1:])
    )
    if not fitting:
        return sides
    name = " + ".join(side.name for side in sides)
    return [_Side(name, joined([side.weights for side in sides]), sum(side.count for side in sides))]


def _compare(one: _Side, other: _Side) -> ComparedLSTM:
    fields = differing_fields(one.weights, other.weights)
    specs = [f"{name} is {a!r} in A, but {b!r} in B" for name, (a, b) in fields.items()]
    differing = set(fields)
    clips = sorted(differing & set(CLIPS))
    comparable = differing <= _NOT_OF_SHAPES
    arrays = _differences(one.weights, other.weights) if comparable else []
    function: dict[str, Any] = {"verdict": "not compared"}
    ours, theirs = one.weights, other.weights
    if clips and differing <= set(CLIPS):  # within what both say
        ours, theirs = unclipped(ours, clips), unclipped(theirs, clips)
    if comparable:
        function = {**function_of(ours, theirs), "without": clips if ours is not one.weights else []}
    counts = {
        side: {"native": lstm.count, "explanation": explain_count(lstm.weights.spec, lstm.count)}
        for side, lstm in (("first", one), ("second", other))
    }
    fits = not arrays and function["verdict"] in ("match", "inconclusive")
    explained = fits or not differing <= set(CLIPS)
    shown = clips if comparable else []
    return ComparedLSTM(
        first=one.name,
        second=other.name,
        same=fits and not specs,
        spec=specs,
        bias=[one.weights.spec.bias, other.weights.spec.bias],
        comparable=comparable,
        weights=arrays,
        function=function,
        clips=[text for clip in shown for text in _clip_effects(one.weights, other.weights, clip)],
        counts=counts,
        diagnosis=None if explained else why_different(ours, theirs, function["verdict"]),
    )


def _clip_effects(ours: LSTMWeights, theirs: LSTMWeights, clip: str) -> list[str]:
    """What a clip does that the two do not share."""
    case = probe_of(ours, theirs)
    return [
        f"{clip} {getattr(weights.spec, clip)} of {side} "
        + where_it_acts(replace(case, weights=weights.astype(case.precision)), clip)
        for side, weights in (("A", ours), ("B", theirs))
        if getattr(weights.spec, clip)
    ]


def _differences(ours: LSTMWeights, theirs: LSTMWeights) -> list[dict[str, Any]]:
    """Every array that differs: count, largest error, units in last place."""
    rougher = max((ours.dtype, theirs.dtype), key=PRECISIONS.index)
    return [_described(found, rougher) for found in differing_arrays(ours, theirs)]


def _described(found: Differing, dtype: str) -> dict[str, Any]:
    a, b = found.first, found.second
    error = np.abs(a - b)
    index = tuple(int(k) for k in np.unravel_index(int(np.argmax(error)), error.shape))
    gate, inner = found.gate_and_index(index)
    return {
        "tensor": f"{found.layer}.{found.direction}.{found.name}",
        "numbers": int(found.wrong.sum()),
        "of": int(found.wrong.size),
        "max_abs": float(error.max()),
        "max_ulp": float((error / _ulp(np.maximum(np.abs(a), np.abs(b)), dtype))[found.wrong].max()),
        "worst": {"gate": gate, "index": inner, "first": float(a[index]), "second": float(b[index])},
    }


def _ulp(size: Array, dtype: str) -> Array:
    """The distance of neighbouring numbers of a precision at this size."""
    size = np.minimum(size, np.finfo(STORAGE[dtype]).max)
    if dtype == "bfloat16":
        return np.maximum(np.spacing(size.astype(np.float32)).astype(np.float64) * 2.0**16, 2.0**-133)
    return np.spacing(size.astype(STORAGE[dtype])).astype(np.float64)
