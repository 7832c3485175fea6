"""Mistakes to plant, with the id of the entry that names each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch

from lstm_xcheck.arrays import Array, round_to
from lstm_xcheck.model import Case
from lstm_xcheck.model.loss import Cotangents

from .planted import Gradients, Plan, Tensor, with_backward


def _cut(where: Callable[[int, int], bool], h: bool = True, c: bool = True) -> Plan:
    def states(t: int, steps: int, now_h: Tensor, now_c: Tensor) -> tuple[Tensor, Tensor]:
        cut = where(t, steps)
        return (now_h.detach() if cut and h else now_h), (now_c.detach() if cut and c else now_c)

    return Plan(states=states)


def _slope(names: str, slope: Callable[[Tensor, Tensor], Tensor]) -> Plan:
    """Gates whose gradient is multiplied by another slope, of value and pre-activation."""

    def gate(name: str, z: Tensor, a: Tensor) -> Tensor:
        if name not in names.split():
            return a
        factor = slope(a.detach(), z.detach())
        return with_backward(z, a, lambda pull: pull * factor)

    return Plan(gate=gate)


def _reordered(order: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    return lambda z: with_backward(z, z, lambda pull: pull[:, list(order)])


def _of_kinds(kinds: str, change: Callable[[Array], Array]) -> Plan:
    def after(gradients: Gradients, case: Case) -> Gradients:
        chosen = [name for name in gradients if name.rpartition(".")[2] in kinds.split()]
        return {**gradients, **{name: np.ascontiguousarray(change(gradients[name])) for name in chosen}}

    return Plan(after=after)


def _all(change: Callable[[Array, Case], Array]) -> Plan:
    return Plan(after=lambda gradients, case: {n: change(g, case).astype(np.float32) for n, g in gradients.items()})


def _pulls(**factors: float) -> Plan:
    return Plan(pulls=lambda loss, case: Cotangents(*(p * factors.get(n, 1.0) for n, p in loss._asdict().items())))


def _y(weight: Callable[[Case], Array]) -> Plan:
    return Plan(pulls=lambda loss, case: loss._replace(y=(loss.y * weight(case)).astype(np.float32)))


def _weights(names: str, weight: Callable[[int, int, int], Array]) -> Plan:
    return Plan(summed=lambda name, t, steps, batch: weight(t, steps, batch) if name in names.split() else None)


def _clip_norm(bound: float) -> Plan:
    def after(gradients: Gradients, case: Case) -> Gradients:
        norm = np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients.values()))
        return {n: g * np.float32(min(1.0, bound / norm)) for n, g in gradients.items()}

    return Plan(after=after)


def _exchanged(kind: str) -> Plan:
    def after(gradients: Gradients, case: Case) -> Gradients:
        def other(name: str) -> str:
            if "." not in name:
                return name
            layer, direction, array = name.split(".")
            if kind == "directions":
                return f"{layer}.{1 - int(direction)}.{array}"
            return f"{case.spec.num_layers - 1 - int(layer)}.{direction}.{array}"

        moved = {n: gradients[other(n)] for n in gradients}
        return {n: moved[n] if moved[n].shape == g.shape else g for n, g in gradients.items()}

    return Plan(after=after)


def _one_kind(kind: str, index: Any, value: float) -> Plan:
    def change(array: Array) -> Array:
        new = array.copy()
        new[index] *= value
        return new

    return _of_kinds(kind, change)


def _detached(gate: str) -> Plan:
    return Plan(gate=lambda name, z, a: a.detach() if name == gate else a)


def _gates(order: Sequence[str]) -> Callable[[Array], Array]:
    index = ["ifgo".index(gate) for gate in order]
    return lambda array: array[index]


def _divided(count: Callable[[Array], float], names: str = "y h_n c_n") -> Plan:
    """Some of the three sums of the loss, each divided by a count of its own."""

    def pulls(loss: Cotangents, case: Case) -> Cotangents:
        parts = loss._asdict()
        return Cotangents(*((p / count(p)).astype(np.float32) if n in names.split() else p for n, p in parts.items()))

    return Plan(pulls=pulls)


def _last_step(case: Case) -> Array:
    return 1.0 * (np.arange(case.steps) == case.steps - 1)[None, :, None]


def _outputs(case: Case) -> int:
    return case.batch * case.steps * case.spec.output_size * case.spec.num_directions


def _one(a: Tensor, z: Tensor) -> Tensor:
    return torch.ones_like(a)


def _tanh_of_value(a: Tensor, z: Tensor) -> Tensor:
    return 1 - torch.tanh(a) ** 2


def _sigmoid_of_value(a: Tensor, z: Tensor) -> Tensor:
    return torch.sigmoid(a) * (1 - torch.sigmoid(a))


_KINDS = {"": "W U b b_r", "W": "W", "U": "U", "b": "b b_r", "WU": "W U"}
#: Orders that are planted in some arrays alone.
_SOME_ORDERS = ("figo", "iofg", "gifo")

#: Name -> (ids of the catalogue that name it, the plan, what the case needs).
PLANS: dict[str, tuple[str, Plan, str]] = {
    "detached-h": ("gradient-detached-h", _cut(lambda t, n: True, c=False), ""),
    "detached-c": ("gradient-detached-c", _cut(lambda t, n: True, h=False), ""),
    "detached-both": ("gradient-detached", _cut(lambda t, n: True), ""),
    "detached-h-between": ("gradient-detached-h-between-steps", _cut(lambda t, n: t > 0, c=False), ""),
    "detached-c-between": ("gradient-detached-c-between-steps", _cut(lambda t, n: t > 0, h=False), ""),
    "detached-between": ("gradient-detached-between-steps", _cut(lambda t, n: t > 0), ""),
    "detached-h-at-last": ("gradient-cut-once-h", _cut(lambda t, n: t == n - 1, c=False), ""),
    "detached-c-at-last": ("gradient-cut-once-c", _cut(lambda t, n: t == n - 1, h=False), ""),
    "detached-at-last": ("gradient-cut-once", _cut(lambda t, n: t == n - 1), ""),
    "detached-in-the-middle": ("gradient-cut-once", _cut(lambda t, n: t == n // 2), ""),
    "initial-states-lost": ("gradient-cut-once", _cut(lambda t, n: t == 0), ""),
    "truncated-2": ("gradient-truncated", _cut(lambda t, n: t % 2 == 0), "steps>3"),
    "truncated-3": ("gradient-truncated", _cut(lambda t, n: t % 3 == 0), "steps>4"),
    "truncated-3-keep-initial": ("gradient-truncated", _cut(lambda t, n: t % 3 == 0 and t > 0), "steps>6"),
    "truncated-h-2": ("gradient-truncated-h", _cut(lambda t, n: t % 2 == 0, c=False), "steps>3"),
    "truncated-c-2": ("gradient-truncated-c", _cut(lambda t, n: t % 2 == 0, h=False), "steps>3"),
    "truncated-from-the-end": ("gradient-truncated", _cut(lambda t, n: (n - t) % 2 == 0), "steps>3"),
    **{f"detached-{n}": (f"gradient-detached-{n}", _detached(n), "") for n in "ifgo"},
    "detached-tau": ("gradient-detached-output", _detached("tau"), ""),
    "tanh-of-tanh": ("gradient-slope-tanh-of-value-output", _slope("tau", _tanh_of_value), ""),
    "tanh-of-tanh-g": ("gradient-slope-tanh-of-value-g", _slope("g", _tanh_of_value), ""),
    "tanh-of-tanh-both": ("gradient-slope-tanh-of-value-both-tanh", _slope("g tau", _tanh_of_value), ""),
    "sigmoid-for-tanh-g": ("gradient-slope-of-sigmoid-g", _slope("g", lambda a, z: a * (1 - a)), ""),
    "sigmoid-for-tanh-tau": ("gradient-slope-of-sigmoid-output", _slope("tau", lambda a, z: a * (1 - a)), ""),
    "tanh-for-sigmoid": ("gradient-slope-of-tanh-gates", _slope("i f o", lambda a, z: 1 - a * a), ""),
    "tanh-for-sigmoid-o": ("gradient-slope-of-tanh-o", _slope("o", lambda a, z: 1 - a * a), ""),
    "sigmoid-of-value": ("gradient-slope-sigmoid-of-value-gates", _slope("i f o", _sigmoid_of_value), ""),
    "no-slope-f": ("gradient-slope-one-f", _slope("f", _one), ""),
    "no-slope-gates": ("gradient-slope-one-gates", _slope("i f o", _one), ""),
    "no-slope-g": ("gradient-slope-one-g", _slope("g", _one), ""),
    "no-slope-tau": ("gradient-slope-one-output", _slope("tau", _one), ""),
    "slope-1-z2": ("gradient-slope-square-of-input-output", _slope("tau", lambda a, z: 1 - z * z), ""),
    "slope-z-1-z": ("gradient-slope-product-of-input-gates", _slope("i f o", lambda a, z: z * (1 - z)), ""),
    "slope-hard": ("gradient-slope-hard-2.5-gates", _slope("i f o", lambda a, z: 0.2 * (z.abs() < 2.5)), ""),
    "slope-hard-6": ("gradient-slope-hard-3-gates", _slope("i f o", lambda a, z: (z.abs() < 3) / 6), ""),
    **{
        f"pass-{a}{b}": (
            f"gradient-pass-gates-{''.join(o)}",
            Plan(z=_reordered(tuple("ifgo".index(g) for g in o))), "",
        )
        for a, b in ("if", "ig", "io", "fg", "fo", "go")
        for o in ["ifgo".translate(str.maketrans(a + b, b + a))]
    },
    "pass-figo-to-h": ("gradient-pass-gates-figo-to-h", Plan(to_h=_reordered((1, 0, 2, 3))), ""),
    "pass-iofg-to-x": ("gradient-pass-gates-iofg-to-x", Plan(to_x=_reordered((0, 3, 1, 2))), ""),
    "pass-products": (
        "gradient-pass-gates-ifog-products", Plan(to_x=_reordered((0, 1, 3, 2)), to_h=_reordered((0, 1, 3, 2))), "",
    ),
    **{
        f"gates-{''.join(o)}{k}": (
            f"gradient-gates-{''.join(o)}{'-' * bool(k)}{k.lower()}", _of_kinds(kinds, _gates(o)), "bias" * (k == "b"),
        )
        for o in list(permutations("ifgo"))[1:]
        for k, kinds in _KINDS.items()
        if k == "" or "".join(o) in _SOME_ORDERS
    },
    "U-by-new-h": ("gradient-u-by-new-h", Plan(u_input="new"), ""),
    "U-transposed": ("gradient-u-transposed", _of_kinds("U", lambda a: a.swapaxes(1, 2)), "hidden>1"),
    "U-reshaped": (
        "gradient-u-reshaped", _of_kinds("U", lambda a: a.reshape(-1, a.shape[-1]).T.reshape(a.shape)), "hidden>1",
    ),
    "mean-over-batch": ("gradient-mean-over-batch", _all(lambda g, case: g / case.batch), "batch>1"),
    "mean-over-steps": ("gradient-mean-over-steps", _all(lambda g, case: g / case.steps), ""),
    "mean-over-both": (
        "gradient-mean-over-batch-and-steps", _all(lambda g, case: g / (case.batch * case.steps)), "batch>1",
    ),
    "mean-over-outputs": ("gradient-mean-over-outputs", _all(lambda g, case: g / _outputs(case)), ""),
    "each-averaged": ("gradient-each-averaged", _divided(lambda part: part.size), ""),
    "y-averaged": ("gradient-y-averaged", _divided(lambda part: part.size, "y"), ""),
    "b-doubled": ("gradient-doubled", _of_kinds("b", lambda a: 2 * a), "bias"),
    "b_r-doubled": ("gradient-doubled", _of_kinds("b_r", lambda a: 2 * a), "split"),
    "biases-halved": ("gradient-halved", _of_kinds("b b_r", lambda a: a / 2), "split"),
    "all-doubled": ("gradient-doubled", _all(lambda g, case: 2 * g), ""),
    "sign-flipped": ("gradient-sign-flipped", _all(lambda g, case: -g), ""),
    "W-scaled": ("gradient-scaled", _of_kinds("W", lambda a: a * np.float32(1.37)), "numbers"),
    "U-sign": ("gradient-sign-flipped", _of_kinds("U", lambda a: -a), "numbers"),
    "all-scaled": ("gradient-scaled", _all(lambda g, case: g * np.float32(0.7313)), ""),
    "clipped-norm-1": ("gradient-clipped-by-norm", _clip_norm(1.0), ""),
    "clipped-value": ("gradient-clipped-by-value", _all(lambda g, case: np.clip(g, -0.5, 0.5)), "hidden>1"),
    "b-last-unit-missing": ("gradient-of-b-", _one_kind("b", (slice(None), -1), 0.0), "bias"),
    "x-first-step-zero": ("gradient-of-x-", _one_kind("x", (slice(None), 0), 0.0), ""),
    "h0-lost": ("gradient-of-h0-lost", _of_kinds("h0", np.zeros_like), ""),
    "c0-lost": ("gradient-of-c0-lost", _of_kinds("c0", np.zeros_like), ""),
    "b_r-lost": ("gradient-of-b_r-lost", _of_kinds("b_r", np.zeros_like), "split"),
    "h0-c0-exchanged": (
        "gradient-h0-c0-exchanged", Plan(after=lambda g, case: {**g, "h0": g["c0"], "c0": g["h0"]}), "",
    ),
    "h_n-not-added": ("gradient-h-n-missing", _pulls(h_n=0.0), ""),
    "c_n-not-added": ("gradient-c-n-missing", _pulls(c_n=0.0), ""),
    "final-not-added": ("gradient-final-states-missing", _pulls(h_n=0.0, c_n=0.0), ""),
    "y-not-added": ("gradient-y-missing", _pulls(y=0.0), ""),
    "h_n-twice": ("gradient-h-n-twice", _pulls(h_n=2.0), ""),
    "y-at-last-step": ("gradient-y-at-last-step-only", _y(_last_step), ""),
    "all-ones": ("gradient-all-ones", Plan(pulls=lambda loss, case: Cotangents(*(np.ones_like(p) for p in loss))), ""),
    "y-reversed": ("gradient-y-in-reverse", Plan(pulls=lambda loss, case: loss._replace(y=loss.y[:, ::-1].copy())), ""),
    "padding-counted": ("gradient-padding-counted", Plan(padding="counted"), "ragged"),
    "padding-without-y": ("gradient-padding-counted-without-y", Plan(padding="without-y"), "ragged"),
    "bfloat16": ("gradient-rounded-to-bfloat16", _all(lambda g, case: round_to(g, "bfloat16")), ""),
    "float16": ("gradient-rounded-to-float16", _all(lambda g, case: round_to(g, "float16")), ""),
    "directions-exchanged": ("gradient-directions-exchanged", _exchanged("directions"), "directions"),
    "layers-exchanged": ("gradient-layers-exchanged", _exchanged("layers"), "layers"),
    "detached-between-layers": ("gradient-detached-between-layers", Plan(below=lambda y: y.detach()), "layers"),
    "x-of-forward-only": (
        "gradient-forward-only", Plan(flipped=lambda d, x: x if d == 0 else x.detach()), "directions",
    ),
    "x-of-backward-not-flipped": (
        "gradient-backward-not-flipped",
        Plan(flipped=lambda d, x: x if d == 0 else with_backward(x, x, lambda pull: pull.flip(1))), "directions",
    ),
    "b-without-first-step": (
        "gradient-first-step-missing-b", _weights("b", lambda t, n, b: np.full(b, 1.0 * (t != 0))), "bias",
    ),
    "b-without-last-step": (
        "gradient-last-step-missing-b", _weights("b", lambda t, n, b: np.full(b, 1.0 * (t != n - 1))), "bias",
    ),
    "all-of-first-step": (
        "gradient-first-step-only", _weights("W U b", lambda t, n, b: np.full(b, 1.0 * (t == 0))), "",
    ),
    "W-of-first-step": ("gradient-first-step-only-w", _weights("W", lambda t, n, b: np.full(b, 1.0 * (t == 0))), ""),
    "all-of-last-row": ("gradient-last-row-only", _weights("W U b", lambda t, n, b: np.arange(b) == b - 1), "batch>1"),
    "x-reversed": ("gradient-x-reversed", _of_kinds("x", lambda a: a[:, ::-1]), ""),
}  # fmt: skip
