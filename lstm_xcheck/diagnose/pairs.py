"""Two mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..arrays import Array
from ..oracle import Profile
from ..spec import Case
from .fit import Fit, fit
from .mistake import Mistake, Outputs, applied
from .screen import Parts, Window, Wrongs, contributions, distances, flatten, limit_of, near_cases, window

Pair = tuple[Mistake, Mistake]

#: Hypotheses in one batch of gates.
_BATCH = 1024
#: Give up after this many full tests: too many survivors mean that the case tells nothing.
_MOST_TESTS = 200


def fitting_pairs(
    observed: Outputs, case: Case, profile: Profile, catalogue: Sequence[Mistake]
) -> Iterator[tuple[tuple[Mistake, ...], Fit]]:
    """Every pair that explains the outputs, up to a number of full tests."""
    for tests, pair in enumerate(_candidates(observed, case, profile, catalogue)):
        if tests == _MOST_TESTS:
            return
        quality = fit(pair, observed, case, profile)
        if quality.holds:
            yield pair, quality


def _candidates(observed: Outputs, case: Case, profile: Profile, catalogue: Sequence[Mistake]) -> Iterator[Pair]:
    limit = limit_of(case, observed, profile)
    wrongs = Wrongs([mistake for mistake in catalogue if mistake.cell is not None], case.weights.layers[0][0])
    look = window(case, observed, 0, 0, limit)
    if look is not None:
        yield from _cell_pairs(wrongs, case, look)
    others = applied([mistake for mistake in catalogue if mistake.cell is None], observed, case)
    for other, changed, driving in others:
        yield from _mixed_pairs(other, wrongs, changed, driving, limit)
    yield from _other_pairs(others, case, limit)


def _mixed_pairs(other: Mistake, wrongs: Wrongs, changed: Case, driving: Outputs, limit: float) -> Iterator[Pair]:
    """A mistake of weights beside one of data, spec or outputs."""
    look = window(changed, driving, 0, 0, limit)
    if look is None:
        return
    honest = changed.weights.layers[0][0]
    own = wrongs if wrongs.fits(honest) else Wrongs(wrongs.mistakes, honest)
    for mistake in own.near(changed, 0, 0, look):
        yield mistake, other


def _other_pairs(others: Sequence[tuple[Mistake, Case, Outputs]], case: Case, limit: float) -> Iterator[Pair]:
    """Two mistakes of data, spec or outputs, in both orders where the order matters."""
    for first, changed, _ in others:
        pairs: list[Pair] = []
        questions: list[tuple[Case, Outputs]] = []
        for second, _, driving in others:
            if first is second or (_commute(first, second) and first.id > second.id):
                continue
            both = second.change_case(changed)
            before = driving if first.undo is None else first.undo(driving, case)
            if both is not None and before is not None:
                pairs.append((first, second))
                questions.append((both, before))
        yield from (pair for pair, near in zip(pairs, near_cases(questions, limit), strict=True) if near)


def _commute(first: Mistake, second: Mistake) -> bool:
    """Whether the order cannot matter, because the two change different things."""
    touches = [
        {name for name in ("weights", "case", "after") if getattr(mistake, name) is not None} for mistake in (first, second)
    ]
    return not touches[0] & touches[1]


def _cell_pairs(wrongs: Wrongs, case: Case, look: Window) -> Iterator[Pair]:
    """Two mistakes of one cell's weights.

    A reordering of gates made after another mistake permutes that mistake's contributions; mistakes that touch
    different arrays add up; only the rest is composed array by array.
    """
    if not wrongs.mistakes or wrongs.honest.peephole is not None or wrongs.honest.projection is not None:
        return
    own = wrongs.contributions(look)
    touched = [_touched(own, k, contributions([flatten(wrongs.honest)], look)) for k in range(len(wrongs.mistakes))]
    pending: list[Pair] = []
    batch: list[Array] = []
    for a, first in enumerate(wrongs.mistakes):
        for b, second in enumerate(wrongs.mistakes):
            z = _together(wrongs, own, touched, a, b, look)
            if z is None:
                continue
            pending.append((first, second))
            batch.append(z)
            if len(batch) == _BATCH:
                yield from _near(pending, batch, case, look)
                pending, batch = [], []
    if batch:
        yield from _near(pending, batch, case, look)


def _touched(own: Parts, k: int, honest: Parts) -> frozenset[str]:
    """Which contributions a mistake changes on this window."""
    return frozenset(name for name in ("w", "u", "b") if not np.array_equal(getattr(own, name)[k], getattr(honest, name)[0]))


def _together(
    wrongs: Wrongs, own: Parts, touched: list[frozenset[str]], a: int, b: int, look: Window
) -> Array | None:
    """Pre-activations with mistake a made before mistake b; None where another pair stands for this one."""
    first, second = wrongs.mistakes[a], wrongs.mistakes[b]
    if a == b or not touched[a] or not touched[b]:
        return None
    shared = touched[a] & touched[b]
    if not shared:
        if a > b:
            return None
        return sum(getattr(own, n)[b if n in touched[b] else a] for n in ("w", "u", "b"))  # type: ignore[no-any-return]
    if second.permutes is not None:
        if first.permutes is not None and touched[a] == touched[b]:
            return None  # one reordering after another is a third
        order = list(second.permutes[0])
        return sum(
            getattr(own, n)[a][..., order, :] if n in touched[b] and n in touched[a] else getattr(own, n)[b if n in touched[b] else a]
            for n in ("w", "u", "b")
        )  # type: ignore[no-any-return]
    if first.permutes is not None and not second.mixes:
        return None  # the same as a pair made in the other order
    assert second.cell is not None
    composed = second.cell(wrongs.cells[a])
    return None if composed is None else contributions([flatten(composed)], look).total[0]


def _near(pending: list[Pair], batch: list[Array], case: Case, look: Window) -> Iterator[Pair]:
    close = distances(case, 0, 0, look, np.stack(batch)) <= 1.0
    yield from (pair for pair, near in zip(pending, close, strict=True) if near)
