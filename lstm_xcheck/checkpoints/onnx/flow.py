"""What the operators of an ONNX graph compute, for the search of LSTM steps.

Source: ONNX operators since 13; graphs of torch 2.13.0 (torch.onnx.export) and tf2onnx 1.17.0.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...layouts.onnx_node import NotInSpecError
from ..codecs.limits import FLOAT_SIZES
from ..tensor_info import TensorInfo
from ..written.flow import Made, Part
from .attributes import function_of, number_of
from .folding import Folding
from .scopes import Scope, Value
from .shapes import Shapes
from .states import is_constant

_KINDS = {"Add": "add", "Sum": "add", "Mul": "mul"}
#: How whole numbers such as the end of a part are computed.
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": operator.floordiv,
}  # fmt: skip
_MOST_STEPS = 16
#: Nothing in a model is as long.
_MOST = 1 << 40
_CLIPPING = ("Clip", "Min", "Max", "Mul", "Div")
_FUNCTIONS = ("Sigmoid", "Tanh", "Relu", "Softsign", "HardSigmoid")
#: Operators that may hand on what they take.
SAME = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Dropout", "Cast")


class Mask(NamedTuple):
    """Truth values, and whether a state changes where they are true."""

    value: Value
    changes: bool


class GraphFlow:
    """The data flow of a model."""

    def __init__(self, folding: Folding) -> None:
        self._folding, self.shapes = folding, Shapes(folding)
        self._first: dict[int, Value] = {}
        self._made: dict[Value, Made[Value]] = {}
        self._numbers: dict[Value, list[int]] = {}

    def constant(self, value: Value) -> TensorInfo | None:
        """The stored tensor that a value is, or what is made of such."""
        found = self._folding.constant(value)
        return None if found is None else found.info

    def name(self, value: Value) -> str:
        """What the file calls a value and the tensors that it is made of."""
        found = self._folding.constant(value)
        return " ".join([value.name, *(found.leaves if found else ())])

    def width(self, value: Value) -> int | None:
        """How long its last axis is, where that is sure."""
        return self.shapes.of(value).last

    def is_state(self, value: Value, h: Value) -> bool:
        """Whether a value is a state of a loop that becomes h."""
        becomes = after(value)
        return becomes is not None and becomes[0] == h

    def computed_by(self, value: Value) -> str:
        """The operator that computes a state; none where it is given or constant."""
        node, _ = value.scope.maker(value)
        return "" if node is None or is_constant(self._folding, value) else str(node.op_type)

    def becomes(self, value: Value) -> Value | None:
        """What a state of a loop is after a step; None for all else."""
        output = value.scope.carried.get(value.name)
        return None if output is None else value.scope.value(output)

    def made(self, value: Value) -> Made[Value]:
        """What makes a value."""
        if value not in self._made:
            self._made[value] = self._make(value)
        return self._made[value]

    def may_end_step(self, scope: Scope, node: Any) -> bool:
        """Whether a node multiplies what a function makes."""
        if node.op_type != "Mul" or not node.output:
            return False
        kinds = [getattr(scope.makers.get(name, (None, 0))[0], "op_type", "") for name in node.input]
        return any(kind in _FUNCTIONS for kind in kinds) or any(kind in SAME for kind in kinds)

    def _make(self, value: Value) -> Made[Value]:
        node, output = value.scope.maker(value)
        if node is None:
            source = value.scope.steps.get(value.name)
            return Made("an input") if source is None else Made("step", (source[0],))
        inputs = tuple(self._shared(one) for one in value.scope.inputs(node) if one is not None)
        if node.domain not in ("", "ai.onnx"):
            return Made(str(node.op_type), inputs)
        kind = node.op_type
        clipped = self._hard_sigmoid(value) if kind in _CLIPPING else None
        if clipped is not None:
            return clipped
        if kind in _KINDS:
            return Made(_KINDS[kind], inputs)
        if kind in _FUNCTIONS:
            return _function(kind, inputs, value.scope.attributes(node))
        if kind in SAME:
            return Made("same", inputs[:1]) if self.shapes.keeps(value.scope, node) else Made(kind, inputs)
        if kind in ("MatMul", "Gemm"):
            return self._product(node, inputs, value.scope.attributes(node))
        if kind == "Concat" and self._is_last(value.scope.attributes(node).get("axis"), inputs):
            return Made("joined", inputs)
        if kind == "Gather" and not value.scope.attributes(node).get("axis", 0):
            return Made("step", inputs[:1])
        part = self._part(value.scope, node, output)
        return Made(kind, inputs) if part is None else Made("part", inputs[:1], part=part)

    def _hard_sigmoid(self, value: Value) -> Made[Value] | None:
        """A hard sigmoid: clip(a x + b), or relu6(x + 3) / 6."""
        kind, first, second = self._operands(value)
        scale = {"Mul": second, "Div": 1 / second if second else None}.get(kind) if first is not None else None
        line, low, high = self._clipped(value if scale is None else first)
        if line is None or (low, high) != ((0, 1) if scale is None else (0, 6)):
            return None
        kind, inner, offset = self._operands(line)
        if kind != "Add" or offset is None:
            return None
        kind, given, factor = self._operands(inner)
        if scale is not None:
            given, factor = inner, scale
        elif kind != "Mul" or factor is None:
            return None
        numbers = [number_of(factor), number_of(offset if scale is None else offset * scale)]
        return Made("function", (given,), f"hard_sigmoid:{numbers[0]!r},{numbers[1]!r}") if given else None

    def _operands(self, value: Value | None) -> tuple[str, Value | None, float | None]:
        """An operator, the value and the number that it takes."""
        node = value.scope.maker(value)[0] if value is not None else None
        if value is None or node is None or len(node.input) != 2:
            return "", None, None
        first, second = value.scope.inputs(node)
        for one, other in ((first, second), (second, first)):
            number = self._scalar(other)
            if number is not None:
                return str(node.op_type), one, number
        return "", None, None

    def _clipped(self, value: Value | None) -> tuple[Value | None, float | None, float | None]:
        """What is clipped, and the bounds."""
        node = value.scope.maker(value)[0] if value is not None else None
        if value is not None and node is not None and node.op_type == "Clip":
            given, *bounds = value.scope.inputs(node)
            attributes = value.scope.attributes(node)
            low, high = (self._scalar(one) for one in (*bounds, None, None)[:2])
            return given, attributes.get("min", low), attributes.get("max", high)
        kind, inner, bound = self._operands(value)
        other, given, second = self._operands(inner)
        if {kind, other} != {"Min", "Max"}:
            return None, None, None
        return (given, bound, second) if kind == "Max" else (given, second, bound)

    def _scalar(self, value: Value | None) -> float | None:
        """The value of a constant of one floating number."""
        found = self._folding.constant(value)
        if found is None or found.info.dtype not in FLOAT_SIZES or math.prod(found.info.shape) != 1:
            return None
        return float(found.info.load().reshape(()))

    def _shared(self, value: Value) -> Value:
        """One value for a stored tensor, in all calls of its function."""
        tensor = value.scope.tensors.get(value.name)
        return value if tensor is None else self._first.setdefault(id(tensor), value)

    def _product(self, node: Any, inputs: tuple[Value, ...], attributes: dict[str, Any]) -> Made[Value]:
        scaled = attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0
        if len(inputs) < 2 or scaled or attributes.get("transA", 0):
            return Made(str(node.op_type), inputs)
        if self.constant(inputs[1]) is None:
            by = inputs[1].scope.maker(inputs[1])[0]
            return Made(f"{node.op_type} with what {by.op_type if by is not None else 'an input'} gives", inputs)
        return Made("product", inputs[:3], transposed=bool(attributes.get("transB", 0)), name=str(node.name))

    def _part(self, scope: Scope, node: Any, output: int) -> Part | None:
        """The span of the last axis that a node takes."""
        attributes, inputs = scope.attributes(node), scope.inputs(node)
        if node.op_type == "Split" and self.shapes.is_last(attributes.get("axis", 0), inputs[0]):
            sizes = attributes.get("split") or (self._folding.integers(inputs[1]) if len(inputs) > 1 else None)
            if sizes is None:
                return None if len(inputs) > 1 else Part(output, output + 1, len(node.output))
            return Part(sum(sizes[:output]), sum(sizes[: output + 1]))
        if node.op_type == "Slice":
            names = ("starts", "ends", "axes", "steps")
            by_name = dict(zip(names, scope.inputs(node)[1:], strict=False))
            spans = [attributes.get(name) or self._integers(by_name.get(name)) for name in names]
            starts, ends, axes, by = spans
            if (
                len(starts) == len(ends) == len(axes) == 1
                and self.shapes.is_last(axes[0], inputs[0])
                and by in ([], [1])
            ):
                return Part(starts[0], ends[0])
        return None

    def _integers(self, value: Value | None, steps: int = 0) -> list[int]:
        """Whole numbers: constants, or made of the width of pre-activations."""
        if value is None or steps > _MOST_STEPS:
            return []
        if value not in self._numbers:
            self._numbers[value] = []  # which a value that is made of itself stays
            known = self._folding.integers(value)
            numbers = self._computed(value, steps + 1) if known is None else known
            self._numbers[value] = numbers if all(abs(n) < _MOST for n in numbers) else []
        return self._numbers[value]

    def _computed(self, value: Value, steps: int) -> list[int]:
        node, _ = value.scope.maker(value)
        inputs = value.scope.inputs(node) if node is not None else []
        if node is None or not inputs or inputs[0] is None:
            return []
        source = inputs[0].scope.maker(inputs[0])[0]
        if node.op_type == "Gather" and len(inputs) == 2 and source is not None and source.op_type == "Shape":
            measured = inputs[0].scope.value(source.input[0])
            width, last = self.shapes.of(measured).last, self._integers(inputs[1], steps)
            return [width] if width is not None and len(last) == 1 and self.shapes.is_last(last[0], measured) else []
        given = [self._integers(one, steps) for one in inputs]
        if node.op_type in ("Unsqueeze", "Squeeze", "Cast", "Reshape") or (
            node.op_type == "Concat" and len(given) == 1
        ):
            return given[0]
        compute = _ARITHMETIC.get(node.op_type)
        if compute is None or len(given) != 2 or any(len(one) != 1 for one in given):
            return []
        return [compute(given[0][0], given[1][0])] if given[1][0] or node.op_type != "Div" else []

    def _is_last(self, axis: int | None, values: tuple[Value, ...]) -> bool:
        """Whether an axis is the last of values of equal rank."""
        return axis is not None and any(self.shapes.is_last(axis, value) for value in values)


def _function(kind: str, inputs: tuple[Value, ...], attributes: dict[str, Any]) -> Made[Value]:
    numbers = [[attributes[name]] if name in attributes else [] for name in ("alpha", "beta")]
    try:
        return Made("function", inputs[:1], function_of(kind, *map(iter, numbers)))
    except NotInSpecError:
        return Made(kind, inputs)


def past(value: Value) -> Value:
    """The value before what only hands it on."""
    for _ in range(_MOST_STEPS):
        node, _output = value.scope.maker(value)
        if node is None or node.op_type not in SAME:
            break
        value = value.scope.value(node.input[0])
    return value


def after(value: Value) -> tuple[Value, Mask | None] | None:
    """What a state of a loop becomes, and the mask that may keep it."""
    scope, name = value
    output = scope.carried.get(name)
    if output is None:
        return None
    new = past(scope.value(output))
    node, _ = new.scope.maker(new)
    if node is None:
        return new, None
    inputs = new.scope.inputs(node)
    if node.op_type == "Where" and len(inputs) == 3 and value in inputs[1:]:
        kept = next((one for one in inputs[1:] if one != value), None)
        mask = _mask(inputs[0], inputs[2] == value)
        return None if kept is None or mask is None else (past(kept), mask)
    masked = _blended(inputs, value) if node.op_type == "Add" and len(inputs) == 2 else None
    return (new, None) if masked is None else (past(masked[0]), masked[1])


def _mask(value: Value | None, changes: bool) -> Mask | None:
    """A mask past what repeats or negates it."""
    for _ in range(_MOST_STEPS):
        node = value.scope.maker(value)[0] if value is not None else None
        if value is None or node is None or node.op_type not in ("Tile", "Expand", "Not", "Identity"):
            break
        changes = changes != (node.op_type == "Not")
        value = value.scope.value(node.input[0])
    return None if value is None else Mask(value, changes)


def _blended(inputs: list[Value | None], state: Value) -> tuple[Value, Mask | None] | None:
    """What a mask exchanges a state for, as tf2onnx writes it."""
    for first, second in (inputs, inputs[::-1]):
        for mask, new in _masked(first):
            for opposite, old in _masked(second):
                if old == state and (_is_not(mask, opposite) or _is_not(opposite, mask)):
                    return new, _mask(mask, True)
    return None


def _masked(value: Value | None) -> Iterator[tuple[Value, Value]]:
    """A mask that is multiplied as a number, and what it is multiplied with."""
    node = value.scope.maker(value)[0] if value is not None else None
    inputs = value.scope.inputs(node) if value is not None and node is not None and node.op_type == "Mul" else []
    for mask, other in (inputs, inputs[::-1]) if len(inputs) == 2 else ():
        cast = mask.scope.maker(mask)[0] if mask is not None else None
        if mask is not None and other is not None and cast is not None and cast.op_type == "Cast":
            yield mask.scope.value(cast.input[0]), other


def _is_not(mask: Value, opposite: Value) -> bool:
    """Whether one truth value is made of the other."""
    node = mask.scope.maker(mask)[0]
    return node is not None and node.op_type == "Not" and mask.scope.value(node.input[0]) == opposite
