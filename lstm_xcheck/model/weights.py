"""Weights of an LSTM in canonical form, gate order i, f, g, o."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import (
    STORAGE,
    Array,
    all_finite,
    fingerprint_in_order,
    frozen,
    is_sealed,
    own_copy,
    round_to,
    same_bits,
    sealed,
)
from ..display import Shown, Summary
from ..errors import SpecError
from .initializers import random_arrays
from .spec import GATES, LSTMSpec, expected_shapes


class GateArray(np.ndarray[Any, np.dtype[Any]]):
    """An array with gates on its first axis; `array["f"]` is the forget gate.

    >>> weights = LSTMWeights.random(LSTMSpec(input_size=1, hidden_size=1), seed=0)
    >>> weights.layers[0][0].W["i"].shape
    (1, 1)
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in GATES:
                raise SpecError(f"unknown gate {key!r}; expected one of {', '.join(GATES)}")
            return np.asarray(self)[GATES.index(key)]
        return super().__getitem__(key)


def _gates(array: Array) -> GateArray:
    return frozen(array).view(GateArray)


@dataclass(frozen=True, eq=False)
class CellWeights:
    """The parameters of one direction of one layer.

    H is the hidden, X the input and R the output width (H, or that of the projection).

    Attributes:
        W: input weights, shape (4, H, X).
        U: recurrent weights, shape (4, H, R).
        b: bias, shape (4, H), or None.
        b_r: second bias of a split scheme, shape (4, H), or None.
        peephole: diagonal weights of i, f, o, shape (3, H), or None.
        projection: shape (R, H), or None.
    """

    W: GateArray
    U: GateArray
    b: GateArray | None = None
    b_r: GateArray | None = None
    peephole: Array | None = None
    projection: Array | None = None

    def __post_init__(self) -> None:
        for name, array in self.items():
            view = _gates(array) if name in ("W", "U", "b", "b_r") else frozen(array)
            object.__setattr__(self, name, view)

    def items(self) -> Iterator[tuple[str, Array]]:
        """The arrays that are present, by name."""
        for field in fields(self):
            array = getattr(self, field.name)
            if array is not None:
                yield field.name, array

    def map(self, function: Any) -> CellWeights:
        """A new cell with `function` applied to every array."""
        return CellWeights(**{name: function(np.asarray(array)) for name, array in self.items()})

    @cached_property
    def total_bias(self) -> Array:
        """b + b_r in float64, zeros where there is none, shape (4, H)."""
        total = np.zeros(self.W.shape[:2])
        for bias in (self.b, self.b_r):
            if bias is not None:
                total = total + np.asarray(bias, dtype=np.float64)
        return total


#: Attribute for the precision in which a cell was checked, so that regrouped layers are not checked again.
_CHECKED = "_checked_as"


def checked_cell(spec: LSTMSpec, layer: int, direction: int, cell: CellWeights, dtype: str) -> CellWeights:
    """The cell rounded and checked; arrays that others can write to are copied.

    Raises:
        SpecError: when an array is missing, has another shape, or holds NaN or infinity.
    """
    check_shapes(spec, layer, direction, {name: array.shape for name, array in cell.items()})
    if cell.__dict__.get(_CHECKED) == dtype and all(is_sealed(array) for _, array in cell.items()):
        return cell
    stored = owned_cell(cell, dtype)
    for name, array in stored.items():
        if not all_finite(array):
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise SpecError(
                f"layer {layer} direction {direction}: {name}{list(where)} is {array[where]}, but every weight "
                "should be a finite number; the checkpoint is damaged or its training diverged"
            )
    object.__setattr__(stored, _CHECKED, dtype)
    return stored


def owned_cell(cell: CellWeights, dtype: str) -> CellWeights:
    """The cell rounded to a precision, with read-only arrays; not checked for NaN."""
    return cell.map(lambda array: _rounded_sealed(array, dtype))


def check_shapes(spec: LSTMSpec, layer: int, direction: int, actual: Mapping[str, tuple[int, ...]]) -> None:
    """Check which arrays a cell has, and their shapes.

    Raises:
        SpecError: for the first array that is missing, surplus or of another shape.
    """
    expected = expected_shapes(spec, layer)
    for name in sorted({*expected, *actual}):
        if expected.get(name) != actual.get(name):
            raise SpecError(
                f"layer {layer} direction {direction}: {name} has shape {actual.get(name, 'missing')}, "
                f"but should be {expected.get(name, 'absent')} for this spec"
            )


