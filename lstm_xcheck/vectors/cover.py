"""The fewest cases that show every mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from ..diagnose.mistake import Mistake
from ..errors import SpecError, UserError
from ..model import Case
from .candidates import Wanted, candidates
from .expected import OUTPUTS, Expected, expected_outputs
from .kills import killed, mutants_of

#: Called with what is being done, in words.
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Vector:
    """One case with what it expects, and the mistakes that it kills."""

    case: Case
    expected: Mapping[str, Expected]
    kills: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Bytes of its numbers in float32."""
        arrays = (*self.case.weights.arrays().values(), *self.case.arrays().values())
        return 4 * (sum(a.size for a in arrays) + 2 * sum(self.expected[name].value.size for name in OUTPUTS))


@dataclass(frozen=True)
class VectorSet:
    """The chosen vectors.

    Attributes:
        wanted: what they are for.
        vectors: at least one.
        killable: the mutants that a case of this kind can kill.
        mutants: all of them.
    """

    wanted: Wanted
    vectors: tuple[Vector, ...]
    killable: frozenset[str]
    mutants: Mapping[str, Mistake] = field(repr=False)

    @property
    def kills(self) -> frozenset[str]:
        """The mutants that at least one vector kills."""
        return frozenset().union(*(vector.kills for vector in self.vectors))

    @property
    def size(self) -> int:
        """Bytes of all numbers in float32."""
        return sum(vector.size for vector in self.vectors)


def find_vectors(
    wanted: Wanted, *, most_cases: int | None = None, most_bytes: int | None = None, progress: Progress = print
) -> VectorSet:
    """The smallest set found, or the one within these limits that kills most.

    Mutants that nearly every case kills are planted in few cases: only where a set is about to be chosen.
    """
    pool, mutants = _pool(wanted), mutants_of(wanted.spec)
    known = {0: _all_kills(pool[0], mutants)}
    hard: set[str] = set()
    table: list[set[str]] = [set() for _ in pool]
    new = set(mutants) - known[0]
    while True:
        for number, vector in enumerate(pool):
            progress(f"{len(hard) + len(new)} mistakes in case {number + 1} of {len(pool)}")
            table[number] |= killed(vector.case, vector.expected, mutants, new)
        hard |= new
        chosen = _chosen(table, pool, most_cases, most_bytes)
        for number in chosen:
            if number not in known:
                known[number] = _all_kills(pool[number], mutants)
        everything = set().union(*known.values(), *table)
        new = everything - set().union(*(known[number] for number in chosen)) - hard
        if not new:
            break
    vectors = tuple(Vector(pool[n].case, pool[n].expected, frozenset(known[n])) for n in chosen)
    return VectorSet(wanted, vectors, frozenset(everything), mutants)


def _all_kills(vector: Vector, mutants: Mapping[str, Mistake]) -> set[str]:
    return killed(vector.case, vector.expected, mutants, mutants)


def _pool(wanted: Wanted) -> list[Vector]:
    """The candidates whose bounds are finite."""
    pool, refused = [], SpecError("there is no case of this kind")
    for case in candidates(wanted):
        try:
            expected = expected_outputs(case, wanted.allow, uniform=wanted.uniform)
        except SpecError as reason:  # told if no other case is left
            refused = reason
            continue
        pool.append(Vector(case, expected))
    if not pool:
        raise refused
    return pool


def _chosen(kills: list[set[str]], pool: list[Vector], most_cases: int | None, most_bytes: int | None) -> list[int]:
    """One candidate or two that kill all, the smallest ones, or one after another."""
    numbers = [n for n, vector in enumerate(pool) if most_bytes is None or vector.size <= most_bytes]
    if not numbers:
        least = min(vector.size for vector in pool)
        raise UserError(f"--budget-kb allows {most_bytes} bytes, but the smallest case has {least}; allow more")
    everything = set().union(*kills)
    for count in (1, 2):
        if most_cases is None or count <= most_cases:
            sizes = [
                (sum(pool[n].size for n in group), group)
                for group in combinations(numbers, count)
                if everything <= set().union(*(kills[n] for n in group))
            ]
            if sizes and (most_bytes is None or min(sizes)[0] <= most_bytes):
                return list(min(sizes)[1])
    return _one_after_another(kills, pool, most_cases, most_bytes)


def _one_after_another(
    kills: list[set[str]], pool: list[Vector], most_cases: int | None, most_bytes: int | None
) -> list[int]:
    """Always the candidate that kills most of what is left."""
    chosen: list[int] = []
    left = set().union(*kills)
    room = float("inf") if most_bytes is None else most_bytes
    while left and (most_cases is None or len(chosen) < most_cases):
        gains = [(len(kills[n] & left), -pool[n].size, -n) for n in range(len(pool)) if pool[n].size <= room]
        gain, size, number = max(gains, default=(0, 0, 0))
        if not gain:
            break
        chosen.append(-number)
        left -= kills[-number]
        room += size
    return chosen


def counted(keys: frozenset[str]) -> str:
    """How many mistakes, in all cells and in one alone.

    >>> counted(frozenset({"gates-iofg", "gates-iofg in 0.1"}))
    '1 mistake (and 1 in one cell alone)'
    """
    alone = sum(" in " in key for key in keys)
    whole = len(keys) - alone
    return f"{whole} mistake{'' if whole == 1 else 's'}{f' (and {alone} in one cell alone)' if alone else ''}"
