"""Rank and last axis of values of an ONNX graph, where sure.

Source: ONNX operators since 13, and the types that a graph declares for its inputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .folding import Folding
from .scopes import Scope, Value
from .tensors import FLOATS

_MOST_STEPS = 64
_SHAPE_KEPT = (
    "Identity", "Cast", "Dropout", "Not", "Sigmoid", "Tanh", "Relu", "Softsign", "HardSigmoid", "Clip",
    "ReverseSequence", "Slice",
)  # fmt: skip
_BROADCAST = (
    "Add", "Sub", "Mul", "Div", "Sum", "Min", "Max", "And", "Or", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Where",
)  # fmt: skip


class Shape(NamedTuple):
    """What is known of a shape; None is unknown."""

    rank: int | None = None
    last: int | None = None


class Shapes:
    """The shapes of one model, as far as they are certain."""

    def __init__(self, folding: Folding) -> None:
        self._folding = folding
        self._known: dict[Value, Shape] = {}

    def of(self, value: Value | None, steps: int = 0) -> Shape:
        """The shape of a value."""
        if value is None or steps > _MOST_STEPS:
            return Shape()
        if value not in self._known:
            self._known[value] = Shape()  # which a value that is made of itself stays
            self._known[value] = self._found(value, steps + 1)
        return self._known[value]

    def is_last(self, axis: int, value: Value | None) -> bool:
        """Whether an axis of a value surely is its last."""
        rank = self.of(value).rank
        return axis == -1 or (rank is not None and axis == rank - 1)

    def keeps(self, scope: Scope, node: Any) -> bool:
        """Whether an operator hands on what it takes, with the same last axis."""
        value, *more = (*scope.inputs(node), None)
        attributes = scope.attributes(node)
        if node.op_type in ("Identity", "Dropout"):
            return True
        if node.op_type == "Cast":
            return attributes.get("to") in FLOATS
        given = self.of(value)
        if node.op_type == "Reshape":
            sizes = self._folding.integers(more[0]) or []
            copied = bool(sizes) and not any(sizes[:-1]) and len(sizes) == given.rank and sizes[-1] in (0, -1)
            return (copied and not attributes.get("allowzero")) or (bool(sizes) and sizes[-1] == given.last is not None)
        axes = self._axes(attributes, more[0])
        if node.op_type not in ("Squeeze", "Unsqueeze") or axes is None:
            return False
        if given.rank is None:
            return axes == [0]
        rank = given.rank + (len(axes) if node.op_type == "Unsqueeze" else 0)
        return all(axis % rank != rank - 1 for axis in axes) if rank else False

    def _axes(self, attributes: dict[str, Any], value: Value | None) -> list[int] | None:
        """The axes of an operator, an attribute or, later, an input."""
        return list(attributes["axes"]) if "axes" in attributes else self._folding.integers(value)

    def _found(self, value: Value, steps: int) -> Shape:
        constant = self._folding.constant(value)
        if constant is not None:
            return Shape(len(constant.info.shape), constant.info.shape[-1] if constant.info.shape else None)
        node, _ = value.scope.maker(value)
        if node is None:
            return self._declared(value, steps)
        if node.domain not in ("", "ai.onnx"):
            return Shape()
        scope, kind = value.scope, node.op_type
        first, *more = (*scope.inputs(node), None)
        attributes = scope.attributes(node)
        if kind in _BROADCAST:
            return _broadcast([self.of(one, steps) for one in scope.inputs(node)])
        given = self.of(first, steps)
        if kind == "Gemm":
            return Shape(2, self.of(more[0], steps).last if not attributes.get("transB") else self._rows(more[0]))
        if kind in ("MatMul", "MatMulInteger"):
            kernel = self.of(more[0], steps)
            return Shape(given.rank, kernel.last) if kernel.rank == 2 else Shape()
        if kind == "Split":
            parts = len(node.output) if len(scope.inputs(node)) == 1 and "split" not in attributes else 0
            whole = given.last if parts and self.is_last(attributes.get("axis", 0), first) else None
            return Shape(given.rank, whole // parts if whole is not None and whole % parts == 0 else None)
        if kind == "Shape":
            return Shape(1, given.rank if not attributes.get("start") and "end" not in attributes else None)
        if kind == "Concat":
            return self._joined([self.of(one, steps) for one in scope.inputs(node)], attributes.get("axis"))
        if kind == "Slice" and given.rank == 1:
            return Shape(1, self._cut(scope.inputs(node), attributes, given.last))
        if kind in ("Expand", "ConstantOfShape"):  # their shape is a vector, as long as they have axes
            return Shape(self.of(more[0] if kind == "Expand" else first, steps).last)
        if kind in _SHAPE_KEPT:
            return Shape(given.rank, given.last if kind != "Slice" else None)
        return self._moved(kind, attributes, given, more[0], steps)

    def _joined(self, shapes: list[Shape], axis: int | None) -> Shape:
        rank = next((shape.rank for shape in shapes if shape.rank is not None), None)
        lasts = [shape.last for shape in shapes if shape.last is not None]
        whole = rank is not None and axis in (-1, rank - 1) and len(lasts) == len(shapes)
        return Shape(rank, sum(lasts) if whole else None)

    def _cut(self, inputs: list[Value | None], attributes: dict[str, Any], length: int | None) -> int | None:
        """How much of a vector is left, where all of it is known."""
        names = ("starts", "ends", "axes", "steps")
        given = dict(zip(names, inputs[1:], strict=False))
        starts, ends, _, by = (attributes.get(name) or self._folding.integers(given.get(name)) for name in names)
        if length is None or not starts or not ends or by not in (None, [1]):
            return None
        return len(range(length)[starts[0] : ends[0]])

    def _moved(self, kind: str, attributes: dict[str, Any], given: Shape, second: Value | None, steps: int) -> Shape:
        rank, last = given
        if kind == "Transpose" and "perm" in attributes:
            perm = list(attributes["perm"])
            return Shape(len(perm), last if perm[-1:] == [len(perm) - 1] else None)
        if kind == "Reshape":
            sizes = self._folding.integers(second) or []
            return Shape(len(sizes) or None, sizes[-1] if sizes and sizes[-1] > 0 else None)
        if rank is None:
            return Shape()
        if kind == "Gather" and attributes.get("axis", 0) == 0:
            indices = self.of(second, steps).rank
            return Shape(None if indices is None else rank - 1 + indices, last if rank > 1 else None)
        axes = self._axes(attributes, second)
        if axes is None:
            return Shape()
        if kind in ("Unsqueeze", "Squeeze"):
            rank += len(axes) if kind == "Unsqueeze" else 0
            cut = any(axis % rank == rank - 1 for axis in axes) if rank else True
            left = rank if kind == "Unsqueeze" else rank - len(axes)
            return Shape(left, last if not cut else 1 if kind == "Unsqueeze" else None)
        if kind.startswith("Reduce") and attributes.get("keepdims", 1):
            return Shape(rank, 1 if any(axis in (-1, rank - 1) for axis in axes) else last)
        return Shape()

    def _rows(self, value: Value | None) -> int | None:
        constant = self._folding.constant(value)
        return constant.info.shape[0] if constant is not None and len(constant.info.shape) == 2 else None

    def _declared(self, value: Value, steps: int) -> Shape:
        for one in getattr(value.scope.graph, "input", ()):
            if not isinstance(one, str) and one.name == value.name and one.type.tensor_type.HasField("shape"):
                sizes = one.type.tensor_type.shape.dim
                number = sizes[-1].dim_value if sizes and sizes[-1].HasField("dim_value") else 0
                return Shape(len(sizes), number if number > 0 else None)
        if value.name in value.scope.steps:
            rank, last = self.of(value.scope.steps[value.name][0], steps)
            return Shape(None if rank is None else rank - 1, last if rank is not None and rank > 1 else None)
        return self.of(value.scope.begins.get(value.name), steps)


def _broadcast(shapes: list[Shape]) -> Shape:
    ranks = [shape.rank for shape in shapes if shape.rank is not None]
    lasts = [0 if shape.rank == 0 else shape.last for shape in shapes]
    known = [last for last in lasts if last is not None]
    wide = max(known, default=0)
    sure = wide > 1 or (wide == 1 and len(known) == len(lasts))
    return Shape(max(ranks) if len(ranks) == len(shapes) and ranks else None, wide if sure else None)
