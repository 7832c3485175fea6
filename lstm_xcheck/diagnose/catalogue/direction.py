"""Sequences read backward, halves of y exchanged, directions confused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from ...arrays import Array
from ...model import Case, LSTMSpec, LSTMWeights
from ..mistake import Mistake, OutputChange, Outputs, WeightsChange, output_name, with_unchecked_spec


def flip_valid(array: Array, case: Case) -> Array:
    """Reverse the valid steps, not the padding, of (batch, steps, ...)."""
    lengths = case.valid.sum(axis=1)
    steps = np.arange(case.steps)
    index = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return np.take_along_axis(array, index[..., None], axis=1)


def has_halves(outputs: Outputs, case: Case) -> bool:
    """Whether y has both directions, not merged by another mistake."""
    return case.spec.bidirectional and "y" in outputs and outputs["y"].shape[-1] == 2 * case.spec.output_size


class _BothForward(LSTMSpec):
    """A bidirectional LSTM whose backward half reads forward."""

    def is_backward(self, direction: int) -> bool:
        return False


class _BothBackward(LSTMSpec):
    """A bidirectional LSTM whose forward half reads backward."""

    def is_backward(self, direction: int) -> bool:
        return True


def _with_reading(kind: type[LSTMSpec]) -> WeightsChange:
    def change(weights: LSTMWeights) -> LSTMWeights | None:
        if not weights.spec.bidirectional:
            return None
        return with_unchecked_spec(weights, kind(**weights.spec.to_dict()))

    return change


def _rearranged(order: tuple[int, int]) -> WeightsChange:
    """Use the weights of these directions as (forward, backward)."""

    def change(weights: LSTMWeights) -> LSTMWeights | None:
        if not weights.spec.bidirectional:
            return None
        return LSTMWeights(weights.spec, tuple((row[order[0]], row[order[1]]) for row in weights.layers), weights.dtype)

    return change


def _reads_backward(case: Case) -> Case | None:
    """Reverse x within the valid steps; outputs stay as processed."""
    if case.steps == 1 or case.spec.bidirectional or case.mask is not None:
        return None
    return replace(case, x=flip_valid(case.x, case))


def _reads_padding_first(case: Case) -> Case | None:
    """Reverse x with its padding, as a plain flip does."""
    if case.lengths is None or case.spec.bidirectional:
        return None
    return replace(case, x=np.asarray(case.x)[:, ::-1], lengths=None)


def _flip_output(outputs: Outputs, case: Case) -> Outputs | None:
    if case.steps == 1 or case.mask is not None:
        return None
    return {name: flip_valid(a, case) if name == "y" else a for name, a in outputs.items()}


def _half(change: Callable[[Array, Array, Case], tuple[Array, Array]]) -> OutputChange:
    """Change the halves of y, (forward, backward)."""

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        if not has_halves(outputs, case) or case.mask is not None:
            return None
        forward, backward = np.split(outputs["y"], 2, axis=-1)
        return {**outputs, "y": np.concatenate(change(forward, backward, case), axis=-1)}

    return output_change


def _last_time_state(outputs: Outputs, case: Case) -> Outputs | None:
    """Take the backward half's final h at the last time.

    It should be taken at the last processed step, which is the first time.
    """
    spec = case.spec
    if not has_halves(outputs, case) or "h_n" not in outputs or case.steps == 1 or case.mask is not None:
        return None
    h_n = np.array(outputs["h_n"])
    last = case.valid.sum(axis=1) - 1
    for layer in range(spec.num_layers):
        y = outputs.get(output_name(spec, layer))
        if y is not None:
            h_n[2 * layer + 1] = y[np.arange(case.batch), last, spec.output_size :]
    return {**outputs, "h_n": h_n}


def _merged(combine: Callable[[Array, Array], Array]) -> OutputChange:
    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        if not has_halves(outputs, case):
            return None
        forward, backward = np.split(outputs["y"], 2, axis=-1)
        merged = {**outputs, "y": combine(forward, backward)}
        if "last" in outputs:
            merged["last"] = combine(*np.split(outputs["last"], 2, axis=-1))
        return merged

    return output_change


def _without_y(outputs: Outputs, case: Case) -> Outputs | None:
    """Leave out y: the halves do not follow from their sum."""
    if not case.spec.bidirectional:
        return None
    return {name: array for name, array in outputs.items() if name not in ("y", "last")}


_flip_backward = _half(lambda f, b, case: (f, flip_valid(b, case)))
_swap_halves = _half(lambda f, b, case: (b, f))
_entry = partial(Mistake, family="direction")

MISTAKES = (
    _entry("reads-backward", "sequence read backward",
           "The layer runs from the last step to the first and returns its outputs in that order (Keras go_backwards).",
           "Remove go_backwards, or reverse x and y.", "x = x[:, ::-1]", case=_reads_backward),
    _entry("reads-backward-aligned", "sequence read backward, outputs put back in order",
           "The layer runs from the last step to the first.", "Run it forward.",
           case=_reads_backward, outputs=_flip_output, undo=_flip_output),
    _entry("reads-padding-first", "padded batch reversed as a whole",
           "x was flipped with its padding, so that the layer reads the padding first.",
           "Reverse each row within its own length.", case=_reads_padding_first),
    _entry("output-reversed", "outputs in reverse time", "y was flipped, or not flipped back.", "Reverse y in time.",
           "y = y[:, ::-1]", outputs=_flip_output, undo=_flip_output),
    _entry("backward-not-reversed-back", "backward half of y in processing order",
           "The backward direction's outputs were not reversed again before they were joined.",
           "Reverse the backward half of y in time.", "y[..., hidden:] = y[:, ::-1, hidden:]",
           outputs=_flip_backward, undo=_flip_backward),
    _entry("halves-exchanged", "forward and backward halves of y exchanged", "y holds the backward outputs first.",
           "Put the forward outputs first.", "y = np.concatenate([y[..., hidden:], y[..., :hidden]], axis=-1)",
           outputs=_swap_halves, undo=_swap_halves),
    _entry("directions-exchanged", "weights of the two directions exchanged",
           "The forward direction runs with the backward weights and the other way round.",
           "Exchange the weights of the directions.", "layers = tuple(row[::-1] for row in layers)",
           weights=_rearranged((1, 0))),
    _entry("forward-weights-twice", "forward weights used for both directions", "The backward weights were never loaded.",
           "Load the backward direction's own weights.", weights=_rearranged((0, 0)), lost=True),
    _entry("backward-weights-twice", "backward weights used for both directions", "The forward weights were overwritten.",
           "Load the forward direction's own weights.", weights=_rearranged((1, 1)), lost=True),
    _entry("both-forward", "backward direction reads forward", "Time is not reversed for the second direction.",
           "Reverse time for the backward direction.", weights=_with_reading(_BothForward)),
    _entry("both-backward", "forward direction reads backward", "Time is reversed for both directions.",
           "Reverse time for the backward direction alone.", weights=_with_reading(_BothBackward)),
    _entry("backward-state-at-last-time", "backward final h taken at the last time",
           "The backward direction ends at the first step; y[:, -1] is where it began.",
           "Take the backward half's final state at the first step.", "h_backward = y[:, 0, hidden:]",
           outputs=_last_time_state),
    _entry("backward-missing", "backward half of y is zero", "Only the forward direction was run.",
           "Run the backward direction.", outputs=_half(lambda f, b, case: (f, 0.0 * b)),
           undo=_half(lambda f, b, case: (f, np.full_like(b, np.nan)))),
    _entry("merge-sum", "directions added instead of concatenated", "merge_mode is 'sum'.", "Set merge_mode='concat'.",
           "Bidirectional(layer, merge_mode='concat')", outputs=_merged(lambda f, b: f + b), undo=_without_y),
    _entry("merge-average", "directions averaged instead of concatenated", "merge_mode is 'ave'.",
           "Set merge_mode='concat'.", "Bidirectional(layer, merge_mode='concat')",
           outputs=_merged(lambda f, b: 0.5 * f + 0.5 * b), undo=_without_y),
)  # fmt: skip
