"""The families of mistakes with one free number, as rows of data.

Each is a change of a cell along one number p; at p = 0 the cell is honest, but for clips, which are honest at infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arrays import Array
from ...model import Case, CellWeights, LSTMSpec, LSTMWeights
from ..mistake import Mistake, Outputs, changed_case, with_unchecked_spec

#: Two changes that differ by less than this share of themselves are the same.
_SAME_SHARE = 0.02
#: The gates of the three peepholes.
_PEEPHOLES = (0, 1, 3)

Cells = tuple[tuple[int, int], ...]

_GATES = {"i": (0,), "f": (1,), "g": (2,), "o": (3,), "": (0, 1, 2, 3), "i, f, o": (0, 1, 3)}
_ARRAYS = {"W": "input kernel W", "U": "recurrent kernel U", "b": "bias", "z": "pre-activations"}
#: Factors less one that are tried first: they bracket what people write.
_FACTORS = (-2.0, -1.5, -1.0, -0.7, -0.5, -0.3, -0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0,
            1.5, 2.0, 3.0, 5.0, 9.0, 24.0, 99.0)  # fmt: skip
_SHRINKING = tuple(value for value in _FACTORS if abs(value) <= 1.0)
_CLIPS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0,
          12.0, 15.0, 20.0)  # fmt: skip


@dataclass(frozen=True)
class DecayingSpec(LSTMSpec):
    """An LSTM whose c is multiplied by a factor at each step."""

    factor: float = 1.0

    @property
    def cell_factor(self) -> float:
        """Factor on each new c."""
        return self.factor


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        kind: W, U, b or z (times 1 + p), constant (p on the bias), peephole, c or h (times 1 + p), y (the same, but
            not fed back), cell_clip, gate_clip.
        where: the gates in words; empty for all of them.
        start: values of p that are tried first.
    """

    kind: str
    where: str = ""
    start: tuple[float, ...] = _FACTORS

    @property
    def id(self) -> str:
        """Its name in reports."""
        words = {"constant": "bias-shifted", "cell_clip": "cell-clipped", "gate_clip": "gates-clipped"}
        name = words.get(self.kind, f"{self.kind.lower()}-scaled")
        return "-".join(["number", name, *([self.where.replace(", ", "")] if self.where else [])])

    @property
    def gates(self) -> tuple[int, ...]:
        """Which of i, f, g, o it changes."""
        return _GATES[self.where]

    @property
    def peepholes(self) -> list[int]:
        """Which of the peepholes of i, f, o belong to these gates."""
        return [row for row, gate in enumerate(_PEEPHOLES) if gate in self.gates]

    @property
    def is_clip(self) -> bool:
        """Whether p is a limit rather than a distance from the honest cell."""
        return self.kind in ("cell_clip", "gate_clip")

    def allows(self, p: float) -> bool:
        """Whether p makes an LSTM: c and h times a positive factor."""
        return math.isfinite(p) and (self.kind not in ("c", "h", "y") or p > -1.0)

    def value(self, p: float) -> float:
        """The factor, constant or limit that p stands for."""
        return abs(p) if self.is_clip else p if self.kind == "constant" else 1.0 + p

    def title(self, number: str, *, of_inputs: bool = False) -> str:
        """What happened; `of_inputs`: whether scaled inputs are the same thing."""
        gates = f" of gate{'s' if ',' in self.where else ''} {self.where}" if self.where else ""
        if of_inputs and self.kind == "W" and not self.where:
            return f"inputs, or the input kernel W, times {number}"
        if self.kind in _ARRAYS:
            return f"{_ARRAYS[self.kind]}{gates} times {number}"
        return {
            "constant": f"{number} added to the bias{gates or ' of every gate'}",
            "peephole": f"peephole{gates or 's'} times {number}",
            "c": f"cell state c times {number} at each step",
            "h": f"output h times {number} at each step",
            "y": f"outputs y times {number}, states not",
            "cell_clip": f"cell state clipped to +/-{number}",
            "gate_clip": f"pre-activations clipped to +/-{number}",
        }[self.kind]

    def mistake(self, p: float, number: str, cells: Cells | None, spec: LSTMSpec) -> Mistake:
        """The mistake with this number, in these cells or in all."""
        first = tuple((0, direction) for direction in range(spec.num_directions))
        of_inputs = spec.num_layers == 1 if cells is None else cells == first
        places = "" if cells is None or (of_inputs and self.kind == "W") else f", in {_in_words(cells)} alone"
        entry = Mistake(
            id=self.id,
            family="number",
            title=self.title(number, of_inputs=of_inputs) + places,
            explanation="A number of the implementation differs from that of the weights or the spec.",
            fix=_FIXES.get(
                self.kind, f"Look where {_ARRAYS.get(self.kind, 'this')} is scaled, and take the factor out."
            ),
        )
        if self.kind == "y":
            return replace(entry, outputs=_times(1.0 + p, _is_no_output), undo=_times(1.0 / (1.0 + p), _is_no_output))
        if self.kind == "h":
            outputs, undo = _times(1.0 + p, _is_cell), _times(1.0 / (1.0 + p), _is_cell)
            case = _h0_divided(1.0 + p)
            return replace(entry, weights=self._weights(p, cells), case=case, outputs=outputs, undo=undo)
        return replace(entry, weights=self._weights(p, cells))

    def _weights(self, p: float, cells: Cells | None) -> Callable[[LSTMWeights], LSTMWeights | None]:
        def change(weights: LSTMWeights) -> LSTMWeights | None:
            spec = weights.spec
            if self.is_clip:
                return None if cells is not None else with_unchecked_spec(weights, _clipped(spec, self.kind, abs(p)))
            if self.kind == "c":
                whole = DecayingSpec(**spec.to_dict(), factor=1.0 + p)
                return None if cells is not None else with_unchecked_spec(weights, whole)
            if self.kind == "constant" and spec.bias == "none":
                spec = replace(spec, bias="single")
            rows = [
                [
                    self._cell(cell, p if cells is None or (layer, d) in cells else 0.0)
                    for d, cell in enumerate(row)
                ]
                for layer, row in enumerate(weights.layers)
            ]  # fmt: skip
            return LSTMWeights(spec, tuple(map(tuple, rows)), "float64")

        return change

    def _cell(self, cell: CellWeights, p: float) -> CellWeights:
        """The cell at p, in float64."""
        arrays: dict[str, Any] = {name: np.array(array, np.float64) for name, array in cell.items()}
        gates = list(self.gates)
        if self.kind == "constant":
            arrays.setdefault("b", np.zeros(cell.W.shape[:2]))[gates] += p
        elif self.kind == "peephole":
            arrays["peephole"][self.peepholes] *= 1.0 + p
        else:
            names = {"z": ("W", "U", "b", "b_r"), "b": ("b", "b_r"), "h": ("U",)}.get(self.kind, (self.kind,))
            for name in names:
                if name in arrays:
                    arrays[name][gates] *= 1.0 + p
            if self.kind == "z" and "peephole" in arrays:
                arrays["peephole"][self.peepholes] *= 1.0 + p
        return CellWeights(**arrays)


