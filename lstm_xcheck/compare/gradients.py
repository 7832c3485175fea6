"""Verdicts on gradients, with limits from Monte-Carlo rounding.

The reference is back-propagated in float64 along the observed outputs; sixteen more copies of it have random roundings
of the backend's precision. An error beyond

    limit = 10 max(rms of the element, rms of its tensor / 10) + underflows

is `suspect`. Roundings of the copies are independent; where those of a backend all have the same sign, as in a sum of
equal terms, a sum of n of them is off by 4 sqrt(n) standard deviations. An error beyond that too is a `mismatch`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import STORAGE, Array
from ..model import Case, Result, gradient_names
from ..model.loss import DATA, PARAMETERS
from ..oracle import Gradients, Profile, gradients, rougher_than
from .lower_precision import are_stored_in
from .reference import usable_outputs
from .scores import index_of_max, score
from .verdict import Row

#: Largest honest error in root mean squares.
LIMIT_RMS = 10.0
#: Least limit of an element that few roundings reach, in limits of its tensor.
_LEAST_SHARE = 0.1
#: Products of numbers within this factor of the largest number may overflow.
_HEADROOM = 16.0


@dataclass(frozen=True)
class _Piece:
    """One observed tensor and its reference, at these leading indices of the row."""

    position: tuple[int, ...]
    observed: Array
    value: Array
    limit: Array

    @property
    def error(self) -> Array:
        """Absolute errors."""
        error: Array = np.abs(np.asarray(self.observed, np.float64) - self.value)
        return error


def gradient_rows(result: Result, case: Case, profile: Profile, adapter: str) -> list[Row]:
    """One row per kind of gradient (grad:W, grad:U, ...) over all layers and directions.

    All kinds are expected where the case requests gradients, else those in the result.
    """
    if not result.gradients and not case.gradients:
        return []
    outputs = usable_outputs(result, case)
    if len(outputs) < case.spec.num_layers:
        reason = (
            "the outputs of every step and layer are needed to check gradients along them; give y and layer_outputs"
        )
        return [Row(case.id, adapter, f"grad:{kind}", "inconclusive", reason=reason) for kind in _kinds(result, case)]
    rows = _rows(result, case, gradients(case, outputs, profile), profile, adapter)
    if all(row.verdict in ("match", "inconclusive") for row in rows):
        return rows
    return _explained_by_precision(rows, result, case, outputs, profile, adapter)


def _explained_by_precision(
    rows: list[Row], result: Result, case: Case, outputs: dict[int, Array], profile: Profile, adapter: str
) -> list[Row]:
    """Add a note where a lower precision would explain every gradient."""

    def explains(lower: Profile) -> bool:
        again = _rows(result, case, gradients(case, outputs, lower), lower, adapter)
        return all(row.verdict == "match" for row in again)

    lower = (p for p in reversed(rougher_than(profile.name)) if are_stored_in(result.gradients, p.name))
    named = next((p for p in lower if explains(p)), None)
    if named is None:
        return rows
    hint = f"computing gradients in {named.name} instead of {profile.name} would explain them all"
    return [row if row.verdict == "match" else row.with_note(hint) for row in rows]


def _kinds(result: Result, case: Case) -> list[str]:
    names = [*result.gradients, *(gradient_names(case.spec) if case.gradients else ())]
    present = {name.rpartition(".")[2] for name in names}
    return [kind for kind in (*PARAMETERS, *DATA) if kind in present] + sorted(present - {*PARAMETERS, *DATA})


def _rows(result: Result, case: Case, expected: Gradients, profile: Profile, adapter: str) -> list[Row]:
    return [_row(kind, result, case, expected, profile, adapter) for kind in _kinds(result, case)]


def _row(kind: str, result: Result, case: Case, expected: Gradients, profile: Profile, adapter: str) -> Row:
    quantity = f"grad:{kind}"
    names = {name for name in result.gradients if name.rpartition(".")[2] == kind}
    if case.gradients:
        names |= {name for name in gradient_names(case.spec) if name.rpartition(".")[2] == kind}
    pieces: list[_Piece] = []
    for name in sorted(names):
        # Both vectors of a split bias have the gradient of their sum.
        known = name.removesuffix("_r") if name.endswith(".b_r") else name
        observed, value = result.gradients.get(name), expected.value.get(known)
        if observed is None or value is None or np.shape(observed) != value.shape:
            reason = _wrong_shape(name, observed, value)
            return Row(case.id, adapter, quantity, "mismatch", reason=reason)
        limit = gradient_limit(name, value, expected.rms[known], case, profile)
        pieces += _pieces(name, np.asarray(observed), value, limit)
    return _judged(Row(case.id, adapter, quantity, "match", decided_by="Monte Carlo"), pieces, case, expected, profile)


def _wrong_shape(name: str, observed: Array | None, value: Array | None) -> str:
    if value is None:
        return f"the gradient of {name} was given, but this LSTM has no such array"
    if observed is None:
        return f"the gradient of {name} was not given, but should be, with shape {value.shape}"
    return f"the gradient of {name} has shape {np.shape(observed)}, but should be {value.shape}"


def _pieces(name: str, observed: Array, value: Array, limit: Array) -> list[_Piece]:
    """A tensor with its limits; one per layer and direction for h0 and c0."""
    if name in ("h0", "c0"):
        return [_Piece((row,), observed[row], value[row], limit[row]) for row in range(len(value))]
    layer_and_direction = tuple(int(part) for part in name.split(".")[:-1])
    return [_Piece(layer_and_direction, observed, value, limit)]


def gradient_limit(name: str, value: Array, rms: Array, case: Case, profile: Profile) -> Array:
    """The limit on errors of an honest gradient; 0 for x at padding."""
    underflows = _underflows(case, profile)
    if name in ("h0", "c0"):
        return np.stack([_limit(row, underflows) for row in rms])
    limit = _limit(rms, underflows)
    return limit if name != "x" else np.where(case.valid[..., None] | (value != 0.0), limit, 0.0)


def _limit(rms: Array, underflows: float) -> Array:
    limit: Array = LIMIT_RMS * np.maximum(rms, _LEAST_SHARE * np.sqrt(np.mean(rms**2))) + underflows
    return limit


def _underflows(case: Case, profile: Profile) -> float:
    """What underflows of every term of a sum, and of its factors, cost."""
    largest = max(1.0, float(np.abs(case.x).max()))
    return 2.0 * _longest_sum(case) * profile.eta * largest


def _judged(row: Row, pieces: list[_Piece], case: Case, expected: Gradients, profile: Profile) -> Row:
    """The row with the verdict on its worst element."""
    if near_overflow(expected, profile):
        reason = f"gradients of this case come near the largest number of {profile.name}; use smaller weights or steps"
        return replace(row, verdict="inconclusive", decided_by="", reason=reason)
    for piece in pieces:
        if not np.isfinite(piece.observed).all():
            at = index_of_max(~np.isfinite(piece.observed))
            where = (*piece.position, *at)
            reason = f"{row.quantity}{list(where)} = {piece.observed[at]}, but should be {piece.value[at]:.6g}"
            infinite = float("inf")
            return replace(row, verdict="mismatch", max_abs=infinite, score=infinite, worst=where, reason=reason)
    scores = [score(piece.error, piece.limit) for piece in pieces]
    piece, worst = max(zip(pieces, scores, strict=True), key=lambda pair: float(pair[1].max()))
    at = index_of_max(worst)
    top, where = float(worst[at]), (*piece.position, *at)
    row = replace(row, max_abs=max(float(p.error.max()) for p in pieces), score=top, worst=where)
    if top <= 1.0:
        return row
    reason = (
        f"{row.quantity}{list(where)} = {piece.observed[at]:.6g}, but should be {piece.value[at]:.6g} "
        f"+/- {piece.limit[at]:.2g} (error is {top:.3g} x the limit); "
        f"{sum(int((s > 1.0).sum()) for s in scores)} of {sum(s.size for s in scores)} elements outside"
    )
    if expected.near_kink:
        reason += "; but a clip or kink is within rounding here, so that either slope is right"
        return replace(row, verdict="inconclusive", decided_by="", reason=reason)
    if top <= _same_sign_score(case):
        return replace(row, verdict="suspect", reason=f"{reason}, within what roundings to one side could do")
    return replace(row, verdict="mismatch", reason=reason)


def near_overflow(expected: Gradients, profile: Profile) -> bool:
    """Whether a precision may overflow in this back-propagation."""
    return expected.peak * _HEADROOM > float(np.finfo(STORAGE.get(profile.name, np.float32)).max)


def _same_sign_score(case: Case) -> float:
    """Largest score of roundings of equal sign in the case's longest sum."""
    return max(1.0, 4.0 * math.sqrt(_longest_sum(case)) / LIMIT_RMS)


def _longest_sum(case: Case) -> int:
    """Terms of the longest sum, forward or backward."""
    spec = case.spec
    widest = max(spec.layer_input_size(layer) for layer in range(spec.num_layers)) + spec.output_size
    return max(widest, 4 * spec.hidden_size, case.batch * case.steps)
