"""The verdict on one result: is every number what honest rounding allows?

A number beyond the worst-case bound is a `mismatch`: no order of summation and no rounding at that precision explains
it. A quantity within the bound that a statistic of independent roundings objects to (`tiers`), and that no honest
kernel comes near (`envelope`), is a `suspect`. There is no tolerance to choose.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import STORAGE, Array, bit_equal
from ..errors import NothingComparedError
from ..layouts import count_parameters, explain_count, to_layout
from ..model import Case, Result
from ..oracle import Profile, profile_named
from .envelope import reconsidered
from .gradients import gradient_rows
from .lower_precision import eight_bit_step, lower_precision
from .reference import Reference, expected_shapes, observed_quantities, references, usable_outputs
from .scores import index_of_max, score
from .tanh_evidence import with_absolute_tanh
from .tiers import SIGMAS as SIGMAS
from .tiers import Measured
from .verdict import CountRow, Row, Verdict, VerdictName

#: Without teacher forcing, a bound wider than this many units of rounding is inconclusive.
LOOSE = 1000.0


def judge(result: Result, case: Case, *, adapter: str = "result", layout: str = "") -> Verdict:
    """Judge any implementation's outputs for a case.

    Args:
        result: the observed quantities; without the outputs of every step the bound may be too wide to decide.
        case: the weights and data they were computed from.
        adapter: name for the rows.
        layout: the framework's layout, to check the weights read back and the parameter count.

    Raises:
        NothingComparedError: when the result has no quantity of the case.

    >>> from lstm_xcheck.oracle import forward
    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> case = Case.random(LSTMSpec(input_size=2, hidden_size=3))
    >>> judge(forward(case), case).verdict
    'match'
    """
    rows, profile = judged_quantities(result, case, adapter=adapter)
    if not rows:
        raise NothingComparedError(
            f"case {case.id}, adapter {adapter}: compared 0 quantities; give y, h_n, c_n or last"
        )
    of_weights = _weight_rows(result, case, adapter, layout)
    if all(row.verdict == "match" for row in of_weights):  # else the weights explain the outputs
        rows = _explain_by_precision(rows, result, case, profile, adapter)
    rows += gradient_rows(result, case, profile, adapter)
    notes = (_declared_precision(profile, case), result.note)
    for note in filter(None, notes):
        rows = [row.with_note(note) for row in rows]
    rows = [replace(row, precision=profile.name) for row in rows]
    rows += of_weights
    count = _count_row(result, case, adapter)
    if count is not None and layout:
        rows.append(_parameter_row(count, case, layout))
    return Verdict(tuple(rows), count)


def judged_quantities(result: Result, case: Case, *, adapter: str = "result") -> tuple[list[Row], Profile]:
    """A row for each observed quantity, and the precision profile that judged them."""
    profile = profile_named(result.computed_in or case.precision)
    rows = _quantity_rows(result, case, profile, adapter)
    return _allow_absolute_tanh(rows, result, case, profile, adapter)


def _declared_precision(profile: Profile, case: Case) -> str:
    """A note where the result declares another precision than requested."""
    if profile.name == case.precision:
        return ""
    return f"judged as {profile.name}, which the implementation declares; the case asks for {case.precision}"


def _quantity_rows(result: Result, case: Case, profile: Profile, adapter: str) -> list[Row]:
    shapes, observed = expected_shapes(case), observed_quantities(result)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = references(case, usable_outputs(result, case), profile)
        measured: dict[str, Measured] = {}
        rows = [
            _judge_quantity(case, adapter, name, array, shapes.get(name), expected.get(name), profile, measured)
            for name, array in observed.items()
        ]
        if any(row.verdict == "suspect" for row in rows):
            rows = reconsidered(rows, measured, observed, expected, case, profile)
    return rows


def _judge_quantity(
    case: Case,
    adapter: str,
    name: str,
    array: Array,
    shape: tuple[int, ...] | None,
    reference: Reference | None,
    profile: Profile,
    measured: dict[str, Measured],
) -> Row:
    """One quantity's row; its figures by tier are added to `measured`."""
    if reference is None or array.shape != shape:
        reason = f"{name} has shape {array.shape}, but should be {shape or 'absent: there is no such layer'}"
        return Row(case.id, adapter, name, "mismatch", reason=reason)
    defined = _representable(reference.value, case.precision)
    wrong = defined & ~np.isfinite(array)
    if wrong.any():
        where = index_of_max(wrong)
        reason = f"{name}{list(where)} = {array[where]}, but should be {reference.value[where]:.6g}"
        return Row(case.id, adapter, name, "mismatch", float("inf"), float("inf"), where, reason, "worst case")
    bounded = defined & np.isfinite(reference.bound)
    observed = np.asarray(array, np.float64)
    if bounded.all():
        return _judge_numbers(case, adapter, name, observed, reference, profile, measured)
    observed = np.where(bounded, observed, 0.0)
    row = _judge_numbers(case, adapter, name, observed, _only(reference, bounded), profile, measured)
    if row.verdict == "mismatch":
        return row
    reason = f"{name}: the oracle itself overflows {case.precision} on this case; use smaller weights or inputs"
    if reference.free and defined.all():
        reason = _too_wide(reference, name, float("inf"))
    return Row(case.id, adapter, name, "inconclusive", reason=reason)


