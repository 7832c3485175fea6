"""Are the gradients what honest roundings allow?

The reference is back-propagated in float64 along the outputs that were observed, and sixteen more copies of it are
disturbed by roundings of the backend's precision. An error beyond

    limit = 10 max(rms of the element, rms of its tensor / 10)

is `suspect`. The copies' roundings are independent; where those of a backend all err to the same side, as in a sum of
equal terms, a sum of n of them is off by 4 sqrt(n) standard deviations. Beyond that many, too, is a `mismatch`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import STORAGE, Array
from ..model import Case, Result, gradient_names
from ..model.loss import DATA, PARAMETERS
from ..oracle import Gradients, Profile, gradients, rougher_than
from .reference import expected_shapes, observed_quantities
from .verdict import Row, VerdictName

#: Root mean squares that an honest error may be away.
_TIMES = 10.0
#: An element that few roundings reach is measured by its tensor.
_FLOOR = 0.1
#: Products of numbers within this factor of the largest one may overflow on the way.
_HEADROOM = 16.0


@dataclass(frozen=True)
class _Piece:
    """One tensor: where it is in the rows of its kind, what was observed, and what is expected."""

    place: tuple[int, ...]
    seen: Array
    value: Array
    limit: Array

    @property
    def score(self) -> Array:
        """Error / limit."""
        error = np.abs(np.asarray(self.seen, np.float64) - self.value)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(error == 0.0, 0.0, error / self.limit)


def gradient_rows(result: Result, case: Case, profile: Profile, adapter: str) -> list[Row]:
    """A row for each kind of gradient: grad:W, grad:U, grad:b and so on, of all layers and directions together.

    All are expected where the case asks for them, and else those that the result holds.
    """
    if not result.gradients and not case.gradients:
        return []
    outputs = _outputs(result, case)
    if outputs is None:
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
    """Say so when a rougher precision would explain every gradient; what the roughest does not explain, none does."""

    def explains(rougher: Profile) -> bool:
        again = _rows(result, case, gradients(case, outputs, rougher), rougher, adapter)
        return all(row.verdict == "match" for row in again)

    candidates = rougher_than(profile.name)
    if not candidates or not explains(candidates[-1]):
        return rows
    named = next((rougher for rougher in candidates[:-1] if explains(rougher)), candidates[-1])
    hint = f"computing gradients in {named.name} instead of {profile.name} would explain them all"
    return [row if row.verdict == "match" else _noted(row, hint) for row in rows]


def _outputs(result: Result, case: Case) -> dict[int, Array] | None:
    """Finite outputs of every layer, or None."""
    observed, shapes, top = observed_quantities(result), expected_shapes(case), case.spec.num_layers - 1
    found = {}
    for layer in range(top + 1):
        name = "y" if layer == top else f"layer{layer}.y"
        if name not in observed or observed[name].shape != shapes[name] or not np.isfinite(observed[name]).all():
            return None
        found[layer] = observed[name]
    return found


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
        known = _reference_name(name)
        seen, value = result.gradients.get(name), expected.value.get(known)
        if seen is None or value is None or np.shape(seen) != value.shape:
            reason = _ill_shaped(name, seen, value)
            return Row(case.id, adapter, quantity, "mismatch", reason=reason)
        pieces += _pieces(name, np.asarray(seen), value, expected.rms[known], case)
    return _judged(Row(case.id, adapter, quantity, "match"), pieces, case, expected, profile)


def _reference_name(name: str) -> str:
    """Both vectors of a split bias have the gradient of their sum."""
    return name.removesuffix("_r") if name.endswith(".b_r") else name


def _ill_shaped(name: str, seen: Array | None, value: Array | None) -> str:
    if value is None:
        return f"the gradient of {name} was given, but this LSTM has no such array"
    if seen is None:
        return f"the gradient of {name} was not given, but should be, with shape {value.shape}"
    return f"the gradient of {name} has shape {np.shape(seen)}, but should be {value.shape}"


def _pieces(name: str, seen: Array, value: Array, rms: Array, case: Case) -> list[_Piece]:
    """A tensor with its limits; h0 and c0 row by row, since each layer and direction is a tensor of its own."""
    if name in ("h0", "c0"):
        return [_Piece((row,), seen[row], value[row], _limit(rms[row])) for row in range(len(value))]
    if name == "x":
        return [_Piece((), seen, value, np.where(case.valid[..., None], _limit(rms), 0.0))]
    layer, direction, _ = name.split(".")
    return [_Piece((int(layer), int(direction)), seen, value, _limit(rms))]


def _limit(rms: Array) -> Array:
    limit: Array = _TIMES * np.maximum(rms, _FLOOR * np.sqrt(np.mean(rms**2)))
    return limit


def _judged(row: Row, pieces: list[_Piece], case: Case, expected: Gradients, profile: Profile) -> Row:
    """The worst element of all pieces decides."""
    if expected.peak * _HEADROOM > float(np.finfo(STORAGE.get(profile.name, np.float32)).max):
        reason = f"gradients of this case come near the largest number of {profile.name}; use smaller weights or steps"
        return _with(row, "inconclusive", None, None, None, reason)
    for piece in pieces:
        if not np.isfinite(piece.seen).all():
            at = _place(np.argmax(~np.isfinite(piece.seen)), piece.seen.shape)
            reason = f"{row.quantity}{[*piece.place, *at]} = {piece.seen[at]}, but should be {piece.value[at]:.6g}"
            return _with(row, "mismatch", float("inf"), float("inf"), (*piece.place, *at), reason)
    scores = [piece.score for piece in pieces]
    piece, score = max(zip(pieces, scores, strict=True), key=lambda pair: float(pair[1].max()))
    at = _place(np.argmax(score), score.shape)
    top, where = float(score[at]), (*piece.place, *at)
    error = max(float(np.abs(np.asarray(p.seen, np.float64) - p.value).max()) for p in pieces)
    if top <= 1.0:
        return _with(row, "match", error, top, where, "")
    reason = (
        f"{row.quantity}{list(where)} = {piece.seen[at]:.6g}, but should be {piece.value[at]:.6g} "
        f"+/- {piece.limit[at]:.2g} (error is {top:.3g} x the limit); "
        f"{sum(int((s > 1.0).sum()) for s in scores)} of {sum(s.size for s in scores)} elements outside"
    )
    if expected.near_kink:
        reason += "; but a clip or kink is within rounding here, so that either slope is right"
        return _with(row, "inconclusive", error, top, where, reason)
    if top <= _same_sided(case):
        return _with(row, "suspect", error, top, where, f"{reason}, within what roundings to one side could do")
    return _with(row, "mismatch", error, top, where, reason)


def _same_sided(case: Case) -> float:
    """How many limits roundings that all err to the same side may reach, in the longest sum of the case."""
    spec = case.spec
    widest = max(spec.layer_input_size(layer) for layer in range(spec.num_layers)) + spec.output_size
    longest = max(widest, 4 * spec.hidden_size, case.batch * case.steps)
    return max(1.0, 4.0 * math.sqrt(longest) / _TIMES)


def _place(index: np.intp, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(index), shape))


def _with(
    row: Row, verdict: VerdictName, error: float | None, score: float | None, at: tuple[int, ...] | None, reason: str
) -> Row:
    return Row(row.case, row.adapter, row.quantity, verdict, error, score, at, reason)


def _noted(row: Row, hint: str) -> Row:
    return _with(row, row.verdict, row.max_abs, row.score, row.worst, f"{row.reason}; {hint}")
