"""Groups cases by compilation, and splits them into shards."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from .recipe import CaseOrRecipe, Recipe


def build_and_compile_key(case: CaseOrRecipe) -> tuple[Hashable, Hashable]:
    """Keys of the model a framework builds and of the program it compiles.

    Both are equal for cases that differ in numbers alone.
    """
    if isinstance(case, Recipe):
        flags = replace(case, seed=0, init="probe", one_hot=False)
        build = (case.hidden, case.input, case.layers, case.directions, case.bias, case.proj, case.dtype, case.feature)
        return build, flags
    optional = tuple(getattr(case, name) is None for name in ("h0", "c0", "lengths", "mask"))
    return (case.spec, case.precision), (case.x.shape, optional, case.returns, case.gradients, *case.options.values())


def group_by_compilation(cases: Iterable[CaseOrRecipe]) -> list[list[CaseOrRecipe]]:
    """Group cases by compilation; groups of one build are neighbours.

    Builds, groups and cases are in the order of their first appearance.
    """
    builds: dict[Hashable, dict[Hashable, list[CaseOrRecipe]]] = {}
    for case in cases:
        build, program = build_and_compile_key(case)
        builds.setdefault(build, {}).setdefault(program, []).append(case)
    return [group for groups in builds.values() for group in groups.values()]


def shard_of(cases: Sequence[CaseOrRecipe], number: int, shards: int) -> tuple[CaseOrRecipe, ...]:
    """Shard `number` (from 1) of `shards`; each case is in exactly one shard.

    Sizes of shards are nearly equal; as far as that allows, cases of one compilation stay together. The split depends
    on the cases and their order alone.
    """
    size = max(1, len(cases) // (4 * shards))
    pieces = [group[k : k + size] for group in group_by_compilation(cases) for k in range(0, len(group), size)]
    return tuple(case for piece in pieces[number - 1 :: shards] for case in piece)