def _representable(value: Array, precision: str) -> Array:
    """Whether each value is a finite number in this precision."""
    return np.abs(value) <= np.finfo(STORAGE[precision]).max


def _only(reference: Reference, defined: Array) -> Reference:
    """The reference with zeros where it is not defined."""
    value, bound, sigma = (np.where(defined, part, 0.0) for part in (reference.value, reference.bound, reference.sigma))
    return replace(reference, value=value, bound=bound, sigma=sigma)


def _too_wide(reference: Reference, name: str, width: float) -> str:
    return (
        f"{reference.why_free}, so honest rounding alone could move {name} by {width:.2g}; "
        "give the outputs of every step and layer"
    )


def _judge_numbers(
    case: Case,
    adapter: str,
    name: str,
    array: Array,
    reference: Reference,
    profile: Profile,
    measured: dict[str, Measured],
) -> Row:
    error = np.abs(array - reference.value)
    tiers = measured[name] = Measured.of(error, reference, name, case, profile)
    verdict: VerdictName = "match"
    reason, decided_by = "", str(tiers.closest)
    if tiers.score > 1.0:
        scores = score(error, reference.bound)
        verdict, reason = "mismatch", _mismatch_reason(name, array, reference, scores, tiers.where, case)
        decided_by = "worst case"
    elif reference.free and reference.bound.max() > LOOSE * profile.u * max(1.0, float(np.abs(reference.value).max())):
        verdict, decided_by = "inconclusive", ""
        reason = _too_wide(reference, name, float(reference.bound.max()))
    elif tiers.objection:
        verdict, reason, decided_by = "suspect", _suspect_reason(name, tiers), tiers.objection
    return Row(case.id, adapter, name, verdict, float(error.max()), tiers.score, tiers.where, reason, decided_by)


def _suspect_reason(name: str, tiers: Measured) -> str:
    """What the statistic objects to."""
    meaning = "a lower precision somewhere, or a small mistake"
    if tiers.objection == "8 sigma":
        return (
            f"{name} is {tiers.sigmas:.1f} standard deviations of independent rounding away (limit {SIGMAS:g}), though "
            f"within the worst case: {meaning}"
        )
    return (
        f"the root mean square of {name} is {tiers.rms:.2f} standard deviations of independent rounding (limit "
        f"{tiers.rms_limit:.2f}), though each number is within the worst case: {meaning}"
    )


