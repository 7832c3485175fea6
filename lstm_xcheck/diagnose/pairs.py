"""Two mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..arrays import Array
from ..model import Case
from ..oracle import Profile
from ..oracle.cell import Cell
from .batched_mutants import BatchedMutants, MutantBatches
from .cell_mutants import CellMutants, Parts, contributions
from .fit import Fit, fit
from .free_run import MOST_STEPS, FreeRuns
from .mistake import Mistake, Outputs, applied, brought_back, gives_shapes
from .prefilter import UNSEEN, Window, case_distances, crude_limit, distances, looked_rows, window

Pair = tuple[Mistake, Mistake]
#: A pair and its distance from the first steps.
Candidate = tuple[float, Pair]
#: A mistake of data, spec or outputs, with the case as it changes it and the outputs brought back.
Other = tuple[Mistake, Case, Outputs]

#: The nearest so many are tested in full: more survivors than that mean that the case tells nothing.
_MOST_TESTS = 120
#: Where nothing can be seen of the first cell, distances are those of whole runs, which the right pair comes first in.
_MOST_BLIND_TESTS = 30
#: How far single precision may put a whole run, so that nothing is left out for it.
_OF_BATCH = 0.02


def fitting_pairs(
    observed: Outputs,
    case: Case,
    profile: Profile,
    catalogue: Sequence[Mistake],
    limit: float,
    looks: FreeRuns,
    wrong: Sequence[tuple[int, int]],
) -> Iterator[tuple[Pair, Fit]]:
    """Every pair that explains the outputs, up to a number of full tests.

    Args:
        limit: how far the first steps of the first cell may be from what is tested in full.
        looks: the free runs that may be made where there are no first steps to look at.
        wrong: cells (layer, direction) known to be wrong.
    """
    found = False
    most = _MOST_TESTS if window(case, observed, 0, 0) is not None else _MOST_BLIND_TESTS
    for candidates in (_candidates, _rerun_pairs):  # the second is seldom needed
        nearest = sorted(candidates(observed, case, catalogue, limit, looks), key=lambda candidate: candidate[0])
        pairs = [pair for _, pair in nearest[:most]]
        for pair in _near_elsewhere(pairs, observed, case, profile, wrong[:1]):
            quality = fit(pair, observed, case, profile, wrong[:1])
            if quality.holds:
                found = True
                yield pair, quality
        if found:
            return


def _near_elsewhere(
    pairs: Sequence[Pair], observed: Outputs, case: Case, profile: Profile, wrong: Sequence[tuple[int, int]]
) -> Sequence[Pair]:
    """The pairs that may explain the first steps of a wrong cell other than the first as well."""
    look = window(case, observed, *wrong[0]) if wrong and wrong[0] != (0, 0) else None
    if look is None:
        return pairs
    limit = crude_limit(case.weights.layers[wrong[0][0]][wrong[0][1]], look, profile)
    questions = {pair: question for pair in pairs if (question := brought_back(pair, observed, case)) is not None}
    far = dict(zip(questions, case_distances([*questions.values()], limit, wrong[0]), strict=True))
    return [pair for pair in pairs if far.get(pair, 0.0) < float("inf")]


def _candidates(
    observed: Outputs, case: Case, catalogue: Sequence[Mistake], limit: float, looks: FreeRuns
) -> Iterator[Candidate]:
    wrongs = CellMutants([mistake for mistake in catalogue if mistake.cell is not None], case.weights.layers[0][0])
    look = window(case, observed, 0, 0)
    if look is not None:
        yield from _cell_pairs(wrongs, case, look, limit)
    rest = [*wrongs.elsewhere, *(mistake for mistake in catalogue if mistake.cell is None)]
    crowds = MutantBatches(wrongs.mistakes)
    for other in applied(rest, observed, case):
        yield from _mixed_pairs(other, wrongs, limit, looks, crowds)
    others = _other_pairs(_without_shapes(rest, observed, case), observed, case, limit)
    blind = look is None and case.steps <= MOST_STEPS
    for distance, pair in others:
        far = looks.far(pair) if blind and distance == UNSEEN else distance
        if far < float("inf"):
            yield far, pair


def _without_shapes(rest: Sequence[Mistake], observed: Outputs, case: Case) -> list[Other]:
    """What may be half of a pair, though it leaves outputs of the wrong shape alone."""
    found = []
    for mistake in rest:
        changed = mistake.change_case(case)
        driving = observed if mistake.undo is None else mistake.undo(observed, case)
        if changed is not None and driving is not None:
            found.append((mistake, changed, driving))
    return found


def _mixed_pairs(
    other: Other, wrongs: CellMutants, limit: float, looks: FreeRuns, crowds: MutantBatches
) -> Iterator[Candidate]:
    """A mistake of weights beside one of data, spec or outputs."""
    mistake, changed, driving = other
    look = window(changed, driving, 0, 0)
    if look is None:
        pairs = ((first, mistake) for first in looks.near(crowds, changed, driving))
        yield from ((far, pair) for pair in pairs if (far := looks.far(pair)) < float("inf"))
        return
    honest = changed.weights.layers[0][0]
    own = wrongs if honest is wrongs.honest else CellMutants(wrongs.mistakes, honest)
    yield from ((distance, (first, mistake)) for distance, first in own.near(changed, 0, 0, look, limit))


def _rerun_pairs(
    observed: Outputs, case: Case, catalogue: Sequence[Mistake], limit: float, looks: FreeRuns
) -> Iterator[Candidate]:
    """A mistake of weights before one that runs the LSTM, and so depends on all weights."""
    pairs: list[Pair] = []
    questions: list[tuple[Case, Outputs]] = []
    wrongs = CellMutants([mistake for mistake in catalogue if mistake.cell is not None], case.weights.layers[0][0])
    look, batch = window(case, observed, 0, 0), MutantBatches(wrongs.mistakes).of(case.weights)
    if look is None:  # each would take a run to make and another to be tested
        looks.stopped = True
        return
    for second in (mistake for mistake in catalogue if mistake.reruns):
        firsts = [mistake for mistake in catalogue if mistake.cell is not None or mistake.weights is not None]
        if batch is not None:
            unlikely = {mistake.id for mistake in batch.mistakes} - _near_carried(batch, wrongs, case, look, limit)
            firsts = [mistake for mistake in firsts if mistake.id not in unlikely]
        for first in firsts:
            changed = first.change_case(case)
            both = None if changed is None else second.change_case(changed)
            if both is not None:
                pairs.append((first, second))
                questions.append((both, observed))
    far = case_distances(questions, limit)
    yield from ((distance, pair) for distance, pair in zip(far, pairs, strict=True) if distance < float("inf"))


def _near_carried(batch: BatchedMutants, wrongs: CellMutants, case: Case, look: Window, limit: float) -> set[str]:
    """The ids of the versions that may explain the first steps when each starts from the states in which it ended."""
    rows = looked_rows(case)
    with np.errstate(over="ignore", invalid="ignore"):
        finals = [batch.final_states(case, int(row)) for row in rows]
        carried = np.stack([batch.carry(h) for h, _ in finals], axis=1)
        ids = [mistake.id for mistake in wrongs.mistakes]
        places = [ids.index(mistake.id) for mistake in batch.mistakes]
        w, u, b = (array[places] for array in wrongs.parts(look).arrays)
        u = np.concatenate([carried[:, None], u[:, 1:]], axis=1)
        start = look._replace(c=np.stack([c for _, c in finals], axis=1))
        far = distances(Cell(case.spec, wrongs.honest), start, w + u + b, max(limit, _OF_BATCH))
    return {mistake.id for mistake, distance in zip(batch.mistakes, far, strict=True) if np.isfinite(distance)}


def _other_pairs(others: Sequence[Other], observed: Outputs, case: Case, limit: float) -> Iterator[Candidate]:
    """Two mistakes of data, spec or outputs, in both orders where the order matters."""
    pairs: list[Pair] = []
    questions: list[tuple[Case, Outputs]] = []
    for a, (first, changed, _) in enumerate(others):
        for b, (second, alone, driving) in enumerate(others):
            if a == b or (a > b and _commute(others[a], others[b], case)):
                continue
            before = driving if first.undo is None else first.undo(driving, case)
            both = None if before is None else second.change_case(changed)
            if both is None or before is None:
                continue
            if _respecify(others[a], others[b], case) and both.spec in (changed.spec, alone.spec):
                continue  # one leaves nothing of the other
            if gives_shapes((first, second), observed, case):
                pairs.append((first, second))
                questions.append((both, before))
    far = case_distances(questions, limit)
    yield from ((distance, pair) for distance, pair in zip(far, pairs, strict=True) if distance < float("inf"))


def _commute(first: Other, second: Other, case: Case) -> bool:
    """Whether the order cannot matter, because the two change different things, or options of the spec alone."""
    if _respecify(first, second, case):
        return True
    touches = [
        {name for name in ("cell", "weights", "case", "after") if getattr(mistake, name) is not None}
        for mistake, _, _ in (first, second)
    ]
    return not touches[0] & touches[1] and not {"cell", "weights"} <= touches[0] | touches[1]


def _respecify(first: Other, second: Other, case: Case) -> bool:
    """Whether both change the spec and no number."""
    return all(
        changed.weights is not case.weights and changed.weights.layers is case.weights.layers
        for _, changed, _ in (first, second)
    )


def _cell_pairs(wrongs: CellMutants, case: Case, look: Window, limit: float) -> Iterator[Candidate]:
    """Two mistakes of one cell's weights.

    A reordering of gates made after another mistake permutes that mistake's contributions; mistakes that touch
    different arrays add up; only the rest is composed array by array.
    """
    if not wrongs.mistakes:
        return
    cell, glance = Cell(case.spec, wrongs.honest), look.cut(1, 1)
    full, brief = wrongs.parts(look), wrongs.parts(glance)
    for a, first in enumerate(wrongs.mistakes):
        simple, composed = _partners(wrongs, full, a)
        for sums, window_ in ((brief, glance), (full, look)):
            if simple.size:
                far = distances(cell, window_, _sums(wrongs, sums, full.touched, a, simple), limit)
                simple, far = simple[np.isfinite(far)], far[np.isfinite(far)]
        if simple.size:
            yield from ((float(d), (first, wrongs.mistakes[b])) for d, b in zip(far, simple, strict=True))
        if composed.size:
            yield from _composed(wrongs, full, cell, a, composed, look, limit)


def _partners(wrongs: CellMutants, parts: Parts, a: int) -> tuple[Array, Array]:
    """What may be made after mistake a: as a sum of known contributions, or composed anew."""
    touched = parts.touched
    changes = wrongs.moved | touched
    alive = touched.any(axis=1) & touched[a].any()
    alive[a] = False
    if wrongs.mistakes[a].shifts:
        alive &= np.array([mistake.shifts != wrongs.mistakes[a].shifts for mistake in wrongs.mistakes])
    shared = (touched[a] & changes).any(axis=1)
    back = (changes[a] & touched).any(axis=1)
    other = np.arange(len(touched))
    if wrongs.reorders[a]:
        mixes = np.array([mistake.mixes for mistake in wrongs.mistakes])
        third = wrongs.reorders & (wrongs.moved == wrongs.moved[a]).all(axis=1)  # two reorderings are a third
        simple = alive & ((wrongs.reorders & shared & ~third) | (~shared & (back | (other > a))))
        return np.flatnonzero(simple), np.flatnonzero(alive & ~wrongs.reorders & shared & mixes)
    simple = alive & ((wrongs.reorders & shared) | (~shared & (back | (other > a))))
    return np.flatnonzero(simple), np.flatnonzero(alive & ~wrongs.reorders & shared)


def _sums(wrongs: CellMutants, parts: Parts, touched: Array, a: int, others: Array) -> Array:
    """Pre-activations with mistake a made before each of the others."""
    total: Array | float = 0.0
    changes = wrongs.moved | touched
    for k, array in enumerate(parts.arrays):
        picked = array[np.where(changes[others, k], others, a)]
        again = touched[a, k] & wrongs.moved[others, k]
        if again.any():
            picked[again] = np.moveaxis(array[a][:, :, wrongs.orders[others[again]]], 2, 0)
        total = total + picked
    return np.asarray(total)


def _composed(
    wrongs: CellMutants, parts: Parts, cell: Cell, a: int, others: Array, look: Window, limit: float
) -> Iterator[Candidate]:
    """Mistakes made on the very cell that mistake a left."""
    before, known = wrongs.cell(a), [array[a] for array in parts.arrays]
    made, batch = [], []
    for second in (wrongs.mistakes[b] for b in others):
        after = None if second.cell is None else second.cell(before)
        if after is not None:
            w, u, bias = contributions(after, look, before, known)
            made.append((wrongs.mistakes[a], second))
            batch.append(w + u + bias)
    if batch:
        far = distances(cell, look, np.stack(batch), limit)
        yield from ((float(d), pair) for d, pair in zip(far, made, strict=True) if np.isfinite(d))
