"""Another loss than the one asked for: outputs left out, counted twice, or averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ....arrays import Array
from ....model import Case
from ....model.loss import Cotangents
from ..mistake import GradientMistake, LossChange


def _scaled(y: float = 1.0, h_n: float = 1.0, c_n: float = 1.0) -> LossChange:
    return lambda loss, case: Cotangents(loss.y * y, loss.h_n * h_n, loss.c_n * c_n)


def _last_valid(case: Case) -> Array:
    """1 at the last valid step of each row, (batch, steps, 1)."""
    last = case.steps - 1 - np.argmax(case.valid[:, ::-1], axis=1)
    return np.asarray(1.0 * (np.arange(case.steps) == last[:, None])[..., None])


def _on_y(weights: Callable[[Case], Array]) -> LossChange:
    return lambda loss, case: loss._replace(y=loss.y * weights(case))


def _of_layer(layer: int, name: str) -> LossChange:
    """Final states of one layer alone."""

    def change(loss: Cotangents, case: Case) -> Cotangents:
        width = case.spec.num_directions
        rows = np.arange(case.spec.num_layers * width) // width == layer % case.spec.num_layers
        kept = {part: getattr(loss, part) * rows[:, None, None] for part in name.split()}
        return loss._replace(**kept)

    return change


def _averaged(count: Callable[[Array, Case], float]) -> LossChange:
    """Each of the three sums divided by a count of its own."""

    def change(loss: Cotangents, case: Case) -> Cotangents:
        return Cotangents(*(part / count(part, case) for part in loss))

    return change


def _reversed(loss: Cotangents, case: Case) -> Cotangents:
    width, y = case.spec.output_size, np.array(loss.y)
    y[..., -width:] = y[:, ::-1, -width:]
    return loss._replace(y=y)


_RIGHT = "Back-propagate sum(y G_y) + sum(h_n G_h) + sum(c_n G_c), with the cotangents that are given."

#: Id -> in words, the loss, and whether it needs several directions or layers.
_LOSSES: dict[str, tuple[str, LossChange, str]] = {
    "h-n-missing": ("the gradient of h_n is not added", _scaled(h_n=0.0), ""),
    "c-n-missing": ("the gradient of c_n is not added", _scaled(c_n=0.0), ""),
    "final-states-missing": ("the gradients of h_n and c_n are not added", _scaled(h_n=0.0, c_n=0.0), ""),
    "y-missing": ("the gradient of y is not added", _scaled(y=0.0), ""),
    "y-and-h-n-missing": ("the gradients of y and h_n are not added", _scaled(y=0.0, h_n=0.0), ""),
    "y-and-c-n-missing": ("the gradients of y and c_n are not added", _scaled(y=0.0, c_n=0.0), ""),
    "y-at-last-step-only": (
        "the gradient of y counts at the last step only",
        _on_y(lambda case: 1.0 * (np.arange(case.steps) == case.steps - 1)[None, :, None]),
        "",
    ),
    "y-at-last-valid-step-only": ("the gradient of y counts at each row's last step only", _on_y(_last_valid), ""),
    "y-at-last-step-missing": (
        "the gradient of y is missing at the last step",
        _on_y(lambda case: 1.0 * (np.arange(case.steps) != case.steps - 1)[None, :, None]),
        "",
    ),
    "y-at-last-valid-step-missing": (
        "the gradient of y is missing at each row's last step",
        _on_y(lambda case: 1.0 - _last_valid(case)),
        "",
    ),
    "y-at-first-step-missing": (
        "the gradient of y is missing at the first step",
        _on_y(lambda case: 1.0 * (np.arange(case.steps) != 0)[None, :, None]),
        "",
    ),
    "y-at-first-step-only": (
        "the gradient of y counts at the first step only",
        _on_y(lambda case: 1.0 * (np.arange(case.steps) == 0)[None, :, None]),
        "",
    ),
    "y-in-reverse": ("the gradient of y is reversed in time", lambda loss, case: loss._replace(y=loss.y[:, ::-1]), ""),
    "y-of-backward-in-reverse": ("the gradient of the backward half of y is reversed in time", _reversed, "directions"),
    "h-n-twice": ("the gradient of h_n is added twice", _scaled(h_n=2.0), ""),
    "c-n-twice": ("the gradient of c_n is added twice", _scaled(c_n=2.0), ""),
    "y-twice": ("the gradient of y is added twice", _scaled(y=2.0), ""),
    "final-states-of-top-only": ("h_n and c_n count in the top layer only", _of_layer(-1, "h_n c_n"), "layers"),
    "final-states-of-bottom-only": ("h_n and c_n count in the lowest layer only", _of_layer(0, "h_n c_n"), "layers"),
    "h-n-of-top-only": ("h_n counts in the top layer only", _of_layer(-1, "h_n"), "layers"),
    "c-n-of-top-only": ("c_n counts in the top layer only", _of_layer(-1, "c_n"), "layers"),
    "each-averaged": ("each of the three sums is a mean", _averaged(lambda part, case: float(part.size)), ""),
    "y-averaged": ("the sum over y is a mean", lambda loss, case: loss._replace(y=loss.y / loss.y.size), ""),
    "y-averaged-over-batch": (
        "the sum over y is divided by the batch", lambda loss, case: loss._replace(y=loss.y / case.batch), "",
    ),
    "y-averaged-over-steps": (
        "the sum over y is divided by the steps", lambda loss, case: loss._replace(y=loss.y / case.steps), "",
    ),
    "y-averaged-over-lengths": (
        "the sum over y is divided by each row's length",
        _on_y(lambda case: 1.0 / np.maximum(case.valid.sum(axis=1), 1)[:, None, None]),
        "",
    ),
    "all-ones": (
        "all cotangents are 1", lambda loss, case: Cotangents(*(np.ones_like(part) for part in loss)), "",
    ),
    "y-all-ones": ("the cotangents of y are 1", lambda loss, case: loss._replace(y=np.ones_like(loss.y)), ""),
}  # fmt: skip


def _applies(needs: str, case: Case) -> bool:
    return {"": True, "directions": case.spec.bidirectional, "layers": case.spec.num_layers > 1}[needs]


def entries(case: Case) -> Iterator[GradientMistake]:
    """Every other loss that the case can tell."""
    for name, (words, loss, needs) in _LOSSES.items():
        if _applies(needs, case):
            yield GradientMistake(
                id=f"gradient-{name}",
                title=words,
                explanation=f"The loss that was differentiated is another one: {words}.",
                fix=_RIGHT,
                loss=loss,
            )
