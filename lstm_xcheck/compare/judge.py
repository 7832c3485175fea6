"""Decide about one result: is every number what honest rounding allows?

A number beyond the worst-case bound is a `mismatch`: no order of summation and no rounding at that precision
explains it. One within the bound but beyond 8 standard deviations of independent roundings is a `suspect`.
There is no tolerance to choose.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import STORAGE, Array, bit_equal, round_to
from ..errors import NothingComparedError
from ..layouts import count_parameters, explain_count, to_layout
from ..model import Case, Result
from ..oracle import Profile, profile_named, rougher_than
from .gradients import gradient_rows
from .reference import Reference, expected_shapes, observed_quantities, references
from .verdict import CountRow, Row, Verdict, VerdictName

#: A rounding error this many standard deviations out is suspect. Honest runs were measured to stay within 3.
SIGMAS = 8.0
#: A free-running bound wider than this many units of rounding proves nothing.
LOOSE = 1000.0


def judge(result: Result, case: Case, *, adapter: str = "result", layout: str = "") -> Verdict:
    """Judge any implementation's outputs for a case.

    Args:
        result: what was observed; every step's outputs, or the bound may be too wide to decide.
        case: the weights and data they were computed from.
        adapter: name for the rows.
        layout: the framework's layout, when the weights read back and the count are to be checked against it.

    Raises:
        NothingComparedError: when the result has nothing in common with the case.

    >>> from lstm_xcheck.oracle import forward
    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> case = Case.random(LSTMSpec(input_size=2, hidden_size=3))
    >>> judge(forward(case), case).verdict
    'match'
    """
    profile = profile_named(result.computed_in or case.precision)
    rows = _quantity_rows(result, case, profile, adapter)
    if not rows:
        raise NothingComparedError(
            f"case {case.id}, adapter {adapter}: compared 0 quantities; give y, h_n, c_n or last"
        )
    rows = _explain_by_precision(rows, result, case, profile, adapter)
    rows += gradient_rows(result, case, profile, adapter)
    if result.note:
        rows = [_with_note(row, result.note) for row in rows]
    rows += _weight_rows(result, case, adapter, layout)
    count = _count_row(result, case, adapter)
    if count is not None and layout:
        rows.append(_parameter_row(count, case, layout))
    return Verdict(tuple(rows), count)


def _quantity_rows(result: Result, case: Case, profile: Profile, adapter: str) -> list[Row]:
    observed = observed_quantities(result)
    shapes = expected_shapes(case)
    usable = {name: a for name, a in observed.items() if a.shape == shapes.get(name) and np.isfinite(a).all()}
    top = case.spec.num_layers - 1
    outputs = {k: usable[n] for k in range(top + 1) if (n := "y" if k == top else f"layer{k}.y") in usable}
    with np.errstate(over="ignore", invalid="ignore"):
        expected = references(case, outputs, profile)
        return [
            _judge_quantity(case, adapter, name, array, shapes.get(name), expected.get(name), profile)
            for name, array in observed.items()
        ]


def _judge_quantity(
    case: Case,
    adapter: str,
    name: str,
    array: Array,
    shape: tuple[int, ...] | None,
    reference: Reference | None,
    profile: Profile,
) -> Row:
    if reference is None or array.shape != shape:
        reason = f"{name} has shape {array.shape}, but should be {shape or 'absent: there is no such layer'}"
        return Row(case.id, adapter, name, "mismatch", reason=reason)
    defined = _representable(reference.value, case.precision)
    wrong = defined & ~np.isfinite(array)
    if wrong.any():
        where = _index(wrong, array.shape)
        reason = f"{name}{list(where)} = {array[where]}, but should be {reference.value[where]:.6g}"
        return Row(case.id, adapter, name, "mismatch", float("inf"), float("inf"), where, reason)
    bounded = defined & np.isfinite(reference.bound)
    observed = np.asarray(array, np.float64)
    if bounded.all():
        return _judge_numbers(case, adapter, name, observed, reference, profile)
    observed = np.where(bounded, observed, 0.0)
    row = _judge_numbers(case, adapter, name, observed, _only(reference, bounded), profile)
    if row.verdict == "mismatch":
        return row
    reason = f"{name}: the oracle itself overflows {case.precision} on this case; use smaller weights or inputs"
    if reference.free and defined.all():
        reason = _too_wide(reference, name, float("inf"))
    return Row(case.id, adapter, name, "inconclusive", reason=reason)


def _representable(value: Array, precision: str) -> Array:
    """Where the truth is a number of this precision: an honest backend overflows nowhere else."""
    largest = np.finfo(STORAGE[precision]).max
    return np.abs(value) <= largest


def _only(reference: Reference, kept: Array) -> Reference:
    """The reference with zeros, which agree with anything set to zero, where it is undefined."""
    value, bound, sigma = (np.where(kept, part, 0.0) for part in (reference.value, reference.bound, reference.sigma))
    return replace(reference, value=value, bound=bound, sigma=sigma)


def _too_wide(reference: Reference, name: str, width: float) -> str:
    return (
        f"{reference.why_free}, so honest rounding alone could move {name} by {width:.2g}; "
        "give the outputs of every step and layer"
    )


def _judge_numbers(case: Case, adapter: str, name: str, array: Array, reference: Reference, profile: Profile) -> Row:
    error = np.abs(array - reference.value)
    score = _ratio(error, reference.bound)
    sigmas = _ratio(error, reference.sigma)
    where = tuple(int(i) for i in np.unravel_index(np.argmax(score), score.shape))
    top, noise = float(score[where]), float(sigmas.max())
    verdict: VerdictName = "match"
    reason = ""
    if top > 1.0:
        verdict, reason = "mismatch", _wrong(name, array, reference, score, where, case)
    elif reference.free and reference.bound.max() > LOOSE * profile.u * max(1.0, float(np.abs(reference.value).max())):
        verdict = "inconclusive"
        reason = _too_wide(reference, name, float(reference.bound.max()))
    elif noise > SIGMAS and not reference.free:  # the errors of a free run depend on each other: sigma is too small
        verdict = "suspect"
        reason = (
            f"{name} is {noise:.1f} standard deviations of independent rounding away (limit {SIGMAS:g}), though within "
            "the worst case: a lower precision somewhere, or a sum of equal terms in an unusual order"
        )
    return Row(case.id, adapter, name, verdict, float(error.max()), top, where, reason)


def _ratio(error: Array, bound: Array) -> Array:
    """error / bound, with 0 / 0 = 0: where nothing may differ and nothing does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0.0, 0.0, error / bound)


