"""Dropout left on; mask and rate are read from the outputs.

Keras 3.15 (`keras/src/layers/rnn/dropout_rnn_cell.py`) multiplies the inputs of an LSTM by one mask for all steps;
`keras.layers.Dropout` and `torch.nn.Dropout` after an LSTM multiply its outputs. Both divide what they keep by 1 - p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from ...arrays import Array
from ...model import Case
from ...oracle import forward
from ...oracle.cell import Cell, activate
from ..mistake import Mistake, Outputs

#: Every mask of at most so many inputs is tried; more would take too long.
MOST_INPUTS = 8
#: Units that identify a mask by their first outputs, and rows that identify the rate.
_UNITS, _ROWS = 16, 3
#: Rates that are tried for inputs, where the outputs do not give them directly.
_RATES = np.arange(1, 100) / 100.0
#: Errors of first outputs that rounding may make, relative to the largest output.
_SEEN = 1e-5
#: Rates outside these limits cannot be identified.
_LEAST, _LARGEST = 0.005, 0.99


@dataclass(frozen=True)
class FittedMistake:
    """A mistake whose parameters `fit` estimates from the outputs, tested like any other.

    `tried`: the logarithm of the number of parameters that the estimate chooses from.
    """

    entry: Mistake
    fit: Callable[[Outputs, Case], Mistake | None]
    tried: Callable[[Case], float]


def _output_dropout(observed: Outputs, case: Case) -> Mistake | None:
    """Dropout after the LSTM: outputs are 0 or share one factor."""
    y, honest = observed.get("y"), forward(case).y
    if y is None or honest is None or y.shape != honest.shape:
        return None
    valid = np.broadcast_to(case.valid[..., None], y.shape)
    kept = (y != 0.0) & valid
    dropped = (y == 0.0) & valid & (honest != 0.0)
    if not kept.any() or not dropped.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = float(np.median(y[kept].astype(np.float64) / honest[kept]))
    rate = _round(1.0 - 1.0 / scale) if np.isfinite(scale) and scale > 1.0 else 0.0
    if not _LEAST < rate < _LARGEST:
        return None
    keep, scale = np.where(valid, kept, True), 1.0 / (1.0 - rate)

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        return {**outputs, "y": np.where(keep, outputs["y"] * scale, 0.0)} if "y" in outputs else None

    def undo(outputs: Outputs, case: Case) -> Outputs | None:
        return {**outputs, "y": np.where(keep, outputs["y"] / scale, np.nan)} if "y" in outputs else None

    share = 100.0 * dropped.sum() / valid.sum()
    title = f"{OUTPUT.title}, p = {rate:g} ({share:.0f} % of the numbers are 0)"
    return replace(OUTPUT, title=title, outputs=output_change, undo=undo)


def _round(rate: float) -> float:
    """The rate as most likely written: float32 has seven digits."""
    return round(rate, 4) if abs(rate - round(rate, 4)) < 1e-5 else rate


def _input_dropout(observed: Outputs, case: Case) -> Mistake | None:
    """Dropout of the inputs, one mask for each row and all steps."""
    spec, y = case.spec, observed.get("y")
    plain = spec.num_layers * spec.num_directions == 1 and not spec.is_backward(0) and not spec.proj_size
    if not plain or spec.input_size > MOST_INPUTS or y is None or not case.valid[:, 0].all():
        return None
    masks = np.array(list(product((0.0, 1.0), repeat=spec.input_size)))
    first = [_first_step_errors(case, row, masks, _RATES, y) for row in range(min(case.batch, _ROWS))]
    rate = _RATES[[int(np.argmin(np.max([errors.min(axis=1) for errors in first], axis=0)))]]
    chosen = np.array(
        [masks[int(np.argmin(_first_step_errors(case, row, masks, rate, y)))] for row in range(case.batch)]
    )
    x = np.asarray(case.x)
    live = (x != 0.0).any(axis=1)  # a feature that is 0 at every step counts as neither
    dropped, kept = (live & (chosen == 0.0)).any(), (live & (chosen != 0.0)).any()
    if not dropped or not kept or _explained_by_no_inputs(case, y):
        return None
    factor = (chosen / (1.0 - rate)).astype(np.asarray(case.x).dtype)

    def case_change(case: Case) -> Case:
        return replace(case, x=np.asarray(case.x) * factor[:, None])

    return replace(INPUT, title=f"{INPUT.title}, p = {rate[0]:g}", case=case_change)


def _explained_by_no_inputs(case: Case, y: Array) -> bool:
    """Whether the first outputs are those of inputs that are all 0."""
    nothing = np.zeros((1, case.spec.input_size))
    errors = [_first_step_errors(case, row, nothing, _RATES[:1], y).max() for row in range(case.batch)]
    return bool(max(errors) <= _SEEN * max(1.0, float(np.abs(y).max())))


def _first_step_errors(case: Case, row: int, masks: Array, rates: Array, y: Array) -> Array:
    """Errors of a row's first outputs, shape (rates, masks)."""
    honest = case.weights.layers[0][0].map(lambda array: array[:, :_UNITS])
    cell = Cell(case.spec, honest)
    x, observed = np.asarray(case.x[row, 0], np.float64), np.asarray(y[row, 0, :_UNITS], np.float64)
    h, c = (case.initial(name, 0, 0)[row] for name in ("h0", "c0"))
    rest = cell.affine(np.zeros_like(x), h)
    parts = (masks @ (cell.kernel[:, : len(x)] * x).T).reshape(len(masks), 4, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = [np.abs(activate(cell, parts / (1.0 - p) + rest, c[:_UNITS]).h - observed).max(axis=-1) for p in rates]
    return np.asarray(np.nan_to_num(np.stack(errors), nan=np.inf))


_entry = partial(
    Mistake,
    family="dropout",
    fix="Compare in inference mode: layer(x, training=False) in Keras, model.eval() in PyTorch.",
    code="model.eval()  # PyTorch; in Keras: layer(x, training=False)",
)

OUTPUT = _entry(
    "dropout-outputs", "dropout left on behind the LSTM",
    "Some outputs are exactly 0 and all others are too large by 1 / (1 - p), as a Dropout layer in training mode makes "
    "them; that the zeros were drawn at random, one run cannot prove.",
)  # fmt: skip
INPUT = _entry(
    "dropout-inputs", "dropout left on at the inputs",
    "In each row some features are missing at every step and the others are too large by 1 / (1 - p), as "
    "LSTM(dropout=p) in training mode makes them; that the features were drawn at random, one run cannot prove.",
)  # fmt: skip


def _rates(case: Case) -> float:
    return math.log(len(_RATES))


def _rates_and_masks(case: Case) -> float:
    return math.log(len(_RATES)) + case.batch * case.spec.input_size * math.log(2.0)


FITTED = (FittedMistake(OUTPUT, _output_dropout, _rates), FittedMistake(INPUT, _input_dropout, _rates_and_masks))
