"""An LSTM stack in PyTorch with mistakes planted in its differentiation, in float32.

Every mistake is made with autograd itself: detached tensors, functions with another backward, other pulls. The forward
pass is always right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lstm_xcheck.arrays import Array
from lstm_xcheck.model import Case, Result, cotangents

Tensor = Any
Gradients = dict[str, Array]


class Backward(torch.autograd.Function):  # type: ignore[misc]
    """A value with a backward function of one's own."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, value: Tensor, back: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.back = back
        return value.clone()

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, None, None]:
        return ctx.back(pull), None, None


def with_backward(given: Tensor, value: Tensor, back: Callable[[Tensor], Tensor]) -> Tensor:
    """`value`, whose gradient goes to `given` through `back`."""
    return Backward.apply(given, value.detach(), back)


@dataclass(frozen=True)
class Plan:
    """What is wrong with the differentiation of some cells.

    Attributes:
        cells: (layer, direction) of the cells concerned; None for all.
        states: h and c as they enter a step, from the number of the step in processing order and the steps.
        gate: an activated gate i, f, g, o or "tau", from its pre-activation and value.
        z: the pre-activations (batch, 4, hidden) as they are activated.
        to_h, to_x: the product with U or W, whose gradient goes to h_(t-1) or x_t alone.
        summed: weight of each step and row in the gradients of W, U and b, from array, step and steps.
        u_input: what dU multiplies by: "new" for h_t.
        padding: "", "counted" or "without-y".
        pulls: the cotangents.
        below: outputs of a layer as the layer above reads them.
        flipped: inputs of a layer as one direction reads them.
        after: finished gradients.
    """

    cells: frozenset[tuple[int, int]] | None = None
    states: Callable[[int, int, Tensor, Tensor], tuple[Tensor, Tensor]] = lambda t, steps, h, c: (h, c)
    gate: Callable[[str, Tensor, Tensor], Tensor] = lambda name, z, a: a
    z: Callable[[Tensor], Tensor] = lambda z: z
    to_h: Callable[[Tensor], Tensor] | None = None
    to_x: Callable[[Tensor], Tensor] | None = None
    summed: Callable[[str, int, int, int], Array | None] = lambda name, t, steps, batch: None
    u_input: str = ""
    padding: str = ""
    pulls: Callable[[Any, Case], Any] = lambda pulls, case: pulls
    below: Callable[[Tensor], Tensor] = lambda y: y
    flipped: Callable[[int, Tensor], Tensor] = lambda direction, x: x
    after: Callable[[Gradients, Case], Gradients] = lambda gradients, case: gradients
    honest_h: dict[tuple[int, int], list[Tensor]] | None = None


RIGHT = Plan()


def run(case: Case, plan: Plan = RIGHT) -> Result:
    """Outputs, which are right, and gradients with the plan's mistake."""
    if plan.u_input and plan.honest_h is None:
        seen: dict[tuple[int, int], list[Tensor]] = {}
        with torch.no_grad():
            _outputs(case, _leaves(case), RIGHT, seen)
        plan = replace(plan, honest_h=seen)
    leaves = _leaves(case)
    seen = {}
    layers, h_n, c_n = _outputs(case, leaves, plan, seen)
    pulls = [torch.tensor(np.array(pull)) for pull in plan.pulls(cotangents(case), case)]
    targets = (layers[-1], h_n, c_n)
    found = torch.autograd.grad(targets, list(leaves.values()), pulls, materialize_grads=True)
    gradients = {name: gradient.numpy() for name, gradient in zip(leaves, found, strict=True)}
    y, h, c = (target.detach().numpy() for target in targets)
    lower = tuple(layer.detach().numpy() for layer in layers[:-1])
    return Result(y=y, h_n=h, c_n=c, layer_outputs=lower, gradients=plan.after(gradients, case))


def _leaves(case: Case) -> dict[str, Tensor]:
    arrays: dict[str, Any] = {}
    for layer, row in enumerate(case.weights.layers):
        for direction, cell in enumerate(row):
            for name, array in cell.items():
                arrays[f"{layer}.{direction}.{name}"] = array
    rows = case.spec.num_layers * case.spec.num_directions
    arrays["x"] = case.x
    for name in ("h0", "c0"):
        given = getattr(case, name)
        arrays[name] = np.zeros((rows, case.batch, case.spec.hidden_size), np.float32) if given is None else given
    return {name: torch.tensor(np.array(array), requires_grad=True) for name, array in arrays.items()}


