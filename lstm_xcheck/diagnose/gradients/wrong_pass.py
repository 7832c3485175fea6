"""A float64 backward pass with a mistake in it, along the observed outputs.

Several mistakes run as copies of one pass: where a rule changes a value, that value has one copy for each rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from ...arrays import Array
from ...model import Case
from ...model.loss import Cotangents
from ...oracle import PROFILES, BackwardPass, Direction, Roundings, Stack, StepRecord

_ORDER = (0, 1, 2, 3)


@dataclass(frozen=True)
class Rule:
    """What a wrong backward pass of one cell does differently.

    Attributes:
        step: changes the values of a step that the pass multiplies by; gets its pre-activations, too.
        cut_h, cut_c: steps, in processing order, from which dh or dc does not go to the step before.
        silent: steps whose output gives no gradient.
        window: how many steps the gradient of each output goes back; 0 for all.
        dz: for each gate, the gate whose dz it gets.
        to_x, to_h: the same in the products with W and with U alone.
        padding: "counted" where padded steps are treated as any other, "without-y" where their outputs do not count.
        summed: arrays whose gradient sums other terms, and the weight of each step, from `valid` to (batch, steps).
        inputs: arrays whose gradient is a product with other inputs, and those as a changed direction.
    """

    step: Callable[[StepRecord, Array], StepRecord] | None = None
    cut_h: frozenset[int] = frozenset()
    cut_c: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()
    window: int = 0
    dz: tuple[int, ...] = _ORDER
    to_x: tuple[int, ...] = _ORDER
    to_h: tuple[int, ...] = _ORDER
    padding: Literal["", "counted", "without-y"] = ""
    summed: tuple[tuple[str, ...], Callable[[Array], Array]] | None = None
    inputs: tuple[tuple[str, ...], Callable[[WrongDirection], Direction]] | None = None

    @property
    def runs_alone(self) -> bool:
        """Whether it cannot run as one copy of many."""
        return bool(self.window or self.padding)


#: The rule of a cell without a mistake.
RIGHT = Rule()


@dataclass(frozen=True)
class WrongDirection(Direction):
    """One direction whose backward pass follows rules: one, or one for each copy.

    h_now: the observed h of each step, (batch, steps, output).
    """

    h_now: Array | None = None
    rules: tuple[Rule, ...] = (RIGHT,)

    @classmethod
    def of(cls, case: Case, layer: int, direction: int, x: Array, observed: Array) -> WrongDirection:
        """From inputs and observed outputs of this direction, aligned in time."""
        plain = Direction.of(case, layer, direction, x, observed)
        order = slice(None, None, -1 if case.spec.is_backward(direction) else 1)
        h_now = np.where(plain.valid[..., None], observed[:, order], plain.h_prev)
        return cls(plain.cell, plain.x, plain.h_prev, plain.c0, plain.valid, h_now)

    def following(self, rules: Sequence[Rule]) -> WrongDirection:
        """The same direction under rules: one, or one for each copy."""
        other = copy(self)  # keeps what is cached
        object.__setattr__(other, "rules", tuple(rules))
        return other

    @cached_property
    def plain_steps(self) -> list[StepRecord]:
        """Every step without rounding, one copy."""
        return Direction.forward(self, Roundings(PROFILES["float64"]))

    def forward(self, r: Roundings) -> list[StepRecord]:
        """Every step, as the rules change it."""
        steps = self.plain_steps if r.stream is None else super().forward(r)
        return [self._changed(step, self.z[:, t]) for t, step in enumerate(steps)]

    def _changed(self, step: StepRecord, z: Array) -> StepRecord:
        if all(rule.step is None for rule in self.rules):
            return step
        each = [step if rule.step is None else rule.step(step, z) for rule in self.rules]
        if len(each) == 1:
            return each[0]
        columns = zip(*each, strict=True)
        return StepRecord(*(c[0] if all(a is c[0] for a in c) else np.concatenate(c) for c in columns))

    def backward(self, steps: list[StepRecord], g_y: Array, g_h: Array, g_c: Array, r: Roundings) -> BackwardPass:
        """Back-propagate by the rules."""
        if self.rules[0].padding:
            everywhere = replace(self, rules=(RIGHT,), valid=np.ones_like(self.valid))
            counted = 1.0 if self.rules[0].padding == "counted" else self.valid[..., None]
            return everywhere.backward(steps, g_y * counted, g_h, g_c, r)
        if self.rules[0].window:
            return self._in_windows(steps, g_y, g_h, g_c, r)
        if any(rule.silent for rule in self.rules):
            g_y = g_y * self._per_rule(lambda rule: [float(t not in rule.silent) for t in range(g_y.shape[2])], 1)
        return super().backward(steps, g_y, g_h, g_c, r)

    def _in_windows(self, steps: list[StepRecord], g_y: Array, g_h: Array, g_c: Array, r: Roundings) -> BackwardPass:
        """The sum of one pass for each output.

        Final states belong to the last one.
        """
        steps_total, window, passes = len(steps), self.rules[0].window, []
        ends = steps_total - 1 - np.argmax(self.valid[:, ::-1], axis=1)
        for last in range(steps_total):
            start = frozenset({last - window + 1})
            rule = Rule(cut_h=start, cut_c=start, silent=frozenset(range(steps_total)) - {last})
            final = 1.0 * (ends == last)[:, None]
            passes.append(self.following([rule]).backward(steps, g_y, g_h * final, g_c * final, r))
        columns = zip(*passes, strict=True)
        return BackwardPass(*(None if c[0] is None else sum(c[1:], c[0]) for c in columns))  # type: ignore[arg-type]

    def step_back(self, now: StepRecord, dh: Array, dc: Array, r: Roundings) -> tuple[Array, Array]:
        """dz of this step, by the rules, and dc of the previous one."""
        dz, dc_prev = super().step_back(now, dh, dc, r)
        return self._reordered(dz, "dz"), dc_prev

    def through_kernel(self, dz: Array, matrix: Literal["W", "U"], r: Roundings) -> Array:
        """dz times W or U, in the rules' order of gates."""
        return super().through_kernel(self._reordered(dz, "to_x" if matrix == "W" else "to_h"), matrix, r)

    def _reordered(self, dz: Array, which: str) -> Array:
        orders = [getattr(rule, which) for rule in self.rules]
        if all(order == _ORDER for order in orders):
            return dz
        indices = np.array(orders).reshape(len(orders), *(1,) * (dz.ndim - 3), 4, 1)
        return np.take_along_axis(dz, indices, axis=-2)

    def carried(self, t: int, dh: Array, dc: Array) -> tuple[Array, Array]:
        """What of dh and dc goes from step t to the step before."""
        if any(t in rule.cut_h for rule in self.rules):
            dh = dh * self._per_rule(lambda rule: [float(t not in rule.cut_h)])
        if any(t in rule.cut_c for rule in self.rules):
            dc = dc * self._per_rule(lambda rule: [float(t not in rule.cut_c)])
        return dh, dc

    def _per_rule(self, number: Callable[[Rule], list[float]], more: int = 0) -> Array:
        """Numbers of each rule as a factor of (copies, batch, ..., width)."""
        factor = np.array([number(rule) for rule in self.rules])
        return factor.reshape(len(self.rules), 1, -1, *(1,) * more)

    def of_parameters(
        self, steps: list[StepRecord], back: BackwardPass, r: Roundings
    ) -> dict[str, tuple[Array, Array]]:
        """Gradient of each array by the rules, and standard deviation of its last sum."""
        found = super().of_parameters(steps, back, r)
        if any(rule.summed for rule in self.rules):
            weights = np.stack([self._weights(rule) for rule in self.rules])[..., None, None]
            other = super().of_parameters(steps, back._replace(dz=back.dz * weights), r)
            found = {name: self._chosen(name, pair, other[name]) for name, pair in found.items()}
        for k, rule in enumerate(self.rules):
            if rule.inputs is not None:
                self._multiply_by_others(rule.inputs, k, found, steps, back, r)
        return found

    def _weights(self, rule: Rule) -> Array:
        """The weight of each step in the sums of a rule, (batch, steps)."""
        ones = np.ones(self.valid.shape)
        return ones if rule.summed is None else ones * rule.summed[1](self.valid)

    def _chosen(self, name: str, plain: tuple[Array, Array], weighted: tuple[Array, Array]) -> tuple[Array, Array]:
        """Of each copy, the sum with weights where its rule says so."""
        here = np.array([rule.summed is not None and name in rule.summed[0] for rule in self.rules])
        value = np.where(here.reshape(-1, *(1,) * plain[1].ndim), weighted[0], plain[0])
        return value, weighted[1] if here.all() else plain[1]

    def _multiply_by_others(
        self,
        inputs: tuple[tuple[str, ...], Callable[[WrongDirection], Direction]],
        index: int,
        found: dict[str, tuple[Array, Array]],
        steps: list[StepRecord],
        back: BackwardPass,
        r: Roundings,
    ) -> None:
        """Replace products in one rule's copy, or in all under one rule."""
        names, change = inputs
        if len(self.rules) == 1:
            found.update({n: p for n, p in Direction.of_parameters(change(self), steps, back, r).items() if n in names})
            return
        alone = back._replace(dz=back.dz[index : index + 1], dr=None)
        other = Direction.of_parameters(change(self), steps, alone, Roundings(r.profile))
        for name in names:
            value = found[name][0].copy()
            value[index] = other[name][0][0]
            found[name] = value, found[name][1]


