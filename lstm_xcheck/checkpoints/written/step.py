"""Recognises the step of an LSTM that a graph writes out.

A step is h = o act(c) of c = f c' + i g, in any order of operands. What i, f, g and o are is read from what the graph
computes with them, never from an order or a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

from .flow import Flow, V, plain

_GATES = ("sigmoid", "hard_sigmoid")


@dataclass(frozen=True)
class Step(Generic[V]):
    """One reading of a value h as the result of a step."""

    h: V
    c: V
    before: V  # the c of the step before
    gates: tuple[V, V, V, V]  # what the functions of i, f, g and o are taken of
    functions: tuple[str, str, str]  # of the gates, the candidate and the output


def steps_of(flow: Flow[V], h: V) -> Iterator[Step[V]]:
    """Every reading of a value as the result of a step."""
    for gate, activated in _pairs(flow, h, "mul"):
        (of_gate, o), (output, c) = _function(flow, gate), _function(flow, activated)
        for kept, added in _pairs(flow, c, "add"):
            for forget, before in _pairs(flow, kept, "mul"):
                for entered, candidate in _pairs(flow, added, "mul"):
                    (of_f, f), (of_i, i), (cell, g) = (_function(flow, one) for one in (forget, entered, candidate))
                    # Where gate and candidate have one function, the product does not tell them apart.
                    ordered = cell != of_i or _place(flow, i) <= _place(flow, g)
                    if of_gate == of_f == of_i != "linear" and ordered:
                        functions = (of_gate, cell, output)
                        yield Step(h, plain(flow, c), plain(flow, before), (i, f, g, o), functions)


def is_surely(step: Step[V]) -> bool:
    """Whether nothing but an LSTM computes this."""
    gate, cell, output = step.functions
    return gate.partition(":")[0] in _GATES and cell not in (gate, "linear") and output != "linear"


def _place(flow: Flow[V], value: V) -> int:
    """Where a part of pre-activations begins."""
    made = flow.made(plain(flow, value))
    return made.part.start if made.part is not None else 0


def _pairs(flow: Flow[V], value: V, kind: str) -> Iterator[tuple[V, V]]:
    """The two operands of a sum or product, in both orders."""
    made = flow.made(plain(flow, value))
    if made.kind == kind and len(made.inputs) == 2:
        first, second = made.inputs
        yield first, second
        if first != second:
            yield second, first


def _function(flow: Flow[V], value: V) -> tuple[str, V]:
    """The activation that makes a value, and its argument."""
    made = flow.made(plain(flow, value))
    return (made.function, made.inputs[0]) if made.kind == "function" else ("linear", value)