def _mismatch_reason(
    name: str, array: Array, reference: Reference, scores: Array, where: tuple[int, ...], case: Case
) -> str:
    """Observed and expected value, number of wrong elements, and first wrong step."""
    outside = scores > 1.0
    text = (
        f"{name}{list(where)} = {array[where]:.6g}, but should be {reference.value[where]:.6g} "
        f"+/- {reference.bound[where]:.2g} (error is {scores[where]:.3g} x the bound); "
        f"{int(outside.sum())} of {outside.size} elements outside"
    )
    if name.endswith("y"):
        steps = outside.any(axis=(0, 2))
        text += f", first at step {int(np.argmax(steps))}"
        if (outside & ~case.valid[..., None]).any():
            text += f"; outputs at padding should {'be 0' if case.padding == 'zero' else 'repeat the last valid one'}"
    return text


def _allow_absolute_tanh(
    rows: list[Row], result: Result, case: Case, profile: Profile, adapter: str
) -> tuple[list[Row], Profile]:
    """The same with an absolute tanh, where outputs show one that explains them."""
    if not any(row.verdict in ("mismatch", "suspect") for row in rows):
        return rows, profile
    found = with_absolute_tanh(result, case, profile)
    if found is None:
        return rows, profile
    wider, note = found
    again = _quantity_rows(result, case, wider, adapter)
    if any(row.verdict in ("mismatch", "suspect") for row in again):
        return rows, profile
    flagged = {row.quantity for row in rows if row.verdict in ("mismatch", "suspect")}
    return [replace(row, decided_by="tanh").with_note(note) if row.quantity in flagged else row for row in again], wider


def _explain_by_precision(rows: list[Row], result: Result, case: Case, profile: Profile, adapter: str) -> list[Row]:
    """Add a note where errors look like a silent downgrade of precision."""
    if all(row.verdict in ("match", "inconclusive") for row in rows):
        return rows

    def explains(lower: Profile) -> bool:
        return all(row.verdict == "match" for row in _quantity_rows(result, case, lower, adapter))

    observed = observed_quantities(result)
    with np.errstate(over="ignore", invalid="ignore"):
        step = eight_bit_step(observed)
        name = lower_precision(observed, case, profile, explains)
    if not name and not step:
        return rows
    hint = f"computing in {name} instead of {profile.name} would explain every number"
    if step:
        hint = f"all outputs are multiples of {step:.3g} apart, as those of a model quantised to 8 bits are"
    return [row.with_note(hint) if row.verdict in ("mismatch", "suspect") else row for row in rows]


def _weight_rows(result: Result, case: Case, adapter: str, layout: str) -> list[Row]:
    """Compare the weights read back from the framework bit for bit."""
    if not result.native or not layout:
        return []
    given = to_layout(case.weights, layout)
    if set(given) != set(result.native):
        reason = f"the framework holds {sorted(result.native)}, but was given {sorted(given)}"
        return [Row(case.id, adapter, "weights", "mismatch", reason=reason)]
    for name, array in given.items():
        stored = np.asarray(result.native[name])
        if stored.shape != array.shape or stored.dtype != array.dtype:
            reason = f"{name} is held as {stored.shape} {stored.dtype}, but was given as {array.shape} {array.dtype}"
            return [Row(case.id, adapter, "weights", "mismatch", reason=reason)]
        same = bit_equal(stored, array)
        if not same.all():
            where = index_of_max(~same)
            reason = f"{name}{list(where)} is held as {stored[where]!r}, but was given as {array[where]!r}"
            error = float(np.abs(stored.astype(np.float64) - array).max())
            return [Row(case.id, adapter, "weights", "mismatch", error, float("inf"), where, reason, "bits")]
    return [Row(case.id, adapter, "weights", "match", 0.0, 0.0, decided_by="bits")]


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
        return Row(count.case, count.adapter, "parameters", "mismatch", difference, float("inf"), None, reason, "count")
    return Row(count.case, count.adapter, "parameters", "match", 0.0, 0.0, decided_by="count")