#: How the gradients of a layer's inputs become that of its outputs below: all directions' -> one.
Join = Callable[[int, list[Array]], Array]


@dataclass(frozen=True)
class WrongStack(Stack):
    """A stack in which some cells follow rules."""

    join: Join | None = None

    @classmethod
    def right(cls, case: Case, outputs: dict[int, Array]) -> WrongStack:
        """The stack without a mistake."""
        stack = Stack.of(case, outputs, WrongDirection)
        return cls(case, stack.layers, stack.loss)

    def with_rules(self, rules: Sequence[Rule], cells: Collection[tuple[int, int]]) -> WrongStack:
        """The stack whose given cells follow rules: one, or one for each copy."""
        layers = [
            [d.following(rules) if (k, n) in cells and isinstance(d, WrongDirection) else d for n, d in enumerate(row)]
            for k, row in enumerate(self.layers)
        ]
        return replace(self, layers=layers)

    def with_loss(self, loss: Cotangents) -> WrongStack:
        """The stack with the gradient of another loss."""
        return replace(self, loss=loss)

    def with_join(self, join: Join) -> WrongStack:
        """The stack that joins directions in another way."""
        return replace(self, join=join)

    def joined(self, layer: int, below: list[Array], r: Roundings) -> Array:
        """The gradient of a layer's inputs."""
        return super().joined(layer, below, r) if self.join is None else self.join(layer, below)
