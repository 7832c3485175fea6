"""Follows a gate's pre-activation to the weights that make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

from ..codecs.limits import escape
from .flow import Flow, Made, NoCellError, Part, V, plain

#: Values that a sum of pre-activations may go through; an LSTM's are some ten.
_MOST_TERMS = 40


@dataclass(frozen=True)
class Term(Generic[V]):
    """A bias, or weights that are multiplied with `fed`, of one gate."""

    kernel: V
    parts: tuple[Part, ...]  # from the kernel on
    fed: V | None = None
    transposed: bool = False
    place: int = 0  # among the values that are joined before they are multiplied
    places: int = 1
    name: str = ""  # of the product
    step: V | None = None  # where one step of a sequence of products is taken
    partner: V | None = None  # for a bias, what its product multiplies


def terms_of(flow: Flow[V], value: V) -> Iterator[Term[V]]:
    """The terms of one gate's pre-activation."""
    waiting: list[tuple[V, tuple[Part, ...], V | None]] = [(value, (), None)]
    for _ in range(_MOST_TERMS):
        if not waiting:
            return
        value, parts, step = waiting.pop()
        made = flow.made(value)
        if flow.constant(value) is not None:
            yield Term(value, parts)
        elif made.kind == "add":
            waiting += [(one, parts, step) for one in made.inputs]
        elif made.kind == "same":
            waiting.append((made.inputs[0], parts, step))
        elif made.kind == "step" and step is None:
            waiting.append((made.inputs[0], parts, value))
        elif made.kind == "part" and made.part is not None:
            waiting.append((made.inputs[0], (made.part, *parts), step))
        elif made.kind == "product":
            yield from _product(flow, made, parts, step)
        else:
            raise NoCellError(f"its pre-activations are computed by {escape(made.kind)}")
    raise NoCellError("its pre-activations have too many terms")


def _product(flow: Flow[V], made: Made[V], parts: tuple[Part, ...], step: V | None) -> Iterator[Term[V]]:
    fed, kernel, *bias = made.inputs
    around = flow.made(plain(flow, fed))
    feds = around.inputs if around.kind == "joined" else (fed,)
    for place, one in enumerate(feds):
        yield Term(kernel, parts, plain(flow, one), made.transposed, place, len(feds), made.name, step)
    yield from (Term(one, parts, partner=plain(flow, fed)) for one in bias)


def span_of(parts: tuple[Part, ...], length: int) -> tuple[int, int]:
    """The span that is left of an axis after all parts are taken."""
    start, stop = 0, length
    for part in parts:
        first, last = part.within(stop - start)
        start, stop = start + first, start + last
    return start, stop