def _outputs(
    case: Case, leaves: dict[str, Tensor], plan: Plan, seen: dict[tuple[int, int], list[Tensor]]
) -> tuple[list[Tensor], Tensor, Tensor]:
    x, layers, h_n, c_n = leaves["x"], [], [], []
    for layer in range(case.spec.num_layers):
        halves = []
        for direction in range(case.spec.num_directions):
            mine = plan if plan.cells is None or (layer, direction) in plan.cells else RIGHT
            mine = replace(mine, honest_h=plan.honest_h)
            read = plan.flipped(direction, x) if layer == 0 or plan.cells is None else x
            y, h, c = _direction(case, leaves, layer, direction, read, mine, seen)
            halves.append(y)
            h_n.append(h)
            c_n.append(c)
        layers.append(torch.cat(halves, -1))
        x = plan.below(layers[-1])
    return layers, torch.stack(h_n), torch.stack(c_n)


def _direction(
    case: Case,
    leaves: dict[str, Tensor],
    layer: int,
    direction: int,
    x: Tensor,
    plan: Plan,
    seen: dict[tuple[int, int], list[Tensor]],
) -> tuple[Tensor, Tensor, Tensor]:
    own = {name: leaves.get(f"{layer}.{direction}.{name}") for name in ("W", "U", "b", "b_r")}
    row = layer * case.spec.num_directions + direction
    h, c = leaves["h0"][row], leaves["c0"][row]
    times = list(range(case.steps))
    if case.spec.is_backward(direction):
        times.reverse()
    outputs: list[Tensor] = [None] * case.steps
    valid = torch.tensor(np.array(case.valid))
    seen[layer, direction] = []
    for t, time in enumerate(times):
        keep = valid[:, time, None]
        in_h, in_c = plan.states(t, case.steps, h, c)
        later = None if plan.honest_h is None or not plan.u_input else plan.honest_h[layer, direction][t]
        new_h, new_c = _step(own, plan, t, case, x[:, time], in_h, in_c, later)
        if plan.padding:
            h = with_backward(new_h, torch.where(keep, new_h, h), lambda pull: pull)
            c = with_backward(new_c, torch.where(keep, new_c, c), lambda pull: pull)
        else:
            h, c = torch.where(keep, new_h, h), torch.where(keep, new_c, c)
        seen[layer, direction].append(h.detach())
        zero = torch.zeros_like(h)
        if plan.padding == "counted":
            outputs[time] = with_backward(h, torch.where(keep, h, zero), lambda pull: pull)
        else:
            outputs[time] = torch.where(keep, h, zero)
    return torch.stack(outputs, 1), h, c


def _rows(weight: Array) -> Tensor:
    return torch.tensor(weight, dtype=torch.float32)[:, None, None]


def _step(
    own: dict[str, Tensor], plan: Plan, t: int, case: Case, x: Tensor, h: Tensor, c: Tensor, later: Tensor | None
) -> tuple[Tensor, Tensor]:
    zero = torch.zeros(case.batch, 4, case.spec.hidden_size)

    def product(name: str, vector: Tensor) -> Tensor:
        matrix, weight = own[name], plan.summed(name, t, case.steps, case.batch)
        change = plan.to_x if name == "W" else plan.to_h
        other = later if name == "U" and later is not None else vector.detach()
        if weight is None and change is None and later is None:
            return torch.einsum("ghk,bk->bgh", matrix, vector)
        through = torch.einsum("ghk,bk->bgh", matrix.detach(), vector)
        through = through if change is None else change(through)
        own_share = torch.einsum("ghk,bk->bgh", matrix - matrix.detach(), other)
        return through + own_share * (1.0 if weight is None else _rows(weight))

    def bias(name: str) -> Tensor:
        vector, weight = own[name], plan.summed("b", t, case.steps, case.batch)
        if vector is None:
            return zero
        if weight is None:
            return vector[None]
        return vector.detach()[None] + (vector - vector.detach())[None] * _rows(weight)

    z = plan.z(product("W", x) + product("U", h) + bias("b") + bias("b_r"))
    names, functions = "ifgo", (torch.sigmoid, torch.sigmoid, torch.tanh, torch.sigmoid)
    i, f, g, o = (plan.gate(n, z[:, k], fn(z[:, k])) for k, (n, fn) in enumerate(zip(names, functions, strict=True)))
    new_c = f * c + i * g
    return o * plan.gate("tau", new_c, torch.tanh(new_c)), new_c
