"""A tanh that errs absolutely, recognised by the numbers it can return.

The bound takes the error of a tanh relative to its value. 2 sigmoid(2x) - 1 and its like are honest, too, but off by
some units of 1 whatever the value. Allowing them every result would hide mistakes that change small numbers; so they
are allowed on evidence only. With u the roundoff in which a tanh is evaluated, a tanh t below 1/3 that is computed as

    2 sigmoid(2x) - 1,  1 - 2 / (1 + exp(2x))          is a multiple of u
    (1 - exp(-2x)) / (1 + exp(-2x))                    has t / (1 + |t|) near a multiple of u / 2
    (exp(x) - exp(-x)) / (exp(x) + exp(-x))            has t / sqrt(1 - t^2) near a multiple of u / 2

and a relative tanh is anywhere between. t = h / o is read off the outputs, blurred by the roundings of h and o, which
are relative: the smaller t, the more it says. Of outputs that are stored in 16 bits only the tiniest say something.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..arrays import Array
from ..model import Case, LSTMSpec, Result
from ..oracle import Profile, observed_tanh
from ..oracle.trace import CellTrace, trace
from .reference import expected_shapes, observed_quantities, usable_outputs

#: Larger values of tanh(c) are too blurred.
_SMALL = 0.15
#: The numbers nearest zero are enough.
_MOST = 4096
#: The grid must be so many times as likely as numbers anywhere between.
_ODDS = 1e4
#: Roundings of h and o, in units of u relative to t, with exact and with rougher sums; and the least blur.
_BLURS, _LEAST_BLUR = (0.8, 2.5), 0.05
#: Share of numbers that may be anywhere.
_STRAY = 0.1
#: Absolute error of such a tanh, in units of the roundoff in which it is evaluated.
_UNITS = 4.0


def may_show_absolute_tanh(spec: LSTMSpec, names: Iterable[str]) -> bool:
    """Whether these quantities could show such a tanh."""
    shown = any(name.endswith("y") or name in ("h_n", "last") for name in names)
    return shown and not spec.proj_size and spec.output_activation == "tanh"


def absolute_tanh(profile: Profile) -> Profile:
    """The profile that allows such a tanh."""
    return replace(profile, tanh_absolute=_UNITS * profile.u_sum / profile.u)


def with_absolute_tanh(result: Result, case: Case, profile: Profile) -> tuple[Profile, str] | None:
    """The profile that allows an absolute tanh, and which it is; None without evidence."""
    if not may_show_absolute_tanh(case.spec, observed_quantities(result)):
        return None
    small, unit = _small_values(case, result), profile.u_sum
    grids = {
        "2 sigmoid(2x) - 1 or 1 - 2 / (1 + exp(2x))": small,
        "(1 - exp(-2x)) / (1 + exp(-2x))": 2.0 * small / (1.0 + np.abs(small)),
        "(exp(x) - exp(-x)) / (exp(x) + exp(-x))": 2.0 * small / np.sqrt(1.0 - small**2),
    }
    evidence = {
        formula: max(
            _evidence(numbers / unit, (blur * profile.u * np.abs(small) + profile.eta) / unit) for blur in _BLURS
        )
        for formula, numbers in grids.items()
    }
    formula = max(evidence, key=lambda name: evidence[name])
    if evidence[formula] < math.log(_ODDS):
        return None
    return absolute_tanh(profile), f"tanh is computed with an absolute error, as {formula}"


def _small_values(case: Case, result: Result) -> Array:
    """Observed tanh(c) nearest zero, of all layers and directions.

    Of a layer whose outputs were not observed, the last ones: from h_n.
    """
    spec, x, found = case.spec, np.asarray(case.x, np.float64), [np.zeros(0)]
    outputs = usable_outputs(result, case)
    states = _final_h(result, case).reshape(spec.num_layers, spec.num_directions, case.batch, spec.output_size)
    with np.errstate(over="ignore", invalid="ignore"):
        own = trace(case) if len(outputs) < spec.num_layers else None
        for layer in range(spec.num_layers):
            for direction in range(spec.num_directions):
                if layer in outputs:
                    columns = slice(direction * spec.output_size, (direction + 1) * spec.output_size)
                    half = np.asarray(outputs[layer], np.float64)[..., columns]
                    seen, expected = observed_tanh(case, layer, direction, x, half)
                elif own is not None:
                    seen, expected = _last_tanh(own.cells[layer][direction], states[layer, direction])
                found.append(seen[(np.abs(expected) < _SMALL) & (np.abs(seen) < 2.0 * _SMALL) & (seen != 0.0)])
            if layer in outputs:
                x = np.asarray(outputs[layer], np.float64)
            elif own is not None:
                x = np.asarray((*own.result.layer_outputs, own.result.y)[layer])
    values = np.concatenate(found)
    return values[np.argsort(np.abs(values))[:_MOST]]


def _last_tanh(cell: CellTrace, h: Array) -> tuple[Array, Array]:
    """h / o and tanh(c) after the last step of a free run."""
    rows = np.arange(len(cell.last))
    return h / cell.o[rows, cell.last], np.tanh(cell.c[rows, cell.last])


def _final_h(result: Result, case: Case) -> Array:
    """The observed final h of every layer and direction, or NaN."""
    shapes = expected_shapes(case)
    if result.h_n is not None and np.shape(result.h_n) == shapes["h_n"]:
        return np.asarray(result.h_n, np.float64)
    states = np.full(shapes["h_n"], np.nan)
    if result.last is not None and np.shape(result.last) == shapes["last"]:
        top = np.asarray(result.last, np.float64).reshape(case.batch, case.spec.num_directions, -1)
        states[-case.spec.num_directions :] = np.moveaxis(top, 1, 0)
    return states


def _evidence(numbers: Array, blur: Array) -> float:
    """Logarithm of how much likelier blurred whole numbers are than numbers anywhere between."""
    blur = np.maximum(_LEAST_BLUR, blur)
    density = np.ones_like(numbers)  # of whole numbers with a normal error, relative to the uniform one
    for k in range(1, 11):
        density += 2.0 * np.exp(-2.0 * (math.pi * k * blur) ** 2) * np.cos(2.0 * math.pi * k * numbers)
    # Between 0 and 1/2 is a value that such a tanh cannot return.
    density = np.where(np.rint(numbers) == 0.0, 0.0, np.maximum(density, 0.0))
    return float(np.log(_STRAY + (1.0 - _STRAY) * density).sum())
