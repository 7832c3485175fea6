"""Gradients of a stack in float64, and how far honest roundings move them.

The spread is measured by Monte-Carlo rounding: sixteen copies of the computation, each with roundings of the backend's
precision drawn at every operation of the forward and the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Array
from ..model import Case, cotangents
from ..model.loss import Cotangents
from .backward import Direction
from .forward import forward
from .monte_carlo import Roundings
from .precision_profiles import PROFILES, Profile

#: Copies with roundings; their mean square is known to a third of its value, which the threshold allows for.
COPIES = 16
#: Copies at a time: at most so many numbers, and at least so many copies that their spread is known.
_MAX_NUMBERS, _MIN_COPIES = 2**24, 4

#: By name: (copies, ...), and the standard deviation of the last sum unless drawn.
Found = dict[str, tuple[Array, Array]]


@dataclass
class Gradients:
    """The gradients an honest backend gives.

    Attributes:
        value: by name, as `gradient_names` lists them.
        rms: root mean square of the changes by rounding, same names and shapes.
        near_kink: whether rounding decides which slope of a clip or kinked activation counts.
        peak: the largest intermediate number; beyond the precision's range nothing can be judged.
    """

    value: dict[str, Array]
    rms: dict[str, Array] = field(default_factory=dict)
    near_kink: bool = False
    peak: float = 0.0


def gradients(case: Case, outputs: Mapping[int, Array] | None = None, profile: Profile | None = None) -> Gradients:
    """Back-propagate the loss of `model/loss.py`.

    Args:
        outputs: observed outputs of each layer, (batch, steps, directions * output); by default those of the oracle.
        profile: the precision whose roundings are drawn; None for the values alone.

    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> sorted(gradients(Case.random(LSTMSpec(input_size=1, hidden_size=1), steps=5)).value)
    ['0.0.U', '0.0.W', '0.0.b', 'c0', 'h0', 'x']
    """
    if outputs is None:
        free = forward(case)
        outputs = dict(enumerate([*free.layer_outputs, np.asarray(free.y)]))
    return with_roundings(Stack.of(case, outputs).back_propagate, case, profile)


def with_roundings(back: Callable[[Roundings], Found], case: Case, profile: Profile | None) -> Gradients:
    """The gradients of a back-propagation, and how far roundings move them."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        plain = Roundings(profile or PROFILES["float64"])
        found = back(plain)
        result = Gradients({name: value[0] for name, (value, _) in found.items()}, peak=plain.peak)
        if profile is not None:
            squares = {name: COPIES * sigma**2 for name, (_, sigma) in found.items()}
            _add_roundings(back, case, profile, result, squares)
    return result


def _add_roundings(
    back: Callable[[Roundings], Found], case: Case, profile: Profile, result: Gradients, squares: dict[str, Array]
) -> None:
    made, size = 0, _copies_at_a_time(case)
    while made < COPIES:
        r = Roundings(profile, min(size, COPIES - made), stream=made)
        for name, (value, _) in back(r).items():
            squares[name] = squares[name] + ((value - result.value[name]) ** 2).sum(axis=0)
        result.near_kink |= r.near_kink
        made += r.copies
    result.rms = {name: np.sqrt(total / COPIES) for name, total in squares.items()}


def _copies_at_a_time(case: Case) -> int:
    spec = case.spec
    widest = max(spec.layer_input_size(layer) for layer in range(spec.num_layers)) + spec.output_size
    each = 4 * spec.hidden_size * widest + 16 * case.batch * case.steps * spec.hidden_size
    return int(np.clip(_MAX_NUMBERS // each, _MIN_COPIES, COPIES)) // _MIN_COPIES * _MIN_COPIES


@dataclass(frozen=True)
class Stack:
    """The directions of a case, `layers[layer][direction]`, along observed outputs."""

    case: Case
    layers: Sequence[Sequence[Direction]]
    loss: Cotangents

    @classmethod
    def of(cls, case: Case, outputs: Mapping[int, Array], kind: type[Direction] = Direction) -> Stack:
        """From the outputs of each layer, (batch, steps, directions * output)."""
        width, x, layers = case.spec.output_size, np.asarray(case.x, np.float64), []
        for layer in range(case.spec.num_layers):
            observed = np.asarray(outputs[layer], np.float64)
            halves = [observed[..., d * width : (d + 1) * width] for d in range(case.spec.num_directions)]
            layers.append([kind.of(case, layer, d, x, half) for d, half in enumerate(halves)])
            x = observed
        return cls(case, layers, cotangents(case))

    def back_propagate(self, r: Roundings) -> Found:
        """Every gradient by name."""
        spec, loss = self.case.spec, self.loss
        up, width = np.asarray(loss.y, np.float64)[None], spec.output_size
        found: Found = {}
        initial: dict[int, tuple[Array, Array]] = {}
        for layer in reversed(range(spec.num_layers)):
            below: list[Array] = []
            for d, direction in enumerate(self.layers[layer]):
                row, order = layer * spec.num_directions + d, self.order(d)
                steps = direction.forward(r)
                g_y = up[..., d * width : (d + 1) * width][:, :, ::order]
                g_h, g_c = (np.asarray(cotangent[row], np.float64) for cotangent in (loss.h_n, loss.c_n))
                back = direction.backward(steps, g_y, g_h, g_c, r)
                for name, pair in direction.of_parameters(steps, back, r).items():
                    if name != "b" or spec.bias != "none":
                        found[f"{layer}.{d}.{name}"] = pair
                below.append(back.dx[:, :, ::order])
                initial[row] = back.dh0, back.dc0
            up = self.joined(layer, below, r)
        data = {"x": up}
        for name, index in (("h0", 0), ("c0", 1)):
            data[name] = np.stack([initial[row][index] for row in sorted(initial)], axis=1)
        return {**found, **{name: (array, np.zeros(array.shape[1:])) for name, array in data.items()}}

    def order(self, direction: int) -> int:
        """-1 where a direction's steps are in reverse order."""
        return -1 if self.case.spec.is_backward(direction) else 1

    def joined(self, layer: int, below: list[Array], r: Roundings) -> Array:
        """The gradient of a layer's inputs, from those of its directions."""
        total = below[0] if len(below) == 1 else below[0] + below[1]
        return total if len(below) == 1 else r.rounded(total, r.profile.u * np.abs(total))
