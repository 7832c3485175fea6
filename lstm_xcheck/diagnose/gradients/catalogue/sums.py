"""Sums over steps and rows that lack terms or multiply by other inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ....arrays import Array
from ....model import Case
from ....oracle import Direction
from ..mistake import GradientMistake
from ..wrong_pass import Rule, WrongDirection

_PARAMETERS = ("W", "U", "b", "peephole")
_ARRAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("of the weights and the bias", _PARAMETERS),
    "-W": ("of W", ("W",)),
    "-U": ("of U", ("U",)),
    "-b": ("of the bias", ("b",)),
    "-WU": ("of W and U", ("W", "U")),
}


def _but_step(step: int) -> Callable[[Array], Array]:
    return lambda valid: 1.0 * (np.arange(valid.shape[1]) != step % valid.shape[1])[None, :]


def _only_step(step: int) -> Callable[[Array], Array]:
    return lambda valid: 1.0 * (np.arange(valid.shape[1]) == step % valid.shape[1])[None, :]


def _only_row(row: int) -> Callable[[Array], Array]:
    return lambda valid: 1.0 * (np.arange(valid.shape[0]) == row % valid.shape[0])[:, None]


def _but_row(row: int) -> Callable[[Array], Array]:
    return lambda valid: 1.0 * (np.arange(valid.shape[0]) != row % valid.shape[0])[:, None]


def _divided_by_length(valid: Array) -> Array:
    return np.asarray(1.0 / valid.sum(axis=1, keepdims=True))


#: Id -> in words, the fix, and the weights of the terms.
_TERMS: dict[str, tuple[str, str, Callable[[Array], Array]]] = {
    "first-step-missing": ("lacks the first step", "Sum over all steps.", _but_step(0)),
    "last-step-missing": ("lacks the last step", "Sum over all steps.", _but_step(-1)),
    "first-step-only": ("is that of the first step alone", "Add (+=) at each step.", _only_step(0)),
    "last-step-only": ("is that of the last step alone", "Add the gradients of all steps.", _only_step(-1)),
    "first-row-only": ("is that of the first row of the batch", "Sum over the batch.", _only_row(0)),
    "last-row-only": ("is that of the last row of the batch", "Add (+=) for each row.", _only_row(-1)),
    "first-row-missing": ("lacks the first row of the batch", "Sum over the whole batch.", _but_row(0)),
    "last-row-missing": ("lacks the last row of the batch", "Sum over the whole batch.", _but_row(-1)),
    "mean-over-length": ("divides each row by its length", "Sum over the steps of each row.", _divided_by_length),
}  # fmt: skip


def _current_h(direction: WrongDirection) -> Direction:
    return replace(direction, h_prev=np.asarray(direction.h_now))


def _older_h(direction: WrongDirection) -> Direction:
    h = direction.h_prev
    return replace(direction, h_prev=np.concatenate([h[:, :1], h[:, :-1]], axis=1))


def _initial_h_as_zero(direction: WrongDirection) -> Direction:
    h = direction.h_prev.copy()
    h[:, 0] = 0.0
    return replace(direction, h_prev=h)


def _shifted_x(shift: int) -> Callable[[WrongDirection], Direction]:
    def change(direction: WrongDirection) -> Direction:
        x = np.roll(direction.x, shift, axis=1)
        x[:, 0 if shift > 0 else -1] = 0.0
        return replace(direction, x=x)

    return change


def _reversed(name: str) -> Callable[[WrongDirection], Direction]:
    return lambda d: replace(d, x=d.x[:, ::-1]) if name == "x" else replace(d, h_prev=d.h_prev[:, ::-1])


#: Id -> in words, what the product should take, the array, and the inputs.
_INPUTS: dict[str, tuple[str, str, str, Callable[[WrongDirection], Direction]]] = {
    "U-by-new-h": ("dU with h_t instead of h_(t-1)", "h_(t-1)", "U", _current_h),
    "U-by-older-h": ("dU with h_(t-2) instead of h_(t-1)", "h_(t-1)", "U", _older_h),
    "U-without-h0": ("dU with zeros instead of h0", "h0 at the first step", "U", _initial_h_as_zero),
    "U-by-reversed-h": ("dU with h reversed in time", "h_(t-1)", "U", _reversed("h")),
    "W-by-older-x": ("dW with x_(t-1) instead of x_t", "x_t", "W", _shifted_x(1)),
    "W-by-next-x": ("dW with x_(t+1) instead of x_t", "x_t", "W", _shifted_x(-1)),
    "W-by-reversed-x": ("dW with x reversed in time", "x_t", "W", _reversed("x")),
}


def entries(case: Case) -> Iterator[GradientMistake]:
    """Terms that are missing, and products with other inputs."""
    for name, (words, right, array, inputs) in _INPUTS.items():
        yield GradientMistake(
            id=f"gradient-{name.lower()}",
            title=words,
            explanation=f"The gradient of {array} multiplies each step's dz by the wrong vector: {words}.",
            fix=f"Multiply the dz of step t by {right}.",
            rule=Rule(inputs=((array,), inputs)),
        )
    for name, (words, fix, weights) in _TERMS.items():
        if ("row" in name and case.batch == 1) or ("step" in name and case.steps == 1):
            continue
        for suffix, (where, arrays) in _ARRAYS.items():
            yield GradientMistake(
                id=f"gradient-{name}{suffix.lower()}",
                title=f"the gradient {where} {words} (steps counted as they are processed)",
                explanation=f"The sum over steps and rows that makes the gradient {where} {words}.",
                fix=fix,
                rule=Rule(summed=(arrays, weights)),
            )
