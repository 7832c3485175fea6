"""Initial and final states exchanged, ignored, or in another order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Array
from ...model import Case
from ...oracle import forward
from ..mistake import CaseChange, Mistake, OutputChange, Outputs


def _same_width(case: Case) -> bool:
    return case.spec.output_size == case.spec.hidden_size


def _has_states(case: Case) -> bool:
    return case.h0 is not None or case.c0 is not None


def _initial(change: Callable[[Array, Array], tuple[Array | None, Array | None]]) -> CaseChange:
    """Change both initial states, which must have the same width."""

    def case_change(case: Case) -> Case | None:
        if not _has_states(case) or not _same_width(case):
            return None
        zeros = np.zeros(
            (case.spec.num_layers * case.spec.num_directions, case.batch, case.spec.hidden_size), case.x.dtype
        )
        h0, c0 = change(*(zeros if states is None else states for states in (case.h0, case.c0)))
        return replace(case, h0=h0, c0=c0)

    return case_change


def _dropped(*names: str) -> CaseChange:
    def case_change(case: Case) -> Case | None:
        if all(getattr(case, name) is None for name in names):
            return None
        nothing: dict[str, Any] = dict.fromkeys(names)
        return replace(case, **nothing)

    return case_change


def _row_order(case: Case, kind: str) -> Array | None:
    """A wrong order of the rows of states; None if right."""
    layers, directions = case.spec.num_layers, case.spec.num_directions
    index = np.arange(layers * directions).reshape(layers, directions)
    order = {
        "layers": index[::-1].reshape(-1),
        "directions": index[:, ::-1].reshape(-1),
        "direction-major": index.T.reshape(-1),
    }[kind]
    return None if (order == index.reshape(-1)).all() else order


def _initial_rows(kind: str) -> CaseChange:
    def case_change(case: Case) -> Case | None:
        order = _row_order(case, kind)
        if order is None or not _has_states(case):
            return None
        return replace(case, **{n: getattr(case, n)[order] for n in ("h0", "c0") if getattr(case, n) is not None})

    return case_change


def _final_rows(kind: str) -> OutputChange:
    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        order = _row_order(case, kind)
        if order is None:
            return None
        return {n: a[order] if n in ("h_n", "c_n") else a for n, a in outputs.items()}

    return output_change


def _finals_from(h_n: str, c_n: str) -> OutputChange:
    """Return these quantities as h_n and c_n."""

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        if not _same_width(case) or not {"h_n", "c_n"} <= set(outputs):
            return None
        return {**outputs, "h_n": outputs[h_n], "c_n": outputs[c_n]}

    return output_change


def _carried_over(case: Case) -> Case | None:
    """A second call, from the final states of the first."""
    with np.errstate(over="ignore", invalid="ignore"):
        first = forward(case)
    if not all(np.isfinite(np.asarray(states)).all() for states in (first.h_n, first.c_n)):
        return None
    return replace(case, h0=first.h_n, c0=first.c_n)


def _never_written(*names: str) -> OutputChange:
    """Zeros for these quantities."""

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        if not set(names) <= set(outputs):
            return None
        return {n: np.zeros_like(a) if n in names else a for n, a in outputs.items()}

    return output_change


def _unknown(*names: str) -> OutputChange:
    """Zeros that were never written say nothing of the cells; None for other numbers."""

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        if any(outputs[name].any() for name in names if name in outputs):
            return None
        return {n: np.full_like(a, np.nan, np.float64) if n in names else a for n, a in outputs.items()}

    return output_change


def _nothing_written(outputs: Outputs, case: Case) -> Outputs:
    return {n: np.zeros_like(a) for n, a in outputs.items()}


def _nothing_known(outputs: Outputs, case: Case) -> Outputs | None:
    return _unknown(*outputs)(outputs, case)


_entry = partial(Mistake, family="state")
_ROWS = {
    "layers": "layers in reverse order",
    "directions": "directions exchanged",
    "direction-major": "directions before layers",
}

MISTAKES = (
    _entry("h0-c0-exchanged", "initial h and c exchanged",
           "The states were given as (c, h), the order of TensorFlow 1, Flax and Burn, where (h, c) is expected.",
           "Give the initial states as (h, c).", "states = (h0, c0)", case=_initial(lambda h, c: (c, h))),
    _entry("h0-ignored", "initial h ignored", "The hidden state starts at zero.", "Pass h0.",
           case=_dropped("h0")),
    _entry("c0-ignored", "initial c ignored", "The cell state starts at zero.", "Pass c0.", case=_dropped("c0")),
    _entry("states-ignored", "initial states ignored", "Both states start at zero.", "Pass (h0, c0).",
           case=_dropped("h0", "c0")),
    _entry("h0-for-both", "initial h used for c too", "One array was passed as both states.", "Pass c0 as the cell state.",
           case=_initial(lambda h, c: (h, h))),
    _entry("c0-for-both", "initial c used for h too", "One array was passed as both states.", "Pass h0 as the hidden state.",
           case=_initial(lambda h, c: (c, c))),
    _entry("states-carried-over", "states carried over from an earlier call",
           "The implementation is stateful: it started from the states in which a call on the same data ended.",
           "Reset the states before each sequence.", "layer.reset_states()", case=_carried_over, reruns=True),
    _entry("states-batch-reversed", "initial states of the batch in reverse order", "Row k got the states of another row.",
           "Keep the rows of h0 and c0 in the order of x.", "h0, c0 = h0[:, ::-1], c0[:, ::-1]",
           case=lambda case: None if case.batch == 1 else _initial(lambda h, c: (h[:, ::-1], c[:, ::-1]))(case)),
    *(
        _entry(f"initial-{kind}", f"rows of the initial states: {words}",
               "Rows of h0 and c0 stand for layer 0 forward, layer 0 backward, layer 1 forward and so on.",
               "Order the rows of h0 and c0 by layer, then direction.", case=_initial_rows(kind))
        for kind, words in _ROWS.items()
    ),
    *(
        _entry(f"final-{kind}", f"rows of the final states: {words}",
               "Rows of h_n and c_n stand for layer 0 forward, layer 0 backward, layer 1 forward and so on.",
               "Order the rows of h_n and c_n by layer, then direction.", outputs=_final_rows(kind))
        for kind, words in _ROWS.items()
    ),
    _entry("h-c-exchanged", "final h and c exchanged",
           "The states were returned as (c, h), the order of TensorFlow 1, Flax and Burn, and read as (h, c).",
           "Read the final states as (c, h).", "c_n, h_n = states", outputs=_finals_from("c_n", "h_n")),
    _entry("h-for-c", "final h returned as c too", "The hidden state was returned twice.", "Return the cell state as c_n.",
           outputs=_finals_from("h_n", "h_n")),
    _entry("c-for-h", "final c returned as h too", "The cell state was returned twice.", "Return the hidden state as h_n.",
           outputs=_finals_from("c_n", "c_n")),
    _entry("h-n-never-written", "final h never written", "h_n is 0 everywhere: the buffer is as it was made.",
           "Write the last h to h_n.", outputs=_never_written("h_n"), undo=_unknown("h_n")),
    _entry("c-n-never-written", "final c never written", "c_n is 0 everywhere: the buffer is as it was made.",
           "Write the last c to c_n.", outputs=_never_written("c_n"), undo=_unknown("c_n")),
    _entry("final-states-never-written", "final states never written",
           "h_n and c_n are 0 everywhere: the buffers are as they were made.", "Write the last h and c to h_n and c_n.",
           outputs=_never_written("h_n", "c_n"), undo=_unknown("h_n", "c_n")),
    _entry("y-never-written", "outputs never written", "y is 0 everywhere: the buffer is as it was made.",
           "Write h of each step to y.", outputs=_never_written("y"), undo=_unknown("y")),
    _entry("nothing-written", "nothing written at all", "Every output is 0: the layer never ran, or its buffers were never filled.",
           "Check that the kernel runs and writes its outputs.", outputs=_nothing_written, undo=_nothing_known),
)  # fmt: skip
