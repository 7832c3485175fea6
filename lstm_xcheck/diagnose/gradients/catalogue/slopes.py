"""Wrong factors within a step: slopes of other functions, gates left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ....arrays import Array
from ....model import Case
from ....oracle import StepRecord
from ..mistake import GradientMistake
from ..wrong_pass import Rule


def _sigmoid(z: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-z)))


#: Id -> in words, and the slope as a function of the activation's value and of what it is taken of.
_FORMULAS: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "zero": ("0, as if it were detached", lambda a, z: np.zeros_like(a)),
    "one": ("1, so that the slope is left out", lambda a, z: np.ones_like(a)),
    "of-tanh": ("1 - a^2, that of tanh", lambda a, z: 1.0 - a * a),
    "of-sigmoid": ("a (1 - a), that of sigmoid", lambda a, z: a * (1.0 - a)),
    "tanh-of-value": ("1 - tanh(a)^2, tanh's at the activated value", lambda a, z: 1.0 - np.tanh(a) ** 2),
    "sigmoid-of-value": (
        "s(a) (1 - s(a)), the sigmoid's at the activated value",
        lambda a, z: _sigmoid(a) * (1.0 - _sigmoid(a)),
    ),
    "square-of-input": ("1 - z^2, tanh's formula with the pre-activation", lambda a, z: 1.0 - z * z),
    "product-of-input": ("z (1 - z), the sigmoid's formula with the pre-activation", lambda a, z: z * (1.0 - z)),
    "hard-2.5": ("0.2 where |z| < 2.5, that of a hard sigmoid", lambda a, z: 0.2 * (np.abs(z) < 2.5)),
    "hard-3": ("1/6 where |z| < 3, that of a hard sigmoid", lambda a, z: (np.abs(z) < 3.0) / 6.0),
    "of-relu": ("1 where z > 0, that of relu", lambda a, z: 1.0 * (z > 0.0)),
    "value": ("a itself", lambda a, z: a),
    "without-a": ("1 - a, without the factor a", lambda a, z: 1.0 - a),
}

#: Id -> in words, the gates, and whether the tanh of c on its way to the output too.
_PLACES = {
    "gates": ("the gates i, f and o", (0, 1, 3), False),
    "i": ("gate i", (0,), False),
    "f": ("gate f", (1,), False),
    "o": ("gate o", (3,), False),
    "g": ("the candidate g", (2,), False),
    "output": ("tanh(c)", (), True),
    "both-tanh": ("both tanh", (2,), True),
    "all": ("every activation", (0, 1, 2, 3), True),
}


def _with_slopes(
    step: StepRecord, z: Array, formula: Callable[[Array, Array], Array], gates: tuple[int, ...], output: bool
) -> StepRecord:
    values, slopes = (step.i, step.f, step.g, step.o), step.slopes.copy()
    for gate in gates:
        slopes[..., gate, :] = formula(values[gate], z[..., gate, :])
    return step._replace(slopes=slopes, tau_slope=formula(step.tau, step.c) if output else step.tau_slope)


#: Id -> in words, and the values of a step that are taken for others.
_FACTORS: dict[str, tuple[str, Callable[[StepRecord, Array], StepRecord]]] = {
    "forget-by-new-c": ("the gradient of f uses c_t for c_(t-1)", lambda s, z: s._replace(c_prev=s.c)),
    "output-without-tanh": ("the gradient of o uses c for tanh(c)", lambda s, z: s._replace(tau=s.c)),
    "output-by-h": ("the gradient of o uses h for tanh(c)", lambda s, z: s._replace(tau=s.h)),
    "c-without-o": ("the gradient of c lacks the output gate", lambda s, z: s._replace(o=np.ones_like(s.o))),
    "carry-without-f": ("the gradient of c_(t-1) lacks the forget gate", lambda s, z: s._replace(f=np.ones_like(s.f))),
    "carry-by-i": ("the gradient of c_(t-1) uses i for f", lambda s, z: s._replace(f=s.i)),
    "input-by-i": ("the gradient of i uses i for g", lambda s, z: s._replace(g=s.i)),
    "candidate-by-g": ("the gradient of g uses g for i", lambda s, z: s._replace(i=s.g)),
    "i-and-g-exchanged": ("the gradients of i and g use each their own value", lambda s, z: s._replace(i=s.g, g=s.i)),
}


def entries(case: Case) -> Iterator[GradientMistake]:
    """Every wrong slope in every place, and every wrong factor."""
    for place, (where, gates, output) in _PLACES.items():
        for name, (words, formula) in _FORMULAS.items():
            detached = name == "zero"
            yield GradientMistake(
                id=f"gradient-detached-{place}" if detached else f"gradient-slope-{name}-{place}",
                title=f"no gradient through {where}" if detached else f"slope of {where} taken as {words}",
                explanation=f"With a the activated value and z what it is taken of, the slope of {where} was {words}.",
                fix=f"Multiply by the slope of the function that the forward pass applies to {where}.",
                rule=Rule(step=partial(_with_slopes, formula=formula, gates=gates, output=output)),
            )
    for name, (words, step) in _FACTORS.items():
        yield GradientMistake(
            id=f"gradient-{name}",
            title=words,
            explanation=f"In the backward pass {words}.",
            fix="Use the values of the forward pass as in c_t = f c_(t-1) + i g and h_t = o tanh(c_t).",
            rule=Rule(step=step),
        )
