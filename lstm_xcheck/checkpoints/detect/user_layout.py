"""LSTMs whose layout the user says with `--layout`, and tensors that would be LSTMs if somebody said it.

Names tell whose file it is, and so in which order the gates lie; shapes alone do not. Where the names are of no
framework, the choices are named and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from ...errors import CheckpointError, SpecError
from ...layouts.table import Layout, layout_named
from ..codecs.limits import escape
from ..model import FoundLSTM, OtherTensor, TensorInfo
from .by_shape import ShapeMatch, fits, shape_matches
from .layout_names import detect_layout_names, own_names
from .torch_names import build, detect_torch_names, others, unique_names
from .training_state import is_training_state

_SAID: ContextVar[str | None] = ContextVar("said", default=None)

Detected = tuple[tuple[FoundLSTM, ...], tuple[OtherTensor, ...]]


@contextmanager
def reading_as(layout: str | None) -> Iterator[None]:
    """Within it tensors that only have names are taken to be stored as this row of the layout table says.

    Raises:
        CheckpointError: when there is no such row.
    """
    try:
        token = _SAID.set(layout_named(layout).name if layout else None)
    except SpecError as error:
        raise CheckpointError(f"--layout: {error}") from error
    try:
        yield
    finally:
        _SAID.reset(token)


def detect(
    path: Path, tensors: Sequence[TensorInfo], usual: Callable[[Path, Sequence[TensorInfo]], Detected]
) -> Detected:
    """The LSTMs among tensors, by the layout that was said or else by the usual names, and all other tensors.

    Raises:
        CheckpointError: when an LSTM's tensors do not fit together, or a name has two meanings.
    """
    said = _SAID.get()
    # An optimizer keeps moments of each weight under names like the weight's own.
    training = [tensor for tensor in tensors if is_training_state(tensor)]
    apart = {tensor.name for tensor in training}
    model = [tensor for tensor in tensors if tensor.name not in apart]
    if said is not None:
        lstms, other = _as_said(path, model, layout_named(said))
    else:
        lstms, other = usual(path, model)
        used = {name for lstm in lstms for name in lstm.tensors}
        other = _with_choices(other, [tensor for tensor in model if tensor.name not in used])
    return lstms, (*other, *others(training, {}))


def _as_said(path: Path, tensors: Sequence[TensorInfo], row: Layout) -> Detected:
    named = detect_torch_names if row.name == "torch" else lambda p, t: detect_layout_names(p, t, (row.name,))
    lstms, other = named(path, tensors)
    if lstms:
        return lstms, other
    found = [_found(path, one, row) for one in shape_matches(tensors, joint=True) if fits(one, row)]
    lstms = unique_names(path, found)
    used = {name for lstm in lstms for name in lstm.tensors}
    notes = {tensor.name: tensor.note for tensor in other}
    return lstms, others((tensor for tensor in tensors if tensor.name not in used), notes)


def _found(path: Path, one: ShapeMatch, row: Layout) -> tuple[FoundLSTM, str]:
    name = escape(one.name or "lstm", 200)
    arrays = {own_names(row, row_tensor)[0]: tensor for row_tensor, tensor in one.under(row)}
    weights = build(path, name, row.name, arrays)
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


def _with_choices(other: tuple[OtherTensor, ...], left: Sequence[TensorInfo]) -> tuple[OtherTensor, ...]:
    """The same with a note at what may be an LSTM: which layouts it may have."""
    notes = {}
    for one in shape_matches(left, joint=False):
        choices = _choices(one)
        if choices:
            notes[escape(one.recurrent.name, 200)] = (
                f"with its neighbours {one.listed} it may be an LSTM of {one.hidden} units, but these names do not "
                f"say in which order the gates lie; say it with --layout: {choices}"
            )
    return tuple(replace(tensor, note=notes.get(tensor.name, tensor.note)) for tensor in other)


def _choices(one: ShapeMatch) -> str:
    """The layouts that the shapes allow, one for each order of gates."""
    rows = sorted((row for row in one.layouts()), key=_order)
    return ", ".join(f"{next(same).name} ({order})" for order, same in groupby(rows, key=_order))


def _order(row: Layout) -> str:
    words = " ".join(row.order)
    words += ", interleaved" if row.gates == "units" else ""
    return words + (f", forget bias +{row.forget_bias:g}" if row.forget_bias else "")
