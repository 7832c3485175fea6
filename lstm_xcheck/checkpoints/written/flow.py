"""What operators compute, in words that all graphs share."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from ..tensor_info import TensorInfo

V = TypeVar("V", bound=Hashable)

#: What may stand between an operator and the one that matters.
_MOST_SAME = 8


class NoCellError(ValueError):
    """Why a step of an LSTM is not read; the message is the reason."""


class Part(NamedTuple):
    """A span of the last axis, in numbers or equal parts.

    Where `of` is not 0 it is that many equal parts.
    """

    start: int
    stop: int
    of: int = 0

    def within(self, length: int) -> tuple[int, int]:
        """Where it begins and ends in an axis."""
        if self.of:
            return length * self.start // self.of, length * self.stop // self.of
        start, stop, _ = slice(self.start, self.stop).indices(length)
        return start, stop


@dataclass(frozen=True)
class Made(Generic[V]):
    """What makes a value.

    `kind` is add, mul, function, part, product, joined, same or step (one of a sequence); all else is an operator's own
    name, for messages. A product takes what it multiplies, its kernel and perhaps a bias.
    """

    kind: str
    inputs: tuple[V, ...] = ()
    function: str = ""
    part: Part | None = None
    transposed: bool = False  # whether a kernel is (output, input)
    name: str = ""  # of the operator


class Dataflow(Protocol[V]):
    """What a graph computes of what."""

    def made(self, value: V) -> Made[V]:
        """What makes a value."""

    def constant(self, value: V) -> TensorInfo | None:
        """The stored tensor that a value is."""

    def becomes(self, value: V) -> V | None:
        """What a state of a loop is after a step; None for all else."""


class Flow(Dataflow[V], Protocol[V]):
    """The data flow of a graph whose steps are read."""

    def name(self, value: V) -> str:
        """What the file calls a value."""

    def width(self, value: V) -> int | None:
        """How long its last axis is, where that is sure."""

    def is_state(self, value: V, h: V) -> bool:
        """Whether a value is the h of the step before."""

    def computed_by(self, value: V) -> str:
        """The operator that computes a state; none where it is given or constant."""


def plain(flow: Flow[V], value: V) -> V:
    """The value before what only hands it on."""
    for _ in range(_MOST_SAME):
        made = flow.made(value)
        if made.kind != "same":
            break
        value = made.inputs[0]
    return value