def _clipped(spec: LSTMSpec, kind: str, limit: float) -> LSTMSpec:
    return replace(spec, cell_clip=limit) if kind == "cell_clip" else replace(spec, gate_clip=limit)


def _is_cell(name: str) -> bool:
    return name == "c_n"


def _is_no_output(name: str) -> bool:
    return name not in ("y", "last")


def _in_words(cells: Cells) -> str:
    return ", ".join(f"layer {layer} {'backward' if direction else 'forward'}" for layer, direction in cells)


def _h0_divided(factor: float) -> Callable[[Case], Case | None]:
    """The initial h that is given is not scaled."""

    def change(case: Case) -> Case | None:
        return case if case.h0 is None else replace(case, h0=np.asarray(case.h0, np.float64) / factor)

    return change


def _times(factor: float, spared: Callable[[str], bool]) -> Callable[[Outputs, Case], Outputs | None]:
    """Every quantity times a factor, but for those that are spared."""

    def change(outputs: Outputs, case: Case) -> Outputs | None:
        return {name: array if spared(name) else array * factor for name, array in outputs.items()}

    return change


_FIXES = {
    "constant": "Take the constant out, or fold it into the stored bias once.",
    "cell_clip": "Set the clip of the cell state as the weights were trained, or leave it out.",
    "gate_clip": "Set the clip of the pre-activations as the weights were trained, or leave it out.",
    "c": "Look for a decay, a leak or zoneout of the cell state.",
    "h": "Look where the output is scaled before it is fed back.",
}


