"""A change of each layer's outputs before the next layer reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..arrays import Array
from ..model import Case

#: A permutation of a layer's outputs, (batch, steps, width).
OutputMap = Callable[[Array, Case], Array]


@dataclass(frozen=True)
class LayerMap:
    """A permutation of outputs, reported and read by the next layer.

    Attributes:
        change, undo: the permutation and its inverse. It is also applied to error bounds.
        spares_top: whether the outputs of the top layer are left as they are.
    """

    change: OutputMap
    undo: OutputMap
    spares_top: bool = False

    def concerns(self, case: Case, layer: int) -> bool:
        """Whether it changes the outputs of this layer."""
        return not (self.spares_top and layer == case.spec.num_layers - 1)
