"""Whether two explanations are the same thing on a case: by what they compute, not by what they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.diagnose import Mistake
from lstm_xcheck.diagnose.mistake import Outputs, run_mistakes
from lstm_xcheck.model import Case
from lstm_xcheck.oracle import profile_named

#: Outputs closer than this in float64 are the same.
SAME = 1e-12


def same(a: Outputs | None, b: Outputs | None) -> bool:
    """Whether two float64 runs are the same on this case."""
    if a is None or b is None or a.keys() != b.keys():
        return False
    return all(a[n].shape == b[n].shape and float(np.abs(a[n] - b[n]).max()) <= SAME for n in a)


def same_thing(explanation: Sequence[Mistake], mistakes: Sequence[Mistake], case: Case, truth: Outputs) -> bool:
    """Whether an explanation is what was done: the same outputs in float64, or the same weights up to rounding.

    "1 taken off and 2 added" is "1 added" but for how often that bias was rounded.
    """
    if same(run_mistakes(explanation, case), truth):
        return True
    own, other = _stages(explanation, case), _stages(mistakes, case)
    after = [[mistake.outputs for mistake in made if mistake.outputs is not None] for made in (explanation, mistakes)]
    if own is None or other is None or after[0] != after[1] or not _same_data(own[-1], other[-1]):
        return False
    if not all(_same_shapes(own[-1], stage) for stage in (*own, *other)):
        return False
    # Each number was rounded once for each mistake that was made, at the size that it then had.
    unit = (len(explanation) + len(mistakes)) * profile_named(case.weights.dtype).u
    sizes = [_parts(stage, np.abs) for stage in (*own, *other)]
    mine, theirs = _parts(own[-1]), _parts(other[-1])
    return all(
        bool((np.abs(array - theirs[name]) <= unit * np.max([size[name] for size in sizes], axis=0)).all())
        for name, array in mine.items()
    )


def _stages(mistakes: Sequence[Mistake], case: Case) -> list[Case] | None:
    """The case after none of the mistakes, after the first, and so on."""
    stages = [case]
    for mistake in mistakes:
        changed = mistake.change_case(stages[-1])
        if changed is None:
            return None
        stages.append(changed)
    return stages


def _same_data(a: Case, b: Case) -> bool:
    """Whether two cases are of the same spec and ask the same of it, whatever their weights."""
    if (type(a.spec), a.spec) != (type(b.spec), b.spec):
        return False
    pairs = [(getattr(a, name), getattr(b, name)) for name in ("x", "h0", "c0", "lengths", "mask")]
    return all(p is q if p is None or q is None else np.array_equal(p, q) for p, q in pairs)


def _same_shapes(a: Case, b: Case) -> bool:
    """Whether the parts of two cases have the same names and shapes."""
    shapes = [{name: array.shape for name, array in _parts(case).items()} for case in (a, b)]
    return shapes[0] == shapes[1]


def _parts(case: Case, of: Callable[[Array], Array] = np.asarray) -> dict[str, Array]:
    """What the function depends on, by name: the biases act as their sum. `of` is applied before they are added."""
    parts: dict[str, Array] = {}
    for layer, direction, cell in case.weights.cells():
        bias = np.zeros((4, cell.W.shape[1]))
        for name, array in cell.items():
            wide = of(np.asarray(array, np.float64))
            if name in ("b", "b_r"):
                bias = bias + wide
            else:
                parts[f"{layer}.{direction}.{name}"] = wide
        parts[f"{layer}.{direction}.bias"] = bias
    return parts
