"""What the operators of an ONNX graph compute, for the search of LSTM steps.

Source: ONNX operators since 13; graphs of torch 2.13.0 (torch.onnx.export) and tf2onnx 1.17.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..tensor_info import TensorInfo
from ..written.flow import Made, Part
from .attributes import NotInSpecError, function_of
from .folding import Folding
from .scopes import Scope, Value

_KINDS = {"Add": "add", "Sum": "add", "Mul": "mul"}
#: Axes that the last one may be: exporters name it so where there are two or three.
_LAST = (-1, 1, 2)
_FUNCTIONS = ("Sigmoid", "Tanh", "Relu", "Softsign", "HardSigmoid")
#: Operators that hand on what they take.
SAME = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Dropout", "Cast")


class GraphFlow:
    """The data flow of a model."""

    def __init__(self, folding: Folding) -> None:
        self._folding = folding
        self._first: dict[int, Value] = {}

    def constant(self, value: Value) -> TensorInfo | None:
        """The stored tensor that a value is, or what is made of such."""
        found = self._folding.constant(value)
        return None if found is None else found.info

    def name(self, value: Value) -> str:
        """What the file calls a value and the tensors that it is made of."""
        found = self._folding.constant(value)
        return " ".join([value.name, *(found.leaves if found else ())])

    def is_state(self, value: Value, h: Value) -> bool:
        """Whether a value is a state of a loop that becomes h."""
        becomes = after(value)
        return becomes is not None and becomes[0] == h

    def made(self, value: Value) -> Made[Value]:
        """What makes a value."""
        node, output = value.scope.maker(value)
        if node is None:
            source = value.scope.steps.get(value.name)
            return Made("an input") if source is None else Made("step", (source[0],))
        if node.domain not in ("", "ai.onnx"):
            return Made(str(node.op_type))
        inputs = tuple(self._shared(one) for one in value.scope.inputs(node) if one is not None)
        kind = node.op_type
        if kind in _KINDS:
            return Made(_KINDS[kind], inputs)
        if kind in _FUNCTIONS:
            return _function(kind, inputs, value.scope.attributes(node))
        if kind in SAME:
            return Made("same", inputs[:1])
        if kind in ("MatMul", "Gemm"):
            return self._product(node, inputs, value.scope.attributes(node))
        if kind == "Concat" and value.scope.attributes(node).get("axis") in _LAST:
            return Made("joined", inputs)
        if kind == "Gather" and not value.scope.attributes(node).get("axis", 0):
            return Made("step", inputs[:1])
        part = self._part(value.scope, node, output)
        return Made(kind) if part is None else Made("part", inputs[:1], part=part)

    def _shared(self, value: Value) -> Value:
        """One value for a stored tensor, in all calls of its function."""
        tensor = value.scope.tensors.get(value.name)
        return value if tensor is None else self._first.setdefault(id(tensor), value)

    def _product(self, node: Any, inputs: tuple[Value, ...], attributes: dict[str, Any]) -> Made[Value]:
        scaled = attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0
        if len(inputs) < 2 or scaled or attributes.get("transA", 0) or self.constant(inputs[1]) is None:
            return Made(str(node.op_type))
        return Made("product", inputs[:3], transposed=bool(attributes.get("transB", 0)), name=str(node.name))

    def _part(self, scope: Scope, node: Any, output: int) -> Part | None:
        """The span of the last axis that a node takes."""
        attributes, inputs = scope.attributes(node), scope.inputs(node)
        if node.op_type == "Split" and attributes.get("axis", 0) in _LAST:
            sizes = attributes.get("split") or (self._folding.integers(inputs[1]) if len(inputs) > 1 else None)
            if sizes is None:
                return None if len(inputs) > 1 else Part(output, output + 1, len(node.output))
            return Part(sum(sizes[:output]), sum(sizes[: output + 1]))
        if node.op_type == "Slice":
            names = ("starts", "ends", "axes", "steps")
            by_name = dict(zip(names, scope.inputs(node)[1:], strict=False))
            spans = [attributes.get(name) or self._folding.integers(by_name.get(name)) or [] for name in names]
            starts, ends, axes, by = spans
            if len(starts) == len(ends) == len(axes) == 1 and axes[0] in _LAST and by in ([], [1]):
                return Part(starts[0], ends[0])
        return None


def _function(kind: str, inputs: tuple[Value, ...], attributes: dict[str, Any]) -> Made[Value]:
    numbers = [[attributes[name]] if name in attributes else [] for name in ("alpha", "beta")]
    try:
        return Made("function", inputs[:1], function_of(kind, *map(iter, numbers)))
    except NotInSpecError:
        return Made(kind)


def after(value: Value) -> tuple[Value, bool] | None:
    """What a state of a loop becomes, and whether a mask may keep it."""
    scope, name = value
    output = scope.carried.get(name)
    if output is None:
        return None
    new = scope.value(output)
    node, _ = new.scope.maker(new)
    if node is None:
        return new, False
    inputs = new.scope.inputs(node)
    if node.op_type == "Where" and len(inputs) == 3 and value in inputs[1:]:
        kept = next((one for one in inputs[1:] if one != value), None)
        return None if kept is None else (kept, True)
    masked = _blended(inputs, value) if node.op_type == "Add" and len(inputs) == 2 else None
    return (new, False) if masked is None else (masked, True)


def _blended(inputs: list[Value | None], state: Value) -> Value | None:
    """What a mask exchanges a state for, as tf2onnx writes it."""
    for first, second in (inputs, inputs[::-1]):
        for mask, new in _masked(first):
            for opposite, old in _masked(second):
                if old == state and (_is_not(mask, opposite) or _is_not(opposite, mask)):
                    return new
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
