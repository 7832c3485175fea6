"""The result of one run in canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..arrays import Array, frozen, to_numpy
from ..display import Shown, Summary
from ..errors import SpecError

#: The compared quantities in the order of the report.
QUANTITIES = ("y", "h_n", "c_n", "last", "merged")


@dataclass(frozen=True, eq=False)
class Result(Shown):
    """Outputs, final states and parameter count of one run, as far as observed.

    Attributes:
        y: outputs of the top layer at all steps, shape (batch, steps, directions * output), zero at padding, or held.
        h_n: final hidden states, shape (layers * directions, batch, output).
        c_n: final cell states, shape (layers * directions, batch, hidden).
        last: the output of the step that each direction processed last, shape (batch, directions * output).
        layer_outputs: outputs of the layers below the top, each of the shape of y.
        gradients: of the loss in `model/loss.py`, by canonical name, such as `0.0.W`, `x`, `h0`.
        native: the parameters read back from the framework, by the framework's names.
        parameter_count: number of trainable parameters as reported by the framework.
        computed_in: the precision in which the framework computed, where it differs from the requested one.
        note: why `computed_in` differs.
        environment: versions and settings.
        merged: the halves of y merged as `Case.merge` says, shape (batch, steps, output); None for a plain y.

    Raises:
        SpecError: when no quantity was observed.

    >>> Result(y=[[[0.5, 0.25]]]).y.shape
    (1, 1, 2)
    """

    y: Array | None = None
    h_n: Array | None = None
    c_n: Array | None = None
    last: Array | None = None
    layer_outputs: tuple[Array, ...] = ()
    gradients: Mapping[str, Array] = field(default_factory=dict)
    native: Mapping[str, Array] = field(default_factory=dict)
    parameter_count: int | None = None
    computed_in: str = ""
    note: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    merged: Array | None = None

    def summary(self) -> Summary:
        """What was observed, by name and shape."""
        observed = {name: getattr(self, name) for name in QUANTITIES}
        gradients = {f"gradient of {name}": array for name, array in self.gradients.items()}
        arrays = {name: array for name, array in {**observed, **gradients}.items() if array is not None}
        versions = ", ".join(f"{name} {value}" for name, value in self.environment.items())
        rows = tuple((name, str(array.shape)) for name, array in arrays.items())
        return Summary(f"outputs of {versions or 'an LSTM'}", rows=rows)

    def __post_init__(self) -> None:
        observed = [name for name in QUANTITIES if getattr(self, name) is not None]
        if not observed:
            raise SpecError(f"the result holds none of {', '.join(QUANTITIES)}; give at least one to compare")
        for name in observed:
            object.__setattr__(self, name, self._checked(name, getattr(self, name)))
        outputs = tuple(self._checked("layer_outputs", array) for array in self.layer_outputs)
        object.__setattr__(self, "layer_outputs", outputs)

    @staticmethod
    def _checked(name: str, value: Any) -> Array:
        array = to_numpy(value)
        if array.dtype.kind != "f":
            raise SpecError(f"{name} has type {array.dtype}, but should be floating-point numbers")
        return frozen(array)
