"""Padding read as data, or valid steps left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from ...arrays import Array
from ...model import Case
from ..mistake import CaseChange, Mistake, Outputs, output_name


def _without_lengths(case: Case) -> Case | None:
    return None if case.valid.all() else replace(case, lengths=None, mask=None)


def _other_lengths(change: Callable[[Array, Case], Array]) -> CaseChange:
    """Change the lengths; None if they stay the same."""

    def case_change(case: Case) -> Case | None:
        if case.lengths is None:
            return None
        given = np.asarray(case.lengths)
        lengths = np.clip(change(given, case), np.minimum(given, 1), case.steps)
        return None if (lengths == case.lengths).all() else replace(case, lengths=lengths)

    return case_change


def _left_padded(case: Case) -> Case | None:
    if case.lengths is None or case.valid.all():
        return None
    mask = np.arange(case.steps) >= case.steps - np.asarray(case.lengths)[:, None]
    return replace(case, lengths=None, mask=mask)


def _sorted_rows(outputs: Outputs, case: Case) -> Outputs | None:
    """Rows in the order of decreasing length."""
    if case.lengths is None:
        return None
    order = _by_length(case.lengths)
    return None if (order == np.arange(case.batch)).all() else _take_rows(outputs, order)


def _unsorted_rows(outputs: Outputs, case: Case) -> Outputs | None:
    return None if case.lengths is None else _take_rows(outputs, np.argsort(_by_length(case.lengths)))


def _by_length(lengths: Array) -> Array:
    order: Array = np.argsort(-np.asarray(lengths), kind="stable")
    return order


def _take_rows(outputs: Outputs, order: Array) -> Outputs:
    return {n: a[:, order] if n in ("h_n", "c_n") else a[order] for n, a in outputs.items()}


def _empty_read_whole(case: Case) -> Case | None:
    lengths = np.asarray(case.lengths if case.lengths is not None else 1)
    return replace(case, lengths=np.where(lengths, lengths, case.steps)) if (lengths == 0).any() else None


def _empty_without_states(outputs: Outputs, case: Case) -> Outputs | None:
    """Zeros as final states, and as last outputs, of rows without a valid step."""
    empty: Array = ~np.any(case.valid, axis=1)
    if case.lengths is None or not empty.any():
        return None
    rows = {"h_n": empty[None, :, None], "c_n": empty[None, :, None], "last": empty[:, None]}
    return {name: np.where(rows[name], 0.0, array) if name in rows else array for name, array in outputs.items()}


def _empty_unknown(outputs: Outputs, case: Case) -> Outputs:
    empty: Array = ~np.any(case.valid, axis=1)
    if not empty.any():
        return outputs
    rows = {"h_n": empty[None, :, None], "c_n": empty[None, :, None], "last": empty[:, None]}
    states = [name for name in rows if name in outputs and outputs[name].shape[-2:-1] == (case.batch,)]
    return {**outputs, **{name: np.where(rows[name], np.nan, outputs[name]) for name in states}}


def _masked(outputs: Outputs, case: Case) -> Outputs | None:
    if case.valid.all():
        return None
    return {n: np.where(case.valid[..., None], a, 0.0) if n.endswith("y") else a for n, a in outputs.items()}


def _repeated(outputs: Outputs, case: Case) -> Outputs | None:
    """The last valid output repeated through the padding."""
    if case.valid.all():
        return None
    steps = np.arange(case.steps)
    last = np.maximum.accumulate(np.where(case.valid, steps, 0), axis=1)[..., None]
    return {n: np.take_along_axis(a, last, axis=1) if n.endswith("y") else a for n, a in outputs.items()}


def _zeroed(outputs: Outputs, case: Case) -> Outputs | None:
    return _masked(outputs, case) if case.padding == "held" else None


def _last_step_state(outputs: Outputs, case: Case) -> Outputs | None:
    """h_n read at the last step of the padded batch."""
    spec = case.spec
    if case.valid.all() or spec.bidirectional or not {"h_n", "y"} <= set(outputs):
        return None
    h_n = np.array(outputs["h_n"])
    for layer in range(spec.num_layers):
        y = outputs.get(output_name(spec, layer))
        if y is not None:
            h_n[layer] = y[:, -1]
    changed = {**outputs, "h_n": h_n}
    return {**changed, "last": outputs["y"][:, -1]} if "last" in outputs else changed


def _unknown_at_padding(outputs: Outputs, case: Case) -> Outputs:
    return {n: np.where(case.valid[..., None], a, np.nan) if n.endswith("y") else a for n, a in outputs.items()}


_entry = partial(Mistake, family="lengths")

MISTAKES = (
    _entry("lengths-ignored", "lengths ignored", "Padding was read as data.", "Pass the lengths or the mask.",
           "pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)", case=_without_lengths),
    _entry("lengths-ignored-then-masked", "lengths ignored, outputs masked afterwards",
           "Padding was read as data and only the outputs were set to zero: the final states are wrong.",
           "Pass the lengths to the layer itself.", case=_without_lengths, outputs=_masked, undo=_unknown_at_padding),
    _entry("last-step-state", "final h taken at the last step instead of the last valid one",
           "y[:, -1] is padding for rows that are shorter than the batch.",
           "Take the final state at each row's own length.", "h_n = y[np.arange(batch), lengths - 1]",
           outputs=_last_step_state),
    _entry("padding-held", "outputs at padding repeat the last valid one",
           "Keras holds the last output through padding unless zero_output_for_mask=True; others give zero.",
           "Set the outputs at padding to zero.", "y = np.where(valid[..., None], y, 0)", outputs=_repeated),
    _entry("padding-zero", "outputs at padding are zero, not the last valid one",
           "The case asks for outputs that are held through padding, as Keras holds them.",
           "Repeat the last valid output, or ask for zeros.", outputs=_zeroed, undo=_unknown_at_padding),
    _entry("lengths-as-left-padding", "padding expected on the left",
           "The last steps of each row were read, not the first.", "Pad on the right, or say where the padding is.",
           case=_left_padded),
    _entry("lengths-one-short", "last valid step not read", "Each length was taken one too small.", "Add 1 to the lengths.",
           "lengths = lengths + 1", case=_other_lengths(lambda lengths, case: lengths - 1)),
    _entry("lengths-one-long", "one step of padding read", "Each length was taken one too large.",
           "Take 1 off the lengths.", "lengths = lengths - 1", case=_other_lengths(lambda lengths, case: lengths + 1)),
    _entry("length-0-without-states", "rows of length 0 end with zeros, not with their initial states",
           "A row without a valid step keeps its states; here they were never written.",
           "Leave such rows out, or put h0 and c0 back.", "h_n = np.where((lengths == 0)[:, None], h0, h_n)",
           outputs=_empty_without_states, undo=_empty_unknown),
    _entry("length-0-reads-all", "rows of length 0 read every step",
           "The state is taken at the index lengths - 1, and -1 is the last step of the padding.",
           "Leave such rows out, or put h0 and c0 back.", "h_n = np.where((lengths == 0)[:, None], h0, h_n)",
           case=_empty_read_whole, outputs=_masked, undo=_unknown_at_padding),
    _entry("lengths-sorted", "lengths sorted, rows not", "The lengths were sorted for packing, but the rows of x were not.",
           "Sort the rows of x with their lengths, or use enforce_sorted=False.",
           case=_other_lengths(lambda lengths, case: np.sort(lengths)[::-1])),
    _entry("rows-left-sorted", "rows returned in the order of decreasing length",
           "The batch was sorted for packing and not put back.", "Undo the sorting of the rows.",
           "y = y[np.argsort(order)]", outputs=_sorted_rows, undo=_unsorted_rows),
    _entry("lengths-shortest", "all rows cut to the shortest length", "One length was used for the whole batch.",
           "Pass a length for each row.", case=_other_lengths(lambda lengths, case: np.full_like(lengths, lengths.min()))),
)  # fmt: skip