def families(spec: LSTMSpec, *, biased: bool) -> list[Family]:
    """The families that a spec can have; `biased`: whether it has biases."""
    found = [Family(kind, where) for kind in ("W", "U", "z", *(("b",) if biased else ())) for where in _GATES]
    found += [Family("constant", where) for where in _GATES if where != "i, f, o"]
    if spec.peepholes:
        found += [Family("peephole", where) for where in ("", "i", "f", "o")]
    found += [Family("c", start=_SHRINKING), Family("h", start=_SHRINKING), Family("y", start=_SHRINKING)]
    clips = (Family("cell_clip", start=_CLIPS), Family("gate_clip", start=_CLIPS))
    return found + [clip for clip in clips if getattr(spec, clip.kind) is None]


def pre_activation_change(family: Family, parts: dict[str, Array]) -> Array | None:
    """The change of pre-activations per unit of p; None where there is none.

    The result is (steps, batch, 4, units). `parts`: W (W x), U (U h), b (the bias) and constant (ones).
    """
    part = parts["W"] + parts["U"] + parts["b"] if family.kind == "z" else parts.get(family.kind)
    if part is None:
        return None
    change = np.zeros_like(part)
    gates = list(family.gates)
    change[:, :, gates] = part[:, :, gates]
    return change


#: The logarithm of how many families are tried.
LOG_FAMILIES = math.log(len(families(LSTMSpec(input_size=1, hidden_size=1, peepholes=True), biased=True)))


def same_change(a: Mistake, b: Mistake, case: Case) -> bool:
    """Whether two mistakes change weights and clips alike, as far as numbers are known.

    The same outputs would not do: with tiny weights, gate g alone gives nearly those of all gates.
    """
    if a.outputs is not None or b.outputs is not None:
        return a.id == b.id
    first, second = (changed_case((mistake,), case) for mistake in (a, b))
    if first is None or second is None or not _same_spec(first.spec, second.spec):
        return False
    honest, one, other = (_arrays(changed.weights) for changed in (case, first, second))
    return all(
        bool((np.abs(one[name] - other[name]) <= _SAME_SHARE * _effect(honest.get(name), one[name], other[name])).all())
        for name in one
    )


def _effect(honest: Array | None, one: Array, other: Array) -> Array:
    before = np.zeros_like(one) if honest is None else honest
    effect: Array = np.maximum(np.abs(one - before), np.abs(other - before))
    return effect


def _arrays(weights: LSTMWeights) -> dict[str, Array]:
    """Every array in float64, biases as their sum."""
    arrays: dict[str, Array] = {}
    for layer, direction, cell in weights.cells():
        arrays[f"{layer}.{direction}.bias"] = cell.total_bias
        arrays |= {
            f"{layer}.{direction}.{name}": np.asarray(array, np.float64)
            for name, array in cell.items()
            if name not in ("b", "b_r")
        }
    return arrays


def _same_spec(a: LSTMSpec, b: LSTMSpec) -> bool:
    """Whether two specs agree, clips and factors as far as they are known."""
    numbers = [(a.cell_clip, b.cell_clip, 0.0), (a.gate_clip, b.gate_clip, 0.0), (a.cell_factor, b.cell_factor, 1.0)]
    rest = [
        {
            name: value
            for name, value in spec.to_dict().items()
            if name not in ("cell_clip", "gate_clip", "bias", "factor")
        }
        for spec in (a, b)
    ]
    return rest[0] == rest[1] and all(_near(x, y, honest) for x, y, honest in numbers)


def _near(x: float | None, y: float | None, honest: float) -> bool:
    if x is None or y is None:
        return x is y
    return abs(x - y) <= _SAME_SHARE * max(abs(x - honest), abs(y - honest))
