"""What decides a quantity: the worst case proves, two statistics of independent roundings object.

    worst case   the largest error / bound; beyond 1 is a mismatch
    8 sigma      the largest error / standard deviation
    rms          the root mean square of error / standard deviation over the tensor: it sees what moves everything a
                 little, two to three times earlier

A statistic beyond its limit makes a suspect, unless honest kernels get there too (`envelope`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..arrays import Array
from ..model import Case
from ..oracle import Profile
from .reference import Reference
from .scores import index_of_max, score

Tier = Literal["worst case", "8 sigma", "rms"]

#: Errors beyond this many standard deviations are suspect. Measured honest runs stay within 6.
SIGMAS = 8.0
#: Limit of the root mean square over very many independent numbers.
_RMS = 1.25


@dataclass(frozen=True)
class Measured:
    """One quantity by each tier.

    `where`: index of the largest share of the bound, `score`. `sigmas` is 0 where no statistic applies.
    """

    score: float
    where: tuple[int, ...]
    sigmas: float
    rms: float
    rms_limit: float

    @classmethod
    def of(cls, error: Array, reference: Reference, name: str, case: Case, profile: Profile) -> Measured:
        """From the errors of one quantity."""
        scores = score(error, reference.bound)
        where = index_of_max(scores)
        if reference.free:  # errors of a free run are correlated, so sigma is too small
            return cls(float(scores[where]), where, 0.0, 0.0, math.inf)
        sigmas = in_sigmas(error, reference.sigma, case, profile)
        known = reference.sigma > 0.0
        rms = math.sqrt(float(np.mean(sigmas[known] ** 2))) if known.any() else 0.0
        numbers = error.size // (case.steps if name.endswith("y") else 1)  # steps are not independent
        return cls(float(scores[where]), where, float(sigmas.max()), rms, rms_limit(numbers))

    @property
    def closest(self) -> Tier:
        """The tier that is closest to its limit, or farthest beyond."""
        shares: dict[Tier, float] = {
            "worst case": self.score, "8 sigma": self.sigmas / SIGMAS, "rms": self.rms / self.rms_limit,
        }  # fmt: skip
        return max(shares, key=lambda tier: shares[tier])

    @property
    def objection(self) -> Tier | None:
        """The statistic that objects."""
        if self.sigmas > SIGMAS:
            return "8 sigma"
        return "rms" if self.rms > self.rms_limit else None


def in_sigmas(error: Array, sigma: Array, case: Case, profile: Profile) -> Array:
    """Errors in standard deviations, beyond what underflows at every step may add up to."""
    if not profile.underflows_often:  # else sigma holds them
        error = np.maximum(error - profile.eta * (6.0 * case.steps + 4.0), 0.0)
    return score(error, sigma)


def rms_limit(numbers: int) -> float:
    """Largest honest root mean square of so many independent numbers."""
    return _RMS * math.sqrt(1.0 + SIGMAS * math.sqrt(2.0 / max(1, numbers)))
