"""Names the mistake that explains wrong gradients of right outputs, or locates them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...arrays import Array
from ...model import Case, Result
from ...oracle import PROFILES, Gradients, Profile, Roundings, with_roundings
from ..diagnosis import Diagnosis
from .catalogue import entries
from .discrepancy import GradientDiscrepancy
from .evidence import Evidence, needed, surprise
from .fitted import case_cells, clips, factors, norms, roundings, zeros
from .locate import describe, locate
from .mistake import GradientMistake, with_second_bias
from .rounded import explains_rounding
from .wrong_pass import Rule

Cells = frozenset[tuple[int, int]]

#: Numbers that the copies of one pass may hold at once.
_MOST_NUMBERS = 2**20
#: Larger cases, in multiplications of one pass, get no search of passes, or none of mistakes in some cells alone.
_MOST_WORK, _MOST_WORK_OF_PARTS = 2**23, 2**20
#: A candidate's values are this near: in root mean squares of rounding, and relative to the largest.
_NEAR_RMS, _NEAR = 100.0, 1e-4
#: Values that differ by no more than this, relative to the largest, are the same.
_SAME = 1e-12


@dataclass(frozen=True)
class Candidate:
    """A mistake in these cells, with what it gives."""

    mistake: GradientMistake
    cells: Cells
    values: dict[str, Array]

    def title(self, case: Case) -> str:
        """The mistake, and the cells where it is not in all."""
        everywhere = len(self.cells) == len(case_cells(case)) or self.mistake.rule is None
        where = ", ".join(
            f"layer {k}" + ((" backward" if d else " forward") if case.spec.bidirectional else "")
            for k, d in sorted(self.cells)
        )
        return self.mistake.title if everywhere else f"{self.mistake.title}, in {where} alone"


def diagnose_gradients(result: Result, case: Case, profile: Profile, outputs: Diagnosis) -> Diagnosis:
    """The diagnosis of right outputs, with what is wrong with their gradients.

    Args:
        outputs: the diagnosis of the outputs: that nothing is wrong.
    """
    if not case.gradients and not result.gradients:
        return outputs
    if not result.gradients:
        return _with_remark(outputs, "The gradients that the case asks for were not given, so they were not looked at.")
    discrepancy = GradientDiscrepancy.of(result, case, profile)
    if discrepancy is None:
        remark = "The gradients were not looked at: give the outputs of every step and layer (y and layer_outputs)."
        return _with_remark(outputs, remark)
    if discrepancy.undecided:
        return _with_remark(outputs, f"Nothing can be told from the gradients: {discrepancy.undecided}.")
    found = _found(discrepancy) if discrepancy.wrong else None
    return _with_gaps(found or _nothing_wrong(outputs, discrepancy), discrepancy)


def _with_remark(diagnosis: Diagnosis, remark: str) -> Diagnosis:
    return replace(
        diagnosis, explanation=f"{diagnosis.explanation} {remark}", evidence={**diagnosis.evidence, "gradients": {}}
    )


def _nothing_wrong(outputs: Diagnosis, discrepancy: GradientDiscrepancy) -> Diagnosis:
    evidence = {**outputs.evidence, "gradients": discrepancy.scores}
    if not discrepancy.missing and not discrepancy.unusable:
        return replace(outputs, evidence=evidence)
    looked_at = ", and so are the gradients that could be compared" if discrepancy.observed else ""
    return replace(outputs, explanation=f"The outputs are right{looked_at}.", evidence=evidence)


def _with_gaps(diagnosis: Diagnosis, discrepancy: GradientDiscrepancy) -> Diagnosis:
    """Add which gradients were not looked at, and why."""
    remarks = []
    if discrepancy.missing:
        remarks.append(f"Not given, and so not looked at: the gradients of {', '.join(discrepancy.missing)}.")
    remarks += [f"The gradient of {name} cannot be compared: {why}." for name, why in discrepancy.unusable.items()]
    if not remarks:
        return diagnosis
    gaps = {"missing": list(discrepancy.missing), "unusable": dict(discrepancy.unusable)}
    explanation = " ".join([diagnosis.explanation, *remarks])
    return replace(diagnosis, explanation=explanation, location={**diagnosis.location, **gaps})


def _found(discrepancy: GradientDiscrepancy) -> Diagnosis:
    """The mistake, several together, or where the errors are."""
    rounded = next((_rounded(*found, discrepancy) for found in roundings(discrepancy)), None)
    if rounded is not None:
        return rounded
    fitted = [_candidate(mistake, frozenset(), discrepancy) for mistake in _fitted_entries(discrepancy)]
    known = _catalogue_candidates(discrepancy)
    tried = len(fitted) + _number_tried(discrepancy)
    for candidates in ([*fitted, *known], _together([*fitted, *known], discrepancy)):
        proven, possible = _tested(candidates, discrepancy, tried)
        if proven or possible:
            return _named(proven, possible, discrepancy)
    return _located(discrepancy)


def _fitted_entries(discrepancy: GradientDiscrepancy) -> Iterator[GradientMistake]:
    yield from zeros(discrepancy)
    for scaled in factors(discrepancy):
        clipped = norms(discrepancy, scaled)
        yield from [scaled] if clipped is None else [clipped, scaled]
    yield from clips(discrepancy)


def _candidate(mistake: GradientMistake, cells: Cells, discrepancy: GradientDiscrepancy) -> Candidate:
    found = mistake.back_propagate(discrepancy.stack, discrepancy.outputs, cells, discrepancy.plain())
    return Candidate(mistake, cells, {name: value[0] for name, (value, _) in found.items()})


def _cell_choices(case: Case) -> list[Cells]:
    """All cells, those of each layer or direction, and single ones."""
    cells = case_cells(case)
    choices = [frozenset(cells)]
    choices += [frozenset(cell for cell in cells if cell[0] == layer) for layer in range(case.spec.num_layers)]
    choices += [frozenset(cell for cell in cells if cell[1] == d) for d in range(case.spec.num_directions)]
    return list(dict.fromkeys([*choices, *(frozenset({cell}) for cell in cells)]))


def _number_tried(discrepancy: GradientDiscrepancy) -> int:
    return len(entries(discrepancy.case)) * len(_cell_choices(discrepancy.case))


def _work(case: Case) -> int:
    spec = case.spec
    widest = max(spec.layer_input_size(layer) for layer in range(spec.num_layers)) + spec.output_size
    return len(case_cells(case)) * case.batch * case.steps * 4 * spec.hidden_size * widest


def _catalogue_candidates(discrepancy: GradientDiscrepancy) -> list[Candidate]:
    """Changes of finished arrays, and the passes that come near the observed gradients.

    What comes near in all cells is tried in some cells alone, too; if nothing does, everything is.
    """
    case, known = discrepancy.case, entries(discrepancy.case)
    every, *parts = _cell_choices(case)
    honest = discrepancy.honest.value
    finished = [m for m in known if m.is_of_arrays]
    candidates = [Candidate(m, every, dict(m.arrays(honest))) for m in finished if m.arrays is not None]
    if _work(case) > _MOST_WORK:
        return candidates
    passes = [mistake for mistake in known if not mistake.is_of_arrays]
    near = _near_passes(passes, every, discrepancy)
    again = [candidate.mistake for candidate in near] or passes
    for cells in parts if _work(case) <= _MOST_WORK_OF_PARTS else ():
        near += _near_passes([mistake for mistake in again if mistake.rule is not None], cells, discrepancy)
    return candidates + near


def _near_passes(
    mistakes: Sequence[GradientMistake], cells: Cells, discrepancy: GradientDiscrepancy
) -> list[Candidate]:
    """The passes with a mistake in these cells that come near the observed gradients."""
    batched = [mistake for mistake in mistakes if mistake.is_of_cells and not mistake.runs_alone]
    alone = (_candidate(m, cells, discrepancy) for m in mistakes if not m.is_of_cells or m.runs_alone)
    found = (*alone, *_batched(batched, cells, discrepancy))
    return [candidate for candidate in found if _is_near(candidate, discrepancy, discrepancy.observed)]


def _batched(
    mistakes: Sequence[GradientMistake], cells: Cells, discrepancy: GradientDiscrepancy
) -> Iterator[Candidate]:
    """Candidates whose rules run as copies of one pass."""
    case = discrepancy.case
    each = 16 * len(case_cells(case)) * case.batch * case.steps * 4 * case.spec.hidden_size
    size = max(1, min(64, _MOST_NUMBERS // each))
    for start in range(0, len(mistakes), size):
        part = mistakes[start : start + size]
        rules = [mistake.rule or Rule() for mistake in part]
        with np.errstate(over="ignore", invalid="ignore"):
            stack = discrepancy.stack.with_rules(rules, cells)
            found = with_second_bias(stack.back_propagate(Roundings(PROFILES["float64"], len(rules))))
        for k, mistake in enumerate(part):
            yield Candidate(mistake, cells, {name: value[min(k, len(value) - 1)] for name, (value, _) in found.items()})


def _is_near(candidate: Candidate, discrepancy: GradientDiscrepancy, names: Iterable[str]) -> bool:
    """Whether these arrays may be what the candidate gives."""
    for name in names:
        value, observed = candidate.values[name], discrepancy.observed[name]
        rms = float(discrepancy.honest.rms[name].max())
        largest = float(np.abs(discrepancy.honest.value[name]).max())
        size = float(np.abs(value).max())
        allowed = _NEAR * size + _NEAR_RMS * rms * max(1.0, size / largest if largest else 1.0)
        if not float(np.abs(value - observed).max()) <= allowed:
            return False
    return True


def _tested(
    candidates: Iterable[Candidate], discrepancy: GradientDiscrepancy, tried: int
) -> tuple[list[tuple[Candidate, Evidence]], list[tuple[Candidate, str]]]:
    """Proven candidates, and those within reach with the reason."""
    proven, possible = [], []
    for candidate in candidates:
        if not _is_near(candidate, discrepancy, discrepancy.observed):
            continue
        evidence = _evidence(candidate, discrepancy)
        if not evidence.is_noise:
            continue
        why = _doubt(candidate.mistake, evidence, discrepancy, tried)
        if why:
            possible.append((candidate, why))
        else:
            proven.append((candidate, evidence))
    return proven, possible


def _evidence(candidate: Candidate, discrepancy: GradientDiscrepancy) -> Evidence:
    """What the candidate leaves of the errors, within its own spread."""

    def back(r: Roundings) -> dict[str, tuple[Array, Array]]:
        return candidate.mistake.back_propagate(discrepancy.stack, discrepancy.outputs, candidate.cells, r)

    expected: Gradients = with_roundings(back, discrepancy.case, discrepancy.profile)
    return Evidence(expected, discrepancy.errors_against(expected))


def _doubt(mistake: GradientMistake, evidence: Evidence, discrepancy: GradientDiscrepancy, tried: int) -> str:
    """Why an explanation that fits is not proven; empty where it is."""
    if not evidence.improves(discrepancy.errors):
        return "the errors are too small to tell it from another cause"
    if not mistake.exact and surprise(discrepancy, fitted=mistake.fitted) < needed(tried):
        return "one wrong number would explain the gradients as well"
    return ""


def _together(candidates: Sequence[Candidate], discrepancy: GradientDiscrepancy) -> list[Candidate]:
    """Changes of finished arrays that explain different arrays, as one candidate."""
    left, chosen = set(discrepancy.wrong), []
    local = [c for c in candidates if c.mistake.arrays is not None and c.mistake.rule is None]
    touched = [frozenset(n for n in discrepancy.observed if _differs(c, n, discrepancy)) for c in local]
    order = sorted(range(len(local)), key=lambda k: -len(touched[k]))
    for k in order:
        if touched[k] and touched[k] <= left and _is_near(local[k], discrepancy, touched[k]):
            chosen.append(local[k])
            left -= touched[k]
    if left or len(chosen) < 2:
        return []
    return [_joined(chosen, discrepancy)]


def _differs(candidate: Candidate, name: str, discrepancy: GradientDiscrepancy) -> bool:
    return not np.array_equal(candidate.values[name], discrepancy.honest.value[name])


def _joined(chosen: Sequence[Candidate], discrepancy: GradientDiscrepancy) -> Candidate:
    """Several changes of arrays one after another."""
    mistakes = [candidate.mistake for candidate in chosen]

    def change(arrays: dict[str, Array]) -> dict[str, Array]:
        for mistake in mistakes:
            assert mistake.arrays is not None
            arrays = dict(mistake.arrays(arrays))
        return arrays

    together = GradientMistake(
        id="+".join(mistake.id for mistake in mistakes),
        title=" and ".join(mistake.title for mistake in mistakes),
        explanation=" ".join(mistake.explanation for mistake in mistakes),
        fix=" ".join(mistake.fix for mistake in mistakes),
        code="\n".join(mistake.code for mistake in mistakes if mistake.code),
        arrays=change,  # type: ignore[arg-type]
        fitted=any(mistake.fitted for mistake in mistakes),
        exact=all(mistake.exact for mistake in mistakes),
    )
    return _candidate(together, frozenset(), discrepancy)


def _named(
    proven: Sequence[tuple[Candidate, Evidence]],
    possible: Sequence[tuple[Candidate, str]],
    discrepancy: GradientDiscrepancy,
) -> Diagnosis:
    """The proven mistake, unless a rival that gives other numbers holds too."""
    exact = [entry for entry in proven if not entry[0].mistake.fitted] or list(proven)
    if not exact:
        return _located(discrepancy, [_reachable(candidate, why, discrepancy) for candidate, why in possible])
    first, evidence = exact[0]
    rivals = [candidate for candidate, _ in exact[1:] if not _same(candidate, first, discrepancy)]
    if rivals:
        why = "several mistakes that differ by less than rounding explain the gradients"
        within = [_reachable(candidate, why, discrepancy) for candidate in [first, *rivals]]
        return _located(discrepancy, within)
    mistake, case = first.mistake, discrepancy.case
    return Diagnosis(
        cause=first.title(case),
        mistakes=tuple(mistake.id.split("+")),
        parameters=dict(mistake.parameters),
        explanation=f"The outputs are right, the gradients are not. {mistake.explanation}",
        fix=mistake.fix,
        code=mistake.code,
        evidence={**_scores(discrepancy), "residual_after": evidence.largest / 10.0},
        alternatives=tuple(_alternative(c, e, first, discrepancy) for c, e in proven if c is not first),
        location=locate(discrepancy),
    )


def _scores(discrepancy: GradientDiscrepancy) -> dict[str, object]:
    scores = {f"grad:{name}": score for name, score in discrepancy.scores.items()}
    return {
        "residual_before": max(scores.values()),
        "by_quantity": scores,
        "first": {},
        "gradients": dict(discrepancy.scores),
    }


def _alternative(
    candidate: Candidate, evidence: Evidence, first: Candidate, discrepancy: GradientDiscrepancy
) -> dict[str, object]:
    return {
        "cause": candidate.title(discrepancy.case),
        "mistakes": candidate.mistake.id.split("+"),
        "residual": evidence.largest / 10.0,
        "same_on_this_case": _same(candidate, first, discrepancy),
    }


def _reachable(candidate: Candidate, why: str, discrepancy: GradientDiscrepancy) -> dict[str, object]:
    return {
        "cause": candidate.title(discrepancy.case),
        "mistakes": candidate.mistake.id.split("+"),
        "parameters": dict(candidate.mistake.parameters),
        "reason": why,
    }


def _same(a: Candidate, b: Candidate, discrepancy: GradientDiscrepancy) -> bool:
    """Whether two candidates give the same numbers on this case."""
    for name in discrepancy.observed:
        largest = float(np.abs(a.values[name]).max())
        if float(np.abs(a.values[name] - b.values[name]).max()) > _SAME * max(largest, np.finfo(float).tiny):
            return False
    return True


def _rounded(precision: str, names: list[str], discrepancy: GradientDiscrepancy) -> Diagnosis | None:
    """Gradients rounded to a short format after they were computed."""
    if not explains_rounding(precision, names, discrepancy):
        return None
    who = ", ".join(names)
    return Diagnosis(
        cause=f"gradients rounded to {precision}",
        mistakes=(f"gradient-rounded-to-{precision}",),
        explanation=f"The outputs are right. Every number of the gradients of {who} is one of {precision}, and within "
        f"half a unit of the last digit of what it should be.",
        fix=f"Keep gradients in {discrepancy.profile.name}, or verify in {precision}.",
        evidence={**_scores(discrepancy), "residual_after": 0.0},
        location=locate(discrepancy),
    )


def _located(discrepancy: GradientDiscrepancy, within_reach: Sequence[dict[str, object]] = ()) -> Diagnosis:
    """Where the errors are, without a cause."""
    location = locate(discrepancy)
    reach = "".join(f" Within reach, not proven: {entry['cause']} ({entry['reason']})." for entry in within_reach[:3])
    return Diagnosis(
        None,
        explanation=describe(location, discrepancy) + reach,
        evidence=_scores(discrepancy),
        within_reach=tuple(within_reach),
        location=location,
    )
