"""Names and order of the arrays of a stack in a layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..arrays import Array
from ..errors import SpecError
from ..model import GATES
from .table import Layout, Tensor

#: A deeper stack is a mistake in the names.
MAX_LAYERS = 512


def tensor_names(
    layout: Layout, tensor: Tensor, layer: int, direction: int, num_layers: int, num_directions: int
) -> list[str]:
    """Names of one tensor: one, or one per gate or diagonal where stored separately."""
    only, template = layout.layer_names
    layer_name = only if num_layers == 1 else template.format(k=layer, _k=f"_{layer}" if layer else "")
    direction_name = layout.directions[0 if num_directions == 1 else 1 + direction]
    gates: tuple[str, ...] = tensor.gate_names or layout.gate_names
    if tensor.parts == ("peephole",):
        gates = tuple(gates[GATES.index(gate)] for gate in layout.peephole_order)
    if "{gate}" not in tensor.name:
        gates = ("",)
    return [tensor.name.format(layer=layer_name, direction=direction_name, gate=gate) for gate in gates]


def all_names(layout: Layout, num_layers: int, num_directions: int) -> Iterator[tuple[Tensor, list[str]]]:
    """Every tensor of a stack with its names; directions on an axis share theirs."""
    for layer in range(num_layers):
        for direction in range(1 if layout.direction_axis else num_directions):
            for tensor in layout.tensors:
                yield tensor, tensor_names(layout, tensor, layer, direction, num_layers, num_directions)


def stack_from_names(layout: Layout, names: Iterable[str], axis_directions: int = 1) -> tuple[int, int]:
    """Number of layers and directions of a stack with these names."""
    given = set(names)
    best: tuple[int, int, int] = (0, 0, 0)
    for num_directions in (axis_directions,) if layout.direction_axis else (1, 2):
        for num_layers in range(1, MAX_LAYERS):
            expected = list(all_names(layout, num_layers, num_directions))
            names = [name for _, ns in expected for name in ns]
            if len(names) > len(set(names)):
                break  # the layout has no names for so many layers or directions
            required = {n for tensor, ns in expected if {"W", "U"} & set(tensor.parts) for n in ns}
            if required <= given:
                best = max(best, (len(given & set(names)), num_layers, num_directions))
            elif num_layers > 1:
                break
    used, num_layers, num_directions = best
    if not used:
        example = sorted({n for _, ns in all_names(layout, 1, axis_directions) for n in ns})
        raise SpecError(
            f"layout {layout.name}: the arrays are named {_listing(given)}, "
            f"but a single layer needs names such as {_listing(example)}"
        )
    extra = given - {n for _, ns in all_names(layout, num_layers, num_directions) for n in ns}
    if extra:
        raise SpecError(
            f"layout {layout.name}: {_listing(extra)} left over after reading {num_layers} layers of {num_directions} "
            "directions; remove them or pass prefix="
        )
    return num_layers, num_directions


def _listing(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:8]) + (f" and {len(ordered) - 8} more" if len(ordered) > 8 else "") or "nothing"


def storage_order(layout: Layout) -> list[int]:
    """Canonical index of each stored gate."""
    return [GATES.index(gate) for gate in layout.order]


def in_order(blocks: Array, order: list[int]) -> Array:
    """The blocks in this order, copied only if that changes anything."""
    return blocks if order == list(range(len(order))) or not any(blocks.strides) else blocks[order]


def shift_forget(bias: Array, constant: float) -> Array:
    """A bias with a constant added to its forget gate."""
    shifted = bias.copy()
    shifted[1] += bias.dtype.type(constant)
    return shifted
