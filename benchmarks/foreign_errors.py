"""Errors that are in no catalogue, of every size: none of them may be called a mistake that it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import float32_lstm
import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare.reference import observed_quantities, references
from lstm_xcheck.diagnose import Diagnosis, Mistake
from lstm_xcheck.diagnose.fit import largest_ratio, layer_outputs
from lstm_xcheck.diagnose.mistake import Outputs, run_mistakes
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.model.initializers import INITIALIZERS
from lstm_xcheck.oracle import profile_named

#: Changes a case by a relative size, in float32; None where it does not apply.
Error = Callable[[Case, float], Case | None]

_REGIMES = tuple(name for name in INITIALIZERS if name != "probe")
#: Sizes of sized errors: from one unit roundoff to 100 %.
_LEAST, _LARGEST = 2.0**-24, 1.0
#: Shares of errors that are tuned to a score near the bound, where chance explanations are most likely.
_TUNED, _TARGETS = 0.6, (1.2, 2.0, 5.0)
#: An explanation is the same function if it differs on other data by less than this share of the effect.
_SAME_SHARE = 0.02
#: An error does not show beside another if it changes outputs by no more than a few roundings of float32.
_HIDDEN = 2.0**-20


@dataclass(frozen=True)
class Foreign:
    """A foreign error on a case.

    `parts`: the case with each of two errors alone; one may not show on this case.
    """

    kind: str
    size: float
    case: Case
    changed: Case
    parts: tuple[Case, ...] = ()


def foreign_case(rng: np.random.Generator) -> Case:
    """A tiny case, where one number fits as well as a mistake, or one of usual size."""
    if rng.random() < 0.5:
        hidden, width = int(rng.choice([1, 1, 2, 4])), int(rng.choice([1, 2, 5]))
        steps, batch, options = int(rng.choice([1, 1, 2, 7])), int(rng.choice([1, 1, 3])), {}
    else:
        hidden, width = int(rng.choice([1, 2, 3, 4, 6, 8, 12, 16, 24])), int(rng.integers(1, 13))
        steps, batch = int(rng.integers(1, 21)), int(rng.integers(1, 5))
        options: dict[str, Any] = {"num_layers": int(rng.choice([1, 1, 2])), "bidirectional": bool(rng.random() < 0.15)}
    spec = LSTMSpec(input_size=width, hidden_size=hidden, bias=str(rng.choice(["none", "single", "split"])), **options)
    return Case.random(
        spec, init=str(rng.choice(["probe", *_REGIMES])), seed=int(rng.integers(2**31)), steps=steps, batch=batch,
        states=bool(rng.random() < 0.5), ragged=batch > 1 and bool(rng.random() < 0.15),
        scale=float(rng.choice([1.0, 1.0, 0.1, 3.0])),
    )  # fmt: skip


def draw(rng: np.random.Generator, case: Case) -> Foreign | None:
    """One foreign error, or two at once; None where it does not apply or changes nothing."""
    count = 2 if rng.random() < 0.15 else 1
    names = [str(name) for name in rng.choice(sorted(_KINDS), size=count)]
    errors = [_KINDS[name](rng, case) for name in names]
    if any(error is None for error in errors):
        return None

    def change(size: float) -> Case | None:
        changed: Case | None = case
        for error in errors:
            changed = None if changed is None or error is None else error(changed, size)
        return changed

    size = float(np.exp(rng.uniform(np.log(_LEAST), np.log(_LARGEST))))
    if rng.random() < _TUNED and set(names) <= set(_SIZED):
        size = _tuned(case, change, float(rng.choice(_TARGETS)))
    changed = change(size)
    alone = [error(case, size) for error in errors if error is not None] if count > 1 else []
    parts = tuple(part for part in alone if part is not None)
    return None if changed is None else Foreign("+".join(names), size, case, changed, parts)


def observe(rng: np.random.Generator, result: Result) -> Result:
    """Everything, y alone, y and states, or states alone."""
    kept = str(rng.choice(["all", "all", "y", "y and states", "states"]))
    if kept == "all":
        return result
    return Result(
        y=None if kept == "states" else result.y,
        h_n=None if kept == "y" else result.h_n,
        c_n=None if kept == "y" else result.c_n,
    )


def is_true(found: Diagnosis, named: tuple[Mistake, ...], error: Foreign) -> bool:
    """Whether what is named computes what the error does, or the part of it that shows, on other data too."""
    shown = [part for part in error.parts if _is_all_that_shows(run_mistakes((), part), error)]
    return any(_is_same(found, named, replace(error, changed=changed)) for changed in (error.changed, *shown))


def _is_all_that_shows(outputs: Outputs | None, error: Foreign) -> bool:
    """Whether one error alone gives the outputs of both, up to a few roundings."""
    whole = run_mistakes((), error.changed)
    if outputs is None or whole is None:
        return False
    return all(
        float(np.abs(whole[name] - outputs[name]).max()) <= _HIDDEN * max(1.0, float(np.abs(whole[name]).max()))
        for name in whole
    )


def _is_same(found: Diagnosis, named: tuple[Mistake, ...], error: Foreign) -> bool:
    """Whether what is named computes what one error does."""
    of_data = error.changed.id != error.case.id or any(mistake.family == "dropout" for mistake in named)
    if of_data:  # right on these data is all there is
        honest, told = run_mistakes((), error.case), run_mistakes(named, error.case)
        truth = run_mistakes((), error.changed)
    else:
        fresh = [_on_other_data(case) for case in (error.case, error.changed)]
        honest, truth, told = run_mistakes((), fresh[0]), run_mistakes((), fresh[1]), run_mistakes(named, fresh[0])
    if honest is None or truth is None or told is None or honest.keys() != told.keys():
        return False
    if any(told[name].shape != truth[name].shape for name in truth):
        return False
    effect = max(float(np.abs(truth[name] - honest[name]).max()) for name in truth)
    share = _SAME_SHARE
    if "value" in found.parameters:  # a fitted number is known up to its standard error
        value, deviation = found.parameters["value"], found.parameters["standard_error"]
        share += 4.0 * deviation / max(min(abs(value - 1.0), abs(value)), 1e-300)
    return all(float(np.abs(told[name] - truth[name]).max()) <= share * effect for name in truth)


def _on_other_data(case: Case) -> Case:
    """The same weights and spec on other data."""
    return Case.random(case.spec, weights=case.weights, steps=6, batch=4, seed=3, scale=2.0, id="fresh")


def _tuned(case: Case, change: Callable[[float], Case | None], target: float) -> float:
    """A size whose score is at most the target."""
    low, high, best = 1e-8, _LARGEST, _LARGEST
    profile = profile_named(case.precision)
    for _ in range(14):
        middle = (low * high) ** 0.5
        changed = change(middle)
        if changed is None:
            return best
        observed = observed_quantities(float32_lstm.run(changed, "sequential"))
        if not all(np.isfinite(array).all() for array in observed.values()):
            high = middle
            continue
        expected = references(case, layer_outputs(observed, case), profile)
        score = max(largest_ratio(np.abs(a - expected[n].value), expected[n].bound) for n, a in observed.items())
        if score > target:
            high = middle
        else:
            low = best = middle
    return best


def _with_cell(case: Case, layer: int, direction: int, arrays: dict[str, Array]) -> Case:
    rows = [list(row) for row in case.weights.layers]
    rows[layer][direction] = CellWeights(**arrays)  # type: ignore[arg-type]
    return replace(case, weights=LSTMWeights(case.spec, tuple(map(tuple, rows)), "float32"))


def _on_array(
    change: Callable[[np.random.Generator, Array], Callable[[Array, float], Array] | None], names: str = "W U b b_r"
) -> Callable[[np.random.Generator, Case], Error | None]:
    """An error of one array of one cell."""

    def make(rng: np.random.Generator, case: Case) -> Error | None:
        layer, direction = int(rng.integers(case.spec.num_layers)), int(rng.integers(case.spec.num_directions))
        present = [name for name, _ in case.weights.cell(layer, direction).items() if name in names.split()]
        if not present:
            return None
        name = str(rng.choice(present))
        of_array = change(rng, np.asarray(getattr(case.weights.cell(layer, direction), name)))

        def error(case: Case, size: float) -> Case:
            arrays = {key: np.array(array) for key, array in case.weights.cell(layer, direction).items()}
            assert of_array is not None
            arrays[name] = np.asarray(of_array(arrays[name], size), np.float32)
            return _with_cell(case, layer, direction, arrays)

        return None if of_array is None else error

    return make


def _scaled_at(choose: Callable[[np.random.Generator, Array], Any]) -> Any:
    """Some part of an array times 1 + size; the size is added to a single 0."""

    def change(rng: np.random.Generator, array: Array) -> Callable[[Array, float], Array] | None:
        where, sign = choose(rng, array), float(rng.choice([-1.0, 1.0]))
        if where is None:
            return None

        def error(array: Array, size: float) -> Array:
            changed = np.array(array)
            part = changed[where]
            changed[where] = sign * size if np.size(part) == 1 and not part.any() else part * (1.0 + sign * size)
            return changed

        return error

    return change


def _added(rng: np.random.Generator, array: Array) -> Callable[[Array, float], Array]:
    """A constant on one gate of a bias, or on all."""
    gate, sign = rng.choice([0, 1, 2, 3, -1]), float(rng.choice([-1.0, 1.0]))

    def error(array: Array, size: float) -> Array:
        changed = np.array(array)
        changed[slice(None) if gate < 0 else gate] += sign * size
        return changed

    return error


def _index(rng: np.random.Generator, array: Array) -> tuple[int, ...]:
    return tuple(int(rng.integers(width)) for width in array.shape)


def _clipped_values(rng: np.random.Generator, array: Array) -> Callable[[Array, float], Array]:
    share = float(rng.uniform(0.3, 0.98))
    return lambda array, size: np.clip(array, -share * np.abs(array).max(), share * np.abs(array).max())


def _rolled(rng: np.random.Generator, array: Array) -> Callable[[Array, float], Array] | None:
    axis = int(rng.integers(1, array.ndim))
    if array.shape[axis] < 3:
        return None
    places, gate = int(rng.integers(1, array.shape[axis])), int(rng.choice([0, 1, 2, 3, -1]))

    def error(array: Array, size: float) -> Array:
        if gate < 0:
            return np.roll(array, places, axis)
        changed = np.array(array)
        changed[gate] = np.roll(array[gate], places, axis - 1)
        return changed

    return error


def _swapped(rng: np.random.Generator, array: Array) -> Callable[[Array, float], Array] | None:
    axis = int(rng.integers(1, array.ndim))
    if array.shape[axis] < 3:
        return None
    order = np.arange(array.shape[axis])
    one, other = rng.choice(len(order), 2, replace=False)
    order[[one, other]] = order[[other, one]]
    return lambda array, size: np.take(array, order, axis)


def _tile_missing(rng: np.random.Generator, array: Array) -> Callable[[Array, float], Array]:
    def error(array: Array, size: float) -> Array:
        changed = np.array(array)
        changed[:, -max(1, array.shape[1] // 4) :] = 0.0
        return changed

    return error


def _last_column(rng: np.random.Generator, array: Array) -> Callable[[Array, float], Array] | None:
    def error(array: Array, size: float) -> Array:
        changed = np.array(array)
        changed[..., -1] = 0.0
        return changed

    return error if array.ndim == 3 else None


def _gate_scaled(rng: np.random.Generator, case: Case) -> Error:
    """Pre-activations of one gate times a factor, in every cell."""
    gate, sign = int(rng.integers(4)), float(rng.choice([-1.0, 1.0]))

    def error(case: Case, size: float) -> Case:
        for layer, direction, cell in [*case.weights.cells()]:
            arrays = {name: np.array(array) for name, array in cell.items()}
            for name in ("W", "U", "b", "b_r"):
                if name in arrays:
                    arrays[name][gate] *= np.float32(1.0 + sign * size)
            case = _with_cell(case, layer, direction, arrays)
        return case

    return error


def _data(name: str, change: Callable[[np.random.Generator, Case, Array, float], Array]) -> Any:
    """An error of the data."""

    def make(rng: np.random.Generator, case: Case) -> Error | None:
        seed = int(rng.integers(2**31))
        if getattr(case, name) is None:
            return None

        def error(case: Case, size: float) -> Case:
            array = change(np.random.default_rng(seed), case, np.array(getattr(case, name)), size)
            return replace(case, id=f"{case.id}*data", **{name: array.astype(np.float32)})

        return error

    return make


def _row_scaled(rng: np.random.Generator, case: Case, array: Array, size: float) -> Array:
    array[:, int(rng.integers(case.batch))] *= 1.0 - size
    return array


def _number_scaled(rng: np.random.Generator, case: Case, array: Array, size: float) -> Array:
    array[_index(rng, array)] *= 1.0 - size
    return array


def _wrong_row(rng: np.random.Generator, case: Case, array: Array, size: float) -> Array:
    array[int(rng.integers(case.batch))] = array[int(rng.integers(case.batch))]
    return array


def _clip(name: str) -> Callable[[np.random.Generator, Case], Error | None]:
    def make(rng: np.random.Generator, case: Case) -> Error | None:
        limit = float(np.round(rng.uniform(0.3, 5.0), 1)) + 0.03

        def error(case: Case, size: float) -> Case:
            spec = replace(case.spec, **{name: limit})
            return replace(case, weights=LSTMWeights(spec, case.weights.layers, "float32"))

        return error

    return make


_SIZED: dict[str, Callable[[np.random.Generator, Case], Error | None]] = {
    "one weight": _on_array(_scaled_at(_index)),
    "row": _on_array(_scaled_at(lambda rng, array: _index(rng, array)[:2])),
    "gate of an array": _on_array(_scaled_at(lambda rng, array: _index(rng, array)[:1])),
    "array": _on_array(_scaled_at(lambda rng, array: ...)),
    "column": _on_array(_scaled_at(lambda rng, array: (..., _index(rng, array)[-1]) if array.ndim == 3 else None)),
    "constant on a bias": _on_array(_added, "b b_r"),
    "gate of every array": _gate_scaled,
    "inputs scaled": _data("x", lambda rng, case, array, size: array * (1.0 + size)),
    "one input": _data("x", _number_scaled),
    "h0 of a row": _data("h0", _row_scaled),
    "c0 of a row": _data("c0", _row_scaled),
    "one number of c0": _data("c0", _number_scaled),
}
_KINDS: dict[str, Callable[[np.random.Generator, Case], Error | None]] = {
    **_SIZED,
    "values clipped": _on_array(_clipped_values),
    "units shifted": _on_array(_rolled),
    "units exchanged": _on_array(_swapped),
    "tile missing": _on_array(_tile_missing),
    "last column missing": _on_array(_last_column),
    "row of another": _data("x", _wrong_row),
    "cell clipped": _clip("cell_clip"),
    "gates clipped": _clip("gate_clip"),
}
