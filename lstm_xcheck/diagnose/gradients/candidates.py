"""Candidates: what mistakes give on a case, and which come near."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...arrays import Array
from ...model import Case
from ...oracle import PROFILES, Roundings
from .catalogue import entries
from .discrepancy import GradientDiscrepancy
from .fitted import case_cells, cell_words, clips, factors, known_factors, norms, scaled, zeros
from .mistake import GradientMistake, with_second_bias
from .wrong_pass import Rule

Cells = frozenset[tuple[int, int]]

#: Numbers that the copies of one pass may hold at once.
_MOST_NUMBERS = 2**20
#: In larger cases, in multiplications of one pass, only passes are tried that explain a probe.
_MOST_WORK = 2**22
#: Passes with a mistake in some cells alone are tried up to these multiplications of all of them.
_MOST_WORK_OF_PARTS = 2**29
#: A candidate's values are this near: in root mean squares of rounding, but not beyond a share of the largest, and
#: relative to the largest.
_NEAR_RMS, _NEAR_SHARE, _NEAR = 100.0, 0.25, 1e-4
#: A candidate's factor is this near to a known one, relative to it.
_NEAR_FACTOR = 1e-2
#: Values that differ by no more than this, relative to the largest, are the same.
_SAME = 1e-12


@dataclass(frozen=True)
class Candidate:
    """A mistake in these cells, with what it gives."""

    mistake: GradientMistake
    cells: Cells
    values: dict[str, Array]

    def own_cells(self, case: Case) -> tuple[tuple[int, int], ...]:
        """The cells that alone have the mistake; empty for all."""
        everywhere = self.mistake.rule is None or len(self.cells) == len(case_cells(case))
        return () if everywhere else tuple(sorted(self.cells))

    def title(self, case: Case) -> str:
        """The mistake, and the cells where it is not in all."""
        where = ", ".join(cell_words(f"{layer}.{direction}.", case) for layer, direction in self.own_cells(case))
        return f"{self.mistake.title}, in {where} alone" if where else self.mistake.title


def fitted_entries(discrepancy: GradientDiscrepancy) -> Iterator[GradientMistake]:
    """Mistakes that are read from the gradients themselves."""
    yield from zeros(discrepancy)
    for multiple in factors(discrepancy):
        clipped = norms(discrepancy, multiple)
        yield from [multiple] if clipped is None else [clipped, multiple]
    yield from clips(discrepancy)


def candidate_of(mistake: GradientMistake, cells: Cells, discrepancy: GradientDiscrepancy) -> Candidate:
    """What a mistake in these cells gives."""
    found = mistake.back_propagate(discrepancy.stack, discrepancy.outputs, cells, discrepancy.plain())
    return Candidate(mistake, cells, {name: value[0] for name, (value, _) in found.items()})


def _cell_choices(case: Case) -> list[Cells]:
    """All cells, those of each layer or direction, and single ones."""
    cells = case_cells(case)
    choices = [frozenset(cells)]
    choices += [frozenset(cell for cell in cells if cell[0] == layer) for layer in range(case.spec.num_layers)]
    choices += [frozenset(cell for cell in cells if cell[1] == d) for d in range(case.spec.num_directions)]
    return list(dict.fromkeys([*choices, *(frozenset({cell}) for cell in cells)]))


def number_tried(discrepancy: GradientDiscrepancy) -> int:
    """How many mistakes are tried, in all cells and with all factors."""
    case = discrepancy.case
    return len(entries(case)) * len(_cell_choices(case)) * (1 + len(known_factors(case)))


def is_large(case: Case) -> bool:
    """Whether hundreds of passes take long."""
    return work(case) > _MOST_WORK


def work(case: Case) -> int:
    """Multiplications of one pass."""
    spec = case.spec
    widest = max(spec.layer_input_size(layer) for layer in range(spec.num_layers)) + spec.output_size
    return len(case_cells(case)) * case.batch * case.steps * 4 * spec.hidden_size * widest


def catalogue_candidates(
    discrepancy: GradientDiscrepancy, probed: frozenset[str] = frozenset()
) -> tuple[list[Candidate], list[Candidate]]:
    """Changes of finished arrays, and passes that come near; then multiples of both.

    What comes near in all cells is tried in some cells alone, too; if nothing does, everything is.

    Args:
        probed: ids of what explains a smaller case; in a large one only these passes are tried.
    """
    case, known = discrepancy.case, entries(discrepancy.case)
    every, *parts = _cell_choices(case)
    honest = discrepancy.honest.value
    finished = [Candidate(m, every, dict(m.arrays(honest))) for m in known if m.is_of_arrays and m.arrays is not None]
    passes = [mistake for mistake in known if not mistake.is_of_arrays]
    if is_large(case):
        passes = [mistake for mistake in passes if mistake.id in probed]
    near, multiples = _near_passes(passes, every, discrepancy)
    again = [candidate.mistake for candidate in near] or passes
    for cells in parts if len(again) * work(case) <= _MOST_WORK_OF_PARTS else ():
        here = _near_passes([mistake for mistake in again if mistake.rule is not None], cells, discrepancy)
        near, multiples = near + here[0], multiples + here[1]
    return finished + near, _near_multiples(finished, discrepancy) + multiples


def _near_passes(
    mistakes: Sequence[GradientMistake], cells: Cells, discrepancy: GradientDiscrepancy
) -> tuple[list[Candidate], list[Candidate]]:
    """The passes with a mistake in these cells that come near, and their multiples."""
    batched = [mistake for mistake in mistakes if mistake.is_of_cells and not mistake.runs_alone]
    alone = (candidate_of(m, cells, discrepancy) for m in mistakes if not m.is_of_cells or m.runs_alone)
    found = [*alone, *_batched(batched, cells, discrepancy)]
    near = [candidate for candidate in found if is_near(candidate, discrepancy, discrepancy.observed)]
    return near, [] if near else _near_multiples(found, discrepancy)


def _near_multiples(candidates: Sequence[Candidate], discrepancy: GradientDiscrepancy) -> list[Candidate]:
    """Candidates that come near with all gradients times a known factor."""
    name = max(discrepancy.wrong, key=lambda name: discrepancy.observed[name].size)
    observed, near = discrepancy.observed[name], []
    for candidate in candidates:
        value = candidate.values[name]
        square = float((value * value).sum())
        factor = float((value * observed).sum()) / square if square else 0.0
        for known, id, words in known_factors(discrepancy.case):
            if abs(factor - known) < _NEAR_FACTOR * abs(known):
                multiple = _times(candidate, known, id, words)
                near += [multiple] if is_near(multiple, discrepancy, discrepancy.observed) else []
                break
    return near


def _times(candidate: Candidate, factor: float, id: str, words: str) -> Candidate:
    """A candidate with every gradient times a factor."""
    mistake = candidate.mistake
    change = partial(scaled, names=frozenset(candidate.values), factor=factor)
    before = mistake.arrays
    both = replace(
        mistake,
        id=f"{mistake.id}+gradient-{id}",
        title=f"every gradient is {words}, and {mistake.title}",
        explanation=f"Every gradient is {factor:.6g} times what it would be without a factor. {mistake.explanation}",
        fix=f"Divide every gradient by {factor:.6g}. {mistake.fix}",
        code="",
        arrays=change if before is None else lambda arrays: change(before(arrays)),
        parameters={**mistake.parameters, "factor": factor},
    )
    return Candidate(both, candidate.cells, {name: factor * value for name, value in candidate.values.items()})


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


def is_near(candidate: Candidate, discrepancy: GradientDiscrepancy, names: Iterable[str]) -> bool:
    """Whether these arrays may be what the candidate gives."""
    for name in names:
        value, observed = candidate.values[name], discrepancy.observed[name]
        rms = float(discrepancy.honest.rms[name].max())
        largest = float(np.abs(discrepancy.honest.value[name]).max())
        size = float(np.abs(value).max())
        rounding = _NEAR_RMS * rms * max(1.0, size / largest if largest else 1.0)
        allowed = _NEAR * size + min(rounding, _NEAR_SHARE * max(size, largest))
        if not float(np.abs(value - observed).max()) <= allowed:
            return False
    return True


def together(candidates: Sequence[Candidate], discrepancy: GradientDiscrepancy) -> list[Candidate]:
    """Changes of finished arrays that explain different arrays, as one candidate."""
    left, chosen = set(discrepancy.wrong), []
    local = [c for c in candidates if c.mistake.arrays is not None and c.mistake.rule is None]
    touched = [frozenset(n for n in discrepancy.observed if _differs(c, n, discrepancy)) for c in local]
    order = sorted(range(len(local)), key=lambda k: -len(touched[k]))
    for k in order:
        if touched[k] and touched[k] <= left and is_near(local[k], discrepancy, touched[k]):
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
    return candidate_of(together, frozenset(), discrepancy)


def same_numbers(a: Candidate, b: Candidate, discrepancy: GradientDiscrepancy) -> bool:
    """Whether two candidates give the same numbers on this case."""
    for name in discrepancy.observed:
        largest = float(np.abs(a.values[name]).max())
        if float(np.abs(a.values[name] - b.values[name]).max()) > _SAME * max(largest, np.finfo(float).tiny):
            return False
    return True