def same_cell(cell: CellWeights, twin: CellWeights) -> bool:
    """Whether two cells have the same arrays, types and bits."""
    ours, theirs = dict(cell.items()), dict(twin.items())
    return set(ours) == set(theirs) and all(same_bits(ours[name], theirs[name]) for name in ours)


def _rounded_sealed(array: Array, dtype: str) -> Array:
    """The array rounded to a precision and read-only; copied only where necessary."""
    if array.dtype != STORAGE.get(dtype):
        return sealed(round_to(array, dtype))
    if array.flags.c_contiguous and is_sealed(array) and (dtype != "bfloat16" or _is_bfloat16(array)):
        return array
    return sealed(round_to(array, dtype) if dtype == "bfloat16" else own_copy(array))


def _is_bfloat16(array: Array) -> bool:
    """Whether the lower half of every float32 is empty."""
    return not (array.view(np.uint32) & np.uint32(0xFFFF)).any()


@dataclass(frozen=True, eq=False)
class LSTMWeights(Shown):
    """All parameters of an LSTM: `layers[k][direction]`, direction 0 forward and 1 backward.

    `dtype` is the precision of the numbers: float64, float32, float16 or bfloat16 (kept exactly, in float32 arrays).

    Raises:
        SpecError: when an array is missing, has another shape, or holds NaN or infinity.

    >>> weights = LSTMWeights.random(LSTMSpec(input_size=2, hidden_size=3))
    >>> LSTMWeights.from_layout(weights.to_layout("torch"), "torch") == weights
    True
    """

    spec: LSTMSpec
    layers: tuple[tuple[CellWeights, ...], ...]
    dtype: str = "float64"

    def __post_init__(self) -> None:
        spec = self.spec
        if len(self.layers) != spec.num_layers or any(len(row) != spec.num_directions for row in self.layers):
            raise SpecError(
                f"weights have {len(self.layers)} layers of {[len(row) for row in self.layers]} directions, "
                f"but should have {spec.num_layers} of {spec.num_directions}"
            )
        stored = tuple(
            tuple(checked_cell(spec, layer, direction, cell, self.dtype) for direction, cell in enumerate(row))
            for layer, row in enumerate(self.layers)
        )
        object.__setattr__(self, "layers", stored)

    @classmethod
    def random(cls, spec: LSTMSpec, seed: int = 0, init: str = "probe", dtype: str = "float32") -> LSTMWeights:
        """Random weights, the same bits on every Python and NumPy.

        `init` is `probe` (designed to reveal every mistake), `keras`, `torch`, or a regime of
        `lstm_xcheck.model.initializers`.
        """
        layers = tuple(
            tuple(_random_cell(spec, layer, direction, seed, init) for direction in range(spec.num_directions))
            for layer in range(spec.num_layers)
        )
        return cls(spec, layers, dtype)

    @classmethod
    def from_layout(
        cls, arrays: Mapping[str, Any], layout: str, *, spec: LSTMSpec | None = None, prefix: str = ""
    ) -> LSTMWeights:
        """Weights from a framework's arrays; the inverse of `to_layout`. See `lstm_xcheck.layouts`."""
        from ..layouts.read import from_layout

        return from_layout(arrays, layout, spec=spec, prefix=prefix)

    def to_layout(self, layout: str, *, prefix: str = "") -> dict[str, Array]:
        """These weights as a framework stores them. See `lstm_xcheck.layouts`."""
        from ..layouts.write import to_layout

        return to_layout(self, layout, prefix=prefix)

    @classmethod
    def of_checked(cls, spec: LSTMSpec, layers: tuple[tuple[CellWeights, ...], ...], dtype: str) -> LSTMWeights:
        """Weights of checked cells: finite, of the right shapes, read-only."""
        weights = object.__new__(cls)
        for name, value in (("spec", spec), ("layers", layers), ("dtype", dtype)):
            object.__setattr__(weights, name, value)
        return weights

    def cell(self, layer: int, direction: int) -> CellWeights:
        """The parameters of one direction of one layer."""
        return self.layers[layer][direction]

    def cells(self) -> Iterator[tuple[int, int, CellWeights]]:
        """Every (layer, direction, cell)."""
        for layer in range(self.spec.num_layers):
            for direction in range(self.spec.num_directions):
                yield layer, direction, self.cell(layer, direction)

    def arrays(self) -> dict[str, Array]:
        """Every array by a name such as `0.1.W`, `layer.direction.name`."""
        return {f"{k}.{d}.{name}": np.asarray(array) for k, d, cell in self.cells() for name, array in cell.items()}

    def astype(self, dtype: str) -> LSTMWeights:
        """The same weights rounded to another precision."""
        return self if dtype == self.dtype else replace(self, dtype=dtype)

    def layer(self, index: int) -> LSTMWeights:
        """One layer of a stack."""
        return LSTMWeights(self.spec.layer(index), (self.layers[index],), self.dtype)

    @property
    def parameter_count(self) -> int:
        """Number of stored parameters."""
        spec = self.spec
        shapes = [shape for layer in range(spec.num_layers) for shape in expected_shapes(spec, layer).values()]
        return spec.num_directions * sum(math.prod(shape) for shape in shapes)

    def summary(self) -> Summary:
        """The sizes; no array is read."""
        sizes = f"input {self.spec.input_size}, hidden {self.spec.hidden_size}, layers {self.spec.num_layers}"
        return Summary(f"LSTM of {sizes}, {self.spec.kind}, {self.dtype}: {self.parameter_count:,} parameters")

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over spec-independent names, types, shapes and bytes."""
        return fingerprint_in_order(self._sorted_arrays())

    def _sorted_arrays(self) -> Iterator[tuple[str, Array]]:
        """The items of `arrays` sorted by name, one cell at a time."""
        places = [(k, d) for k in range(self.spec.num_layers) for d in range(self.spec.num_directions)]
        for layer, direction in sorted(places, key=lambda place: f"{place[0]}.{place[1]}."):
            for name, array in sorted(self.cell(layer, direction).items(), key=lambda item: item[0]):
                yield f"{layer}.{direction}.{name}", np.asarray(array)

    def __eq__(self, other: object) -> bool:
        """Whether spec, precision and bits are equal."""
        if not isinstance(other, LSTMWeights) or (self.spec, self.dtype) != (other.spec, other.dtype):
            return NotImplemented if not isinstance(other, LSTMWeights) else False
        return all(
            same_cell(cell, twin) for (_, _, cell), (_, _, twin) in zip(self.cells(), other.cells(), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


def _random_cell(spec: LSTMSpec, layer: int, direction: int, seed: int, init: str) -> CellWeights:
    arrays: dict[str, Any] = random_arrays(spec, layer, direction, seed, init)
    return CellWeights(**{k: v.view(GateArray) if k in ("W", "U", "b", "b_r") else v for k, v in arrays.items()})


#: Reads the cell of (layer, direction), rounded and checked.
ReadCell = Callable[[int, int], CellWeights]


class DeferredWeights(LSTMWeights):
    """LSTMWeights that are read on first use of `layers` and kept from then on.

    `cell`, `cells`, comparisons and the fingerprint read one cell at a time and keep none, so that a file larger than
    memory can be compared. Exceptions of reading, such as CheckpointError, are raised by the first use.
    """

    @classmethod
    def of(cls, spec: LSTMSpec, dtype: str, read: ReadCell) -> DeferredWeights:
        """Weights of this spec and precision whose cells `read` returns."""
        weights = object.__new__(cls)
        for name, value in (("spec", spec), ("dtype", dtype), ("_read", read)):
            object.__setattr__(weights, name, value)
        return weights

    def __getattr__(self, name: str) -> Any:
        """Read `layers` on first access."""
        if name != "layers":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        spec = self.spec
        layers = tuple(tuple(self.cell(k, d) for d in range(spec.num_directions)) for k in range(spec.num_layers))
        object.__setattr__(self, "layers", layers)
        return layers

    def cell(self, layer: int, direction: int) -> CellWeights:
        """The parameters of one direction of one layer, read unless `layers` is."""
        if "layers" in self.__dict__:
            return self.layers[layer][direction]
        read: ReadCell = self.__dict__["_read"]
        return read(layer, direction)

    def layer(self, index: int) -> LSTMWeights:
        """One layer of a stack, unread like this one."""
        if "layers" in self.__dict__:
            return super().layer(index)
        read: ReadCell = self.__dict__["_read"]
        return DeferredWeights.of(self.spec.layer(index), self.dtype, lambda _, direction: read(index, direction))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as plain LSTMWeights, since `read` belongs to its process."""
        return LSTMWeights, (self.spec, self.layers, self.dtype)
