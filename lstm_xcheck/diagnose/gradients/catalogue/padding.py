"""Padded steps that take part in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from ....arrays import Array
from ....model import Case
from ....model.loss import Cotangents
from ....oracle import forward
from ..mistake import Arrays, GradientMistake, OutputsByLayer
from ..wrong_pass import Rule


def _without_padding(loss: Cotangents, case: Case) -> Cotangents:
    return loss._replace(y=loss.y * case.valid[..., None])


def _continued(case: Case, outputs: OutputsByLayer) -> tuple[Case, OutputsByLayer]:
    """The case without lengths, with outputs that go on at padded steps."""
    unmasked = replace(case, lengths=None, mask=None)
    free = forward(unmasked)
    going_on = [*free.layer_outputs, np.asarray(free.y)]
    valid = case.valid[..., None]
    return unmasked, {k: np.where(valid, observed, going_on[k]) for k, observed in outputs.items()}


def _x_without_padding(arrays: Arrays, valid: Array) -> Arrays:
    return {name: array * valid[..., None] if name == "x" else array for name, array in arrays.items()}


def entries(case: Case) -> Iterator[GradientMistake]:
    """Padding counted: with states that stand still or go on.

    Each with the cotangents of y there or without, and with a gradient of x there or without.
    """
    for stands, counted, shown in product((True, False), repeat=3) if not case.valid.all() else ():
        words = [
            "with the states standing still" if stands else "with the states going on",
            *(["and the gradient of y counts there"] if counted else []),
            *([] if shown else ["but x has no gradient there"]),
        ]
        tail = f"{'' if stands else '-going-on'}{'' if counted else '-without-y'}{'' if shown else '-without-x'}"
        yield GradientMistake(
            id=f"gradient-padding-counted{tail}",
            title=f"padded steps counted in the backward pass, {', '.join(words)}",
            explanation="The backward pass takes padded steps for data, though the forward pass left them out.",
            fix="Pass dh and dc over padded steps unchanged, and set dz to zero there.",
            rule=Rule(padding="counted" if counted else "without-y") if stands else None,
            data=None if stands else _continued,
            loss=None if stands or counted else _without_padding,
            arrays=None if shown else partial(_x_without_padding, valid=case.valid),
        )