def _index(mask: Array, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), shape))


def _wrong(name: str, array: Array, reference: Reference, score: Array, where: tuple[int, ...], case: Case) -> str:
    """Got, expected, how many, and when it begins."""
    outside = score > 1.0
    text = (
        f"{name}{list(where)} = {array[where]:.6g}, but should be {reference.value[where]:.6g} "
        f"+/- {reference.bound[where]:.2g} (error is {score[where]:.3g} x the bound); "
        f"{int(outside.sum())} of {outside.size} elements outside"
    )
    if name.endswith("y"):
        steps = outside.any(axis=(0, 2))
        text += f", first at step {int(np.argmax(steps))}"
        if (outside & ~case.valid[..., None]).any():
            text += "; outputs at padding should be 0"
    return text


def _explain_by_precision(rows: list[Row], result: Result, case: Case, profile: Profile, adapter: str) -> list[Row]:
    """Say so when a rougher precision would explain every number: a silent downgrade is a finding of its own."""
    if all(row.verdict in ("match", "inconclusive") for row in rows):
        return rows
    explaining = [
        rougher
        for rougher in rougher_than(profile.name)
        if all(row.verdict == "match" for row in _quantity_rows(result, case, rougher, adapter))
    ]
    if not explaining:
        return rows
    # A wider bound explains what a narrower one does; numbers that all fit a shorter format give that format away.
    stored = [rougher for rougher in explaining if _all_fit(result, rougher.name)]
    named = stored[-1] if stored else explaining[0]
    hint = f"computing in {named.name} instead of {profile.name} would explain every number"
    return [_with_note(row, hint) if row.verdict in ("mismatch", "suspect") else row for row in rows]


def _all_fit(result: Result, precision: str) -> bool:
    """Whether every observed number can be stored in that precision without rounding."""
    if precision not in STORAGE:
        return False
    arrays = observed_quantities(result).values()
    with np.errstate(over="ignore"):
        return all(bool((round_to(array, precision) == array).all()) for array in arrays)


def _with_note(row: Row, note: str) -> Row:
    return replace(row, reason=f"{row.reason}; {note}" if row.reason else note)


def _weight_rows(result: Result, case: Case, adapter: str, layout: str) -> list[Row]:
    """The weights the framework holds must be the given ones, bit for bit."""
    if not result.native or not layout:
        return []
    given = to_layout(case.weights, layout)
    if set(given) != set(result.native):
        reason = f"the framework holds {sorted(result.native)}, but was given {sorted(given)}"
        return [Row(case.id, adapter, "weights", "mismatch", reason=reason)]
    for name, array in given.items():
        held = np.asarray(result.native[name])
        if held.shape != array.shape or held.dtype != array.dtype:
            reason = f"{name} is held as {held.shape} {held.dtype}, but was given as {array.shape} {array.dtype}"
            return [Row(case.id, adapter, "weights", "mismatch", reason=reason)]
        same = bit_equal(held, array)
        if not same.all():
            where = _index(~same, same.shape)
            reason = f"{name}{list(where)} is held as {held[where]!r}, but was given as {array[where]!r}"
            error = float(np.abs(held.astype(np.float64) - array).max())
            return [Row(case.id, adapter, "weights", "mismatch", error, float("inf"), where, reason)]
    return [Row(case.id, adapter, "weights", "match", 0.0, 0.0)]


def _count_row(result: Result, case: Case, adapter: str) -> CountRow | None:
    if result.parameter_count is None:
        return None
    explanation = explain_count(case.spec, result.parameter_count)
    return CountRow(case.id, adapter, result.parameter_count, case.spec.canonical_count, explanation)


def _parameter_row(count: CountRow, case: Case, layout: str) -> Row:
    expected = count_parameters(case.spec, layout).total
    difference = float(abs(count.native - expected))
    if difference:
        reason = f"the framework reports {count.native} parameters, but should report {expected}; {count.explanation}"
        return Row(count.case, count.adapter, "parameters", "mismatch", difference, float("inf"), None, reason)
    return Row(count.case, count.adapter, "parameters", "match", 0.0, 0.0)
