"""Presets: named lists of cases for `verify`."""

from __future__ import annotations

from ..errors import SpecError, unknown
from ..model.initializers import INITIALIZERS
from .grid import grid
from .recipe import Recipe


def preset(name: str) -> list[Recipe]:
    """The recipes of `quick`, `standard` or `deep`, each once.

    >>> len(preset("standard")) >= 60
    True
    """
    if name not in PRESETS:
        raise SpecError(unknown("preset", name, PRESETS))
    return list(dict.fromkeys(PRESETS[name]()))


def _first_shapes() -> list[Recipe]:
    """The project's first shapes: one unit and one feature, and one-hot words."""
    return [
        *grid(hidden=1, input=1, steps=5, batch=1, bias="single", returns=["last", "sequence"], states=False),
        *grid(hidden=1, input=1, steps=4, batch=1, bias="single", init="keras", states=False),
        *grid(
            hidden=5,
            input=10,
            steps=4,
            batch=2,
            bias="single",
            one_hot=True,
            states=False,
            returns=["last", "sequence"],
        ),
        *grid(hidden=32, input=2308, steps=3, batch=2, bias=["single", "split"], one_hot=True, states=False),
    ]


def _quick() -> list[Recipe]:
    return [
        *_first_shapes()[:4],
        *grid(hidden=4, input=5, layers=[1, 2], directions=[1, 2], bias="split", ragged=True),
        *grid(hidden=4, input=4, bias=["single", "none"], batch=7, steps=7),
        *grid(hidden=32, input=8, steps=20, layers=1, directions=2, bias="single"),
    ]


def _standard() -> list[Recipe]:
    return [
        *_first_shapes(),
        *grid(hidden=4, input=5, layers=[1, 2, 3], directions=[1, 2], bias=["split", "single", "none"]),
        *grid(hidden=4, input=5, layers=[1, 2, 3], directions=[1, 2], bias=["split", "single"], ragged=True, batch=4),
        *grid(hidden=[1, 2, 17, 64], input=3, steps=[1, 9], bias="split", ragged=False),
        # Equal sizes: exchanged axes or a transposed kernel raise no shape error here.
        *grid(hidden=6, input=6, steps=6, batch=6, directions=[1, 2], bias=["split", "single"], ragged=[False, True]),
        *grid(hidden=8, input=5, steps=12, bias="single", returns="last", directions=[1, 2], ragged=[False, True]),
        *grid(hidden=[128, 256], input=32, steps=10, batch=2, bias="single"),
        *grid(hidden=16, input=8, steps=100, batch=2, bias="split"),
        *grid(hidden=12, input=7, init=["keras", "torch"], states=[False, True], bias="single"),
        *grid(hidden=8, input=5, bias=["split", "single"], directions=2, ragged=True, dtype="float64"),
    ]


def _deep() -> list[Recipe]:
    return [
        *_standard(),
        *grid(
            hidden=[1, 3, 8, 33], input=[1, 8], layers=[1, 2], directions=[1, 2],
            bias=["split", "single", "none"], ragged=[False, True],
        ),
        *grid(hidden=[4, 24], input=6, steps=40, init=list(INITIALIZERS)[3:], seeds=3),
        *grid(hidden=[8, 32], input=5, steps=[1, 2, 50, 200], batch=[1, 9], bias="single"),
        *grid(hidden=16, input=7, layers=[1, 3], directions=[1, 2], dtype=["float64", "float32"], seeds=3),
        *grid(hidden=512, input=64, steps=20, batch=4, bias="single"),
    ]  # fmt: skip


PRESETS = {"quick": _quick, "standard": _standard, "deep": _deep}
