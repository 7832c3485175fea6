"""Batch, time and feature axes confused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from ...arrays import Array
from ...model import Case
from ..mistake import CaseChange, Mistake, OutputChange, Outputs
from .direction import has_halves


def can_exchange(case: Case) -> bool:
    """Whether batch and steps can be exchanged with effect."""
    return case.batch > 1 and case.steps > 1 and case.lengths is None and case.mask is None


def swapped(array: Array) -> Array:
    """(batch, steps, ...) as (steps, batch, ...)."""
    return np.swapaxes(np.asarray(array), 0, 1)


def viewed(array: Array) -> Array:
    """(batch, steps) data viewed as (steps, batch), then transposed."""
    batch, steps = array.shape[:2]
    return np.swapaxes(np.asarray(array).reshape(steps, batch, *array.shape[2:]), 0, 1)


def view_back(array: Array) -> Array:
    """The inverse of `viewed`."""
    return np.ascontiguousarray(np.swapaxes(array, 0, 1)).reshape(array.shape)


def _on_x(change: Callable[[Array], Array]) -> CaseChange:
    def case_change(case: Case) -> Case | None:
        return replace(case, x=change(case.x)) if can_exchange(case) else None

    return case_change


def _on_y(change: Callable[[Array], Array]) -> OutputChange:
    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        if not can_exchange(case):
            return None
        return {n: change(a) if n.endswith("y") else a for n, a in outputs.items()}

    return output_change


def _swap_x(case: Case) -> Case | None:
    """Read x as (steps, batch); a framework refuses initial states of another batch."""
    states = [states for states in (case.h0, case.c0) if states is not None]
    if not can_exchange(case) or (case.batch != case.steps and any(state.any() for state in states)):
        return None
    same = case.batch == case.steps
    return replace(case, x=swapped(case.x), h0=case.h0 if same else None, c0=case.c0 if same else None)


def _reshape_x(case: Case) -> Case | None:
    """Take x as (steps, batch), where that is another shape."""
    states = [states for states in (case.h0, case.c0) if states is not None]
    if not can_exchange(case) or case.batch == case.steps or any(state.any() for state in states):
        return None
    x = np.asarray(case.x)
    return replace(case, x=x.reshape(x.shape[1], x.shape[0], -1), h0=None, c0=None)


def _reshape_y(outputs: Outputs, case: Case) -> Outputs | None:
    """The same for y; its own inverse."""
    if case.batch == case.steps:
        return None
    return _on_y(lambda y: y.reshape(y.shape[1], y.shape[0], -1))(outputs, case)


def _on_y_and_last(change: Callable[[Array], Array]) -> OutputChange:
    """What is taken as the last output, y[:, -1], changes too."""

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        changed = _on_y(change)(outputs, case)
        if changed is None or not {"y", "last"} <= set(outputs):
            return changed
        return {**changed, "last": changed["y"][:, -1]}

    return output_change


def _undone_on_y(change: Callable[[Array], Array]) -> OutputChange:
    """The inverse, without the last output, which does not follow."""

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        changed = _on_y(change)(outputs, case)
        return None if changed is None else {name: array for name, array in changed.items() if name != "last"}

    return output_change


def _feature_reversed(case: Case) -> Case | None:
    return None if case.spec.input_size == 1 else replace(case, x=np.asarray(case.x)[..., ::-1])


def _regrouped(*shape: int) -> OutputChange:
    """Transpose the units of a bidirectional y, taken as this shape."""

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        if case.spec.output_size == 1 or not has_halves(outputs, case):
            return None
        y = outputs["y"]
        return {**outputs, "y": np.swapaxes(y.reshape(*y.shape[:2], *shape), 2, 3).reshape(y.shape)}

    return output_change


def _states_viewed(outputs: Outputs, case: Case) -> Outputs | None:
    """Memory of (batch, rows) states read as (rows, batch)."""
    if case.spec.num_layers * case.spec.num_directions == 1 or case.batch == 1:
        return None
    return {n: view_back(a) if n in ("h_n", "c_n") else a for n, a in outputs.items()}


_entry = partial(Mistake, family="axes")

MISTAKES = (
    _entry("batch-time-exchanged", "batch and time exchanged",
           "Batch-first data was given to a time-major layer (or the other way round): it runs over the rows, "
           "and y keeps its shape.",
           "Set batch_first=True, or transpose x and y.", "x = x.transpose(1, 0, 2)",
           case=_swap_x, outputs=_on_y_and_last(swapped), undo=_undone_on_y(swapped), reshapes=True),
    _entry("batch-time-exchanged-input", "batch and time of the input exchanged", "x was transposed and y was not.",
           "Leave x as (batch, steps, input).", "x = x.transpose(1, 0, 2)", case=_swap_x, reshapes=True),
    _entry("batch-time-exchanged-output", "batch and time of the output exchanged", "y was transposed and x was not.",
           "Leave y as (batch, steps, output).", "y = y.transpose(1, 0, 2)", outputs=_on_y(swapped), undo=_on_y(swapped), reshapes=True),
    _entry("input-viewed", "input reshaped instead of transposed",
           "x.view(steps, batch, input) mixes the rows; transpose keeps them apart.",
           "Use transpose(0, 1), not view or reshape.", "x = x.transpose(0, 1)", case=_on_x(viewed)),
    _entry("output-viewed", "output reshaped instead of transposed",
           "y.view(batch, steps, hidden) of a time-major output mixes the rows.",
           "Use transpose(0, 1), not view or reshape.", "y = y.transpose(0, 1)",
           outputs=_on_y_and_last(view_back), undo=_undone_on_y(viewed)),
    _entry("input-and-output-viewed", "input and output reshaped instead of transposed",
           "Both x and y were viewed with batch and steps exchanged.", "Use transpose(0, 1), not view or reshape.",
           case=_on_x(viewed), outputs=_on_y_and_last(view_back), undo=_undone_on_y(viewed)),
    _entry("input-viewed-as-batch-first", "time-major input viewed as batch-first",
           "x.view(batch, steps, input) of (steps, batch, input) data mixes the rows; transpose keeps them apart.",
           "Use transpose(0, 1), not view or reshape.", "x = x.transpose(0, 1)", case=_on_x(view_back)),
    _entry("output-viewed-as-time-major", "batch-first output viewed as time-major",
           "y.view(steps, batch, hidden) of a batch-first output mixes the rows; transpose keeps them apart.",
           "Use transpose(0, 1), not view or reshape.", "y = y.transpose(0, 1)",
           outputs=_on_y_and_last(viewed), undo=_undone_on_y(view_back)),
    _entry("input-reshaped", "input reshaped to (steps, batch)",
           "x.reshape(steps, batch, input) of (batch, steps, input) data mixes the rows, and the layer read them as a batch.",
           "Use transpose(0, 1), not view or reshape.", "x = x.transpose(0, 1)", case=_reshape_x, reshapes=True),
    _entry("output-reshaped", "output reshaped to (steps, batch)",
           "y.reshape(steps, batch, hidden) of a batch-first output mixes the rows; transpose keeps them apart.",
           "Use transpose(0, 1), not view or reshape.", "y = y.transpose(0, 1)",
           outputs=_reshape_y, undo=_reshape_y, reshapes=True),
    _entry("features-reversed", "features in reverse order", "The columns of x, or of W, run the other way.",
           "Keep the features in the order of training.", "x = x[..., ::-1]", case=_feature_reversed),
    _entry("halves-interleaved", "directions joined unit by unit", "y was stacked on the last axis and flattened.",
           "Concatenate the directions.", outputs=_regrouped(2, -1), undo=_regrouped(-1, 2)),
    _entry("states-viewed", "final states reshaped instead of transposed",
           "h_n.view(batch, -1) mixes layers, directions and rows.", "Transpose h_n before reshaping it.",
           "h_n.transpose(0, 1).reshape(batch, -1)", outputs=_states_viewed),
)  # fmt: skip
