"""Detects LSTMs with the layout of --layout, or lists fitting layouts.

Names tell whose file it is, and so in which order the gates lie; shapes alone do not. Where the names are of no
framework, the choices are named and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

from ...layouts.table import Layout
from ..codecs.limits import MAX_LSTMS, escape, refuse_many
from ..model import FoundLSTM, OtherTensor
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .assemble import Detected, Detector, build, is_training_state, others, unique_names
from .by_shape import ShapeMatch, fits, shape_matches
from .layout_names import detect_layout_names, own_names
from .torch_names import detect_torch_names


def detect(path: Path, tensors: Sequence[TensorInfo], usual: Detector, options: ReadOptions) -> Detected:
    """Detects LSTMs by the layout of the options, else by usual names."""
    # An optimizer keeps moments of each weight under names like the weight's own.
    training = [tensor for tensor in tensors if is_training_state(tensor)]
    names = {tensor.name for tensor in training}
    model = [tensor for tensor in tensors if tensor.name not in names]
    if options.layout is not None:
        lstms, other = _in_layout(path, model, options.layout, options)
    else:
        lstms, other = usual(path, model, options)
        used = {name for lstm in lstms for name in lstm.tensors}
        if len(used) < len(model):
            other = _with_choices(path, other, [tensor for tensor in model if used.isdisjoint(tensor.file_names)])
    return lstms, (*other, *others(training, {}, options))


def _in_layout(path: Path, tensors: Sequence[TensorInfo], row: Layout, options: ReadOptions) -> Detected:
    named = detect_torch_names if row.name == "torch" else partial(detect_layout_names, rows=(row.name,))
    lstms, other = named(path, tensors, options)
    if lstms:
        return lstms, other
    unread = {tensor.name for tensor in other if tensor.unread}
    matches = shape_matches([tensor for tensor in tensors if escape(tensor.name, 200) not in unread], joint=True)
    refuse_many(path, len(matches), "LSTMs", MAX_LSTMS)
    found = [_found(path, one, row) for one in matches if fits(one, row)]
    lstms = unique_names(path, found)
    used = {escape(name, 200) for lstm in lstms for name in lstm.tensors}
    return lstms, tuple(tensor for tensor in other if tensor.name not in used)


def _found(path: Path, one: ShapeMatch, row: Layout) -> tuple[FoundLSTM, str]:
    name = escape(one.name or "lstm", 200)
    arrays = {own_names(row, row_tensor)[0]: tensor for row_tensor, tensor in one.under(row)}
    weights = build(path, name, row, arrays)
    found = FoundLSTM(
        name=name,
        weights=weights,
        layout=row.name,
        why=f"{one.listed} fit layout {row.name}, which --layout says, and make {weights.spec.hidden_size} units",
        native_count=weights.parameter_count,
        source_dtype=weights.dtype,
        tensors=tuple(tensor.name for tensor in one.tensors),
    )
    return found, one.prefix


def _with_choices(path: Path, other: tuple[OtherTensor, ...], left: Sequence[TensorInfo]) -> tuple[OtherTensor, ...]:
    """The tensors, with possible layouts noted at possible LSTMs."""
    notes = {}
    matches = shape_matches(left, joint=False)
    refuse_many(path, len(matches), "tensors that may be LSTMs", MAX_LSTMS)
    for one in matches:
        rows = groupby(sorted(one.layouts(), key=_order), key=_order)
        choices = ", ".join(f"{next(same).name} ({order})" for order, same in rows)
        if choices:
            notes[escape(one.recurrent.name, 200)] = (
                f"with its neighbours {one.listed} it may be an LSTM of {one.hidden} units, but these names do not "
                f"say in which order the gates lie; say it with --layout: {choices}"
            )
    return tuple(
        tensor if tensor.unread else replace(tensor, note=notes.get(tensor.name, tensor.note)) for tensor in other
    )


def _order(row: Layout) -> str:
    words = " ".join(row.order)
    words += ", interleaved" if row.gates == "units" else ""
    return words + (f", forget bias +{row.forget_bias:g}" if row.forget_bias else "")
