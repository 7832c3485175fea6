"""Parameter counts by layout, explained by the canonical formula."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..display import Shown, Summary
from ..model import LSTMSpec
from ..model.spec import expected_shapes
from .table import layout_named


@dataclass(frozen=True)
class ParameterCount(Shown):
    """A count with its breakdown.

    Attributes:
        total: number of trainable parameters.
        by_tensor: the same by canonical array: W, U, b, b_r, peephole, projection.
        explanation: one sentence relating the total to the canonical formula 4((x+h)h+h).
    """

    total: int
    by_tensor: dict[str, int]
    explanation: str

    def summary(self) -> Summary:
        """The total, a row for each array, and the formula."""
        rows = tuple((name, f"{size:,}") for name, size in self.by_tensor.items())
        return Summary(f"{self.total:,} parameters", rows=rows, notes=(self.explanation,))


def count_parameters(spec: LSTMSpec, layout: str = "keras") -> ParameterCount:
    """Count the parameters of an LSTM with a layout's bias scheme.

    Raises:
        SpecError: for a layout that is not in the table.

    >>> count_parameters(LSTMSpec(input_size=1, hidden_size=1), layout="keras").total
    12
    >>> count_parameters(LSTMSpec(input_size=1, hidden_size=1), layout="torch").total
    16
    """
    row = layout_named(layout)
    stored = spec if spec.bias == "none" else replace(spec, bias=row.bias)
    by_tensor: dict[str, int] = {}
    for layer in range(spec.num_layers):
        for name, shape in expected_shapes(stored, layer).items():
            by_tensor[name] = by_tensor.get(name, 0) + math.prod(shape) * spec.num_directions
    total = sum(by_tensor.values())
    return ParameterCount(total, by_tensor, explain_count(spec, total))


def explain_count(spec: LSTMSpec, native: int) -> str:
    """One sentence that relates a framework's count to the canonical one.

    >>> explain_count(LSTMSpec(input_size=1, hidden_size=1), 16)
    '16 = canonical 12 + 4, a second bias of 4h = 4 for each of 1 layer and direction'
    """
    canonical = spec.canonical_count
    cells = spec.num_layers * spec.num_directions
    second = 4 * spec.hidden_size * cells
    where = f"{cells} layer and direction" if cells == 1 else f"{cells} layers and directions"
    if native == canonical:
        return f"{native} = {formula(spec)}, the canonical count"
    if spec.bias != "none" and native == canonical + second:
        return (
            f"{native} = canonical {canonical} + {second}, "
            f"a second bias of 4h = {4 * spec.hidden_size} for each of {where}"
        )
    return f"{native} differs from the canonical {canonical} by {native - canonical:+d}, which no bias scheme explains"


def formula(spec: LSTMSpec) -> str:
    """The formula of the canonical count, layer by layer.

    >>> formula(LSTMSpec(input_size=2308, hidden_size=32))
    '4((2308+32)*32+32)'
    """
    terms = []
    for layer in range(spec.num_layers):
        x, h, r = spec.layer_input_size(layer), spec.hidden_size, spec.output_size
        inner = f"({x}+{r})*{h}" + (f"+{h}" if spec.bias != "none" else "")
        term = f"4({inner})" + (f"+3*{h}" if spec.peepholes else "") + (f"+{r}*{h}" if spec.proj_size else "")
        grouped = f"({term})" if "+3*" in term or spec.proj_size else term
        terms.append(f"2*{grouped}" if spec.bidirectional else term)
    return " + ".join(terms)
