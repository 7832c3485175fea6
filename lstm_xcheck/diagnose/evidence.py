"""What proves an explanation, beyond that it fits.

An explanation may fit because it is true, or because its own small effect brings a foreign error below the bound. So it
is named only if

1. the residuals that it leaves look like rounding, not merely like its worst case;
2. where it leaves numbers of a free run, the worst residual has fallen a hundredfold;
3. the evidence is not negative, in nats (natural logarithms of odds):

    (left - squares) / 2 + ln (sqrt(R) / max(1, largest residual)) - ln K

R is the sum of squares of the honest LSTM, `squares` that of the explanation, `left` what the best single wrong number
leaves of R (`one_number`), and K the number of hypotheses tried. The second term is what it is worth that a fixed
mistake, without a number to adjust, met an error of that size. What is left is measured by the rounding of the
hypothesis or of the honest LSTM, whichever leaves more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..arrays import Array
from .discrepancy import Discrepancy
from .fit import Fit, fit
from .mistake import Mistake
from .one_number import Gains, largest_gains

#: Rounding leaves a largest residual of this many standard deviations where outputs were observed, and in a free run.
_LARGEST, _LARGEST_FREE = 3.0, 12.0
#: Rounding leaves a sum of squares of at most this much per number, and this much more.
_PER_NUMBER, _MORE = 0.64, 4.0
#: The same for printed digits, whose standard deviation is exact.
_PER_PRINTED_NUMBER = 1.5
#: Fewer outputs than this prove no fitted number.
_FEWEST_NUMBERS = 8
#: How much the worst residual of a free run must fall.
_FALL = 100.0


@dataclass(frozen=True)
class Evidence:
    """Judges explanations of one discrepancy."""

    discrepancy: Discrepancy

    @cached_property
    def honest(self) -> Fit | None:
        """The fit of no mistake at all; None for other observed shapes."""
        d = self.discrepancy
        if d.comparable.keys() != d.observed.keys():
            return None
        return fit((), d.observed, d.case, d.profile)

    @cached_property
    def gains(self) -> Gains:
        """How much of the honest sum of squares one wrong number explains."""
        return largest_gains(self.discrepancy)

    @cached_property
    def _honest_sigmas(self) -> dict[str, Array]:
        return {name: reference.sigma for name, (_, reference) in self.discrepancy.comparable.items()}

    def _wider(self, mistakes: Sequence[Mistake], found: Fit) -> Fit:
        """The fit by its own or the honest standard deviations, whichever leaves more.

        A hypothesis with large rounding errors of its own would leave little of any error.
        """
        if not any(mistake.changes_something for mistake in mistakes):  # a precision, whose rounding is the point
            return found
        d = self.discrepancy
        other = fit(mistakes, d.observed, d.case, d.profile, sigmas=self._honest_sigmas)
        return found._replace(forced=found.forced.or_more(other.forced), free=found.free.or_more(other.free))

    def lack(self, mistakes: Sequence[Mistake], found: Fit, tried: float) -> str:
        """Why an explanation is not proven; empty if it is.

        `tried`: the logarithm of the number of hypotheses tried to find it.
        """
        if not self._is_noise(found):
            return "it leaves more than rounding would"
        honest = self.honest
        if honest is None:  # nothing else gives these shapes
            return ""
        before = max(honest.forced.largest, honest.free.largest)
        if found.free.numbers and before < _FALL * max(1.0, found.free.largest):
            return "the outputs that would prove it were not given"
        if self.nats(self._wider(mistakes, found), tried) < 0.0:
            return "another small error would explain these outputs as well"
        return ""

    def lack_of_number(self, mistakes: Sequence[Mistake], found: Fit, tried: float) -> str:
        """Why a mistake with a fitted number is not proven; empty if it is.

        Arrays times a factor are such mistakes themselves, and a fitted number meets the error by itself: only single
        weights and units are rivals, and nothing is due for chance.
        """
        honest = self.honest
        if not self._is_noise(found):
            return "it leaves more than rounding would"
        if honest is None or found.free.numbers or not found.forced.numbers:
            return "the outputs that would prove a number were not given"
        if found.forced.numbers < _FEWEST_NUMBERS:
            return "a number fits so few outputs by chance"
        of_unit = self.gains.unit if self.discrepancy.case.spec.hidden_size > 1 else 0.0  # else a row is a weight
        if self._margin(self._wider(mistakes, found), honest, max(self.gains.weight, of_unit)) < tried:
            return "another small error would explain these outputs as well"
        return ""

    def nats(self, found: Fit, tried: float) -> float:
        """The evidence for an explanation, in nats."""
        honest = self.honest
        if honest is None:
            return math.inf
        squares = honest.forced.squares + honest.free.squares
        margin = 0.0
        if found.forced.numbers and honest.forced.numbers and not found.free.numbers:
            margin = self._margin(found, honest, max(self.gains))
        largest = max(1.0, found.forced.largest, found.free.largest)
        return margin + math.log(math.sqrt(max(1.0, squares)) / largest) - tried

    @staticmethod
    def _margin(found: Fit, honest: Fit, gain: float) -> float:
        """The logarithm of how much better an explanation is than one wrong number."""
        left = max(0.0, honest.forced.squares - gain)
        return max(0.0, left - found.forced.squares) / 2.0

    def _is_noise(self, found: Fit) -> bool:
        """Whether the residuals look like rounding."""
        forced, free = found.forced, found.free
        per_number = _PER_PRINTED_NUMBER if self.discrepancy.profile.resolution else _PER_NUMBER
        few = forced.largest <= _LARGEST and forced.squares <= per_number * forced.numbers + _MORE
        return few and free.largest <= _LARGEST_FREE
