"""Weights that are read from their file on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .spec import LSTMSpec
from .weights import CellWeights, LSTMWeights

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
