"""A mistake of differentiation, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...arrays import Array
from ...model import Case
from ...model.loss import Cotangents
from ...oracle import Found, Roundings
from .wrong_pass import Join, Rule, WrongStack

#: Gradients by canonical name, without a leading axis of copies.
Arrays = Mapping[str, Array]
LossChange = Callable[[Cotangents, Case], Cotangents]
ArraysChange = Callable[[Arrays], Arrays]
OutputsByLayer = dict[int, Array]


@dataclass(frozen=True)
class GradientMistake:
    """One entry of the catalogue of gradient mistakes.

    Attributes:
        id: lower-case words and dashes, beginning with "gradient-".
        title: what happened, in a few words.
        explanation: why it happens, in one sentence.
        fix: what to do.
        code: the fix on `gradients`, a dict of arrays by canonical name; empty where the pass itself is wrong.
        rule: what the pass of a cell does differently; such a mistake may affect some cells alone.
        loss: another loss than the one asked for.
        join: how directions' gradients become that of the layer below.
        data: other data along which the pass goes: case and outputs.
        arrays: changes finished gradients. It selects, adds or scales, since it is also applied to spreads.
        parameters: numbers that were fitted, or that tell entries of one id apart.
        fitted: whether a number was fitted to the gradients.
        exact: whether zeros prove it, which no rounding makes.
    """

    id: str
    title: str
    explanation: str
    fix: str
    code: str = ""
    rule: Rule | None = None
    loss: LossChange | None = None
    join: Join | None = None
    data: Callable[[Case, OutputsByLayer], tuple[Case, OutputsByLayer]] | None = None
    arrays: ArraysChange | None = None
    parameters: dict[str, float] = field(default_factory=dict)
    fitted: bool = False
    exact: bool = False

    @property
    def is_of_arrays(self) -> bool:
        """Whether it changes finished gradients alone."""
        return self.rule is None and self.loss is None and self.join is None and self.data is None

    @property
    def is_of_cells(self) -> bool:
        """Whether it is a rule of cells alone."""
        return self.rule is not None and self.loss is None and self.join is None and self.data is None

    @property
    def runs_alone(self) -> bool:
        """Whether it cannot run as one copy of many."""
        return self.rule is not None and (self.rule.runs_alone or self.arrays is not None)

    def stack(self, right: WrongStack, outputs: OutputsByLayer, cells: frozenset[tuple[int, int]]) -> WrongStack:
        """The stack with this mistake in these cells."""
        stack = right
        if self.data is not None:
            stack = WrongStack.right(*self.data(right.case, outputs))
        if self.rule is not None:
            stack = stack.with_rules([self.rule], cells)
        if self.loss is not None:
            stack = stack.with_loss(self.loss(stack.loss, right.case))
        return stack if self.join is None else stack.with_join(self.join)

    def back_propagate(
        self, right: WrongStack, outputs: OutputsByLayer, cells: frozenset[tuple[int, int]], r: Roundings
    ) -> Found:
        """Every gradient with this mistake."""
        found = with_second_bias(self.stack(right, outputs, cells).back_propagate(r))
        return found if self.arrays is None else _changed(found, self.arrays)


def with_second_bias(found: Found) -> Found:
    """The gradients with those of second biases, which equal those of the first."""
    return {**found, **{f"{name}_r": pair for name, pair in found.items() if name.endswith(".b")}}


def _changed(found: Found, change: ArraysChange) -> Found:
    """Apply a change of arrays to each copy."""
    copies = len(next(iter(found.values()))[0])
    each = [change({name: value[k] for name, (value, _) in found.items()}) for k in range(copies)]
    spread = change({name: sigma for name, (_, sigma) in found.items()})
    return {name: (np.stack([one[name] for one in each]), np.abs(spread[name])) for name in each[0]}
