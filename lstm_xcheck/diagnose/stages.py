"""The stages of a search, from single mistakes to pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .candidates import cell_candidates, single_candidates, window_limit
from .catalogue import BETWEEN, FITTED
from .discrepancy import Discrepancy
from .evidence import Evidence
from .fit import Fit, fit
from .free_run import FreeRuns
from .low_precision import ROUNDINGS, low_precision_mistake
from .mistake import Mistake, gives_shapes, in_cells
from .numbers import LOG_FAMILIES, FittedNumber, fitting_numbers, same_change, shifted_units
from .pairs import fitting_pairs
from .prefilter import observed_window

#: One mistake or two, and how well they fit.
Explanation = tuple[tuple[Mistake, ...], Fit]


@dataclass(frozen=True)
class Search:
    """What the stages of one search share.

    `within_reach`: explanations that are not proven, with the reason; `numbers`: proven ones with a fitted number.
    """

    discrepancy: Discrepancy
    catalogue: Sequence[Mistake]
    free_runs: FreeRuns
    evidence: Evidence
    within_reach: list[tuple[Explanation, str]] = field(default_factory=list)
    numbers: list[FittedNumber] = field(default_factory=list)

    def proven(self, found: Iterable[Explanation], tried: float) -> list[Explanation]:
        """The explanations that the evidence proves; keeps the others as within reach.

        `tried`: the logarithm of the number of hypotheses tried to find these.
        """
        proven = []
        for mistakes, quality in found:
            lack = self.evidence.lack(mistakes, quality, tried)
            if lack:
                self.within_reach.append(((mistakes, quality), lack))
            else:
                proven.append((mistakes, quality))
        return proven

    def singles(self) -> list[Explanation]:
        """The single mistakes that the evidence proves."""
        discrepancy = self.discrepancy
        candidates = ((mistake,) for mistake in single_candidates(discrepancy, self.catalogue, self.free_runs))
        found = explaining(discrepancy, candidates, discrepancy.wrong_cells()[:1])
        return self.proven(found, math.log(max(1, len(self.catalogue))))

    def lower_precision(self) -> list[Explanation]:
        """The lower precision that the evidence proves."""
        discrepancy = self.discrepancy
        lower = low_precision_mistake(discrepancy.observed, discrepancy.case, discrepancy.profile)
        return self.proven([] if lower is None else [((lower[0],), lower[1])], math.log(ROUNDINGS))

    def read_from_outputs(self) -> list[Explanation]:
        """The mistakes whose parameters are read from the outputs."""
        case, found = self.discrepancy.case, []
        for fitted in FITTED:
            mistake = fitted.fit(self.discrepancy.observed, case)
            explanations = [] if mistake is None else explaining(self.discrepancy, [(mistake,)])
            found += self.proven(explanations, fitted.tried(case))
        return found

    def between_layers(self) -> list[Explanation]:
        """The mistakes of every layer of a stack that the evidence proves."""
        discrepancy = self.discrepancy
        if discrepancy.case.spec.num_layers == 1 or not gives_shapes((), discrepancy.observed, discrepancy.case):
            return []
        candidates = ((mistake,) for mistake in BETWEEN)
        return self.proven(explaining(discrepancy, candidates), math.log(len(BETWEEN)))

    def shifts(self) -> list[Explanation]:
        """The cyclic shifts of units that the evidence proves."""
        shifts = shifted_units(self.discrepancy.case.spec)
        wrong = self.discrepancy.wrong_cells()
        window = observed_window(self.discrepancy.case, self.discrepancy.observed, wrong[0]) if wrong else None
        if not shifts or window is None:
            return []
        near = cell_candidates(shifts, self.discrepancy, wrong[0], self.free_runs)
        candidates = [(mistake,) for mistake in near]
        if len(wrong) < len([*self.discrepancy.case.weights.cells()]):
            candidates += [(in_cells(mistake, wrong),) for mistake in near]
        return self.proven(explaining(self.discrepancy, candidates, wrong[:1]), math.log(2 * len(shifts)))

    def number(self) -> list[Explanation]:
        """The mistake with a fitted number, if the evidence proves one alone."""
        numbers = fitting_numbers(self.discrepancy)
        proven = []
        for number in numbers:
            lack = self.evidence.lack_of_number((number.mistake,), number.fit, LOG_FAMILIES)
            if not number.is_known:
                lack = "its number is not determined by these outputs"
            if lack:
                self.within_reach.append((((number.mistake,), number.fit), lack))
            else:
                proven.append(number)
        if any(not same_change(number.mistake, proven[0].mistake, self.discrepancy.case) for number in proven[1:]):
            reason = "several numbers would explain these outputs: more steps or rows would tell them apart"
            self.within_reach.extend((((number.mistake,), number.fit), reason) for number in proven)
            return []
        self.numbers.extend(proven)
        return [((number.mistake,), number.fit) for number in proven]

    def pairs(self) -> list[Explanation]:
        """The pairs of mistakes that the evidence proves."""
        discrepancy, count = self.discrepancy, len(self.catalogue)
        tested = fitting_pairs(discrepancy, self.catalogue, window_limit(discrepancy, (0, 0)), self.free_runs)
        found = [(pair, quality) for pair, quality in tested if quality.decisive & discrepancy.wrong]
        return self.proven(found, math.log(max(1, count * (count - 1) // 2)))


def explaining(
    discrepancy: Discrepancy, candidates: Iterable[tuple[Mistake, ...]], wrong_cells: Sequence[tuple[int, int]] = ()
) -> list[Explanation]:
    """The candidates within the bound that explain a wrong quantity."""
    observed, case, profile = discrepancy.observed, discrepancy.case, discrepancy.profile
    tested = ((mistakes, fit(mistakes, observed, case, profile, wrong_cells)) for mistakes in candidates)
    return [(m, quality) for m, quality in tested if quality.within_bound and quality.decisive & discrepancy.wrong]
