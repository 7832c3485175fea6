"""Tells whether an ONNX graph is a sequential chain of layers.

Every axis of the data is followed through every operator.

Axes are named: `0` and `1` are those of the input, of which an LSTM says which is time; `F` features, `D` directions,
`H` units. An operator that is not known, or does with the axes what no layer does, ends the attempt: then the layers
are known and their order is not.
Source: ONNX operators since 14 and 22; graphs of torch 2.13.0 (torch.onnx.export).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import onnx

from ..codecs.limits import escape
from ..topology import GraphLayer, Step
from .functions import MERGES, POOLING, activation_of
from .layers import attributes_of, key_of
from .tensors import Constants, all_zero, floating, integers

#: What shapes and zero states are computed with.
_SHAPES = (
    "Shape", "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Cast", "ConstantOfShape", "Expand", "Mul", "Tile",
)  # fmt: skip
_FLOATS = (1, 10, 11, 16)


class NoLineError(ValueError):
    """The graph is no line of layers."""


@dataclass(frozen=True)
class _Value:
    """Data between two layers: axes, depth, and whether last step."""

    axes: tuple[str, ...]
    depth: int
    last: bool = False


def line_of(
    graph: Any, constants: Constants, layers: Mapping[str, GraphLayer], lstms: Mapping[str, tuple[str, str]]
) -> tuple[Step, ...]:
    """The chain of all layers and LSTMs.

    Raises:
        NoLineError: when the graph is none, or something in it is not known.
    """
    line = _Line(graph, constants, layers, lstms)
    for node in graph.node:
        line.take(node)
    return line.chain(graph)


class _Line:
    """The line as far as the nodes that were taken."""

    def __init__(
        self, graph: Any, constants: Constants, layers: Mapping[str, GraphLayer], lstms: Mapping[str, tuple[str, str]]
    ) -> None:
        self._constants, self._layers, self._lstms = constants, layers, lstms
        self._steps: list[Step] = []
        self._depth = 0
        self._time = ""
        self._values: dict[str, _Value] = {}
        self._shapes: set[str] = set()
        given = [value for value in graph.input if value.name not in constants]
        if len(given) != 1:
            raise NoLineError(f"it has {len(given)} inputs")
        kind = given[0].type.tensor_type
        rank = len(kind.shape.dim)
        self._sizes = {str(k): int(dim.dim_value) for k, dim in enumerate(kind.shape.dim) if k < 2}
        ids = kind.elem_type not in _FLOATS
        if rank != (2 if ids else 3):
            raise NoLineError(f"its input has {rank} axes")
        self._width = [] if ids else [int(kind.shape.dim[2].dim_value) or None]
        self._input = (given[0].name, onnx.TensorProto.DataType.Name(kind.elem_type).lower())
        self._values[given[0].name] = _Value(("0", "1") if ids else ("0", "1", "F"), 0)

    def chain(self, graph: Any) -> tuple[Step, ...]:
        """All steps, if the chain has one end and no branch."""
        ends = [self._values.get(value.name) for value in graph.output]
        if len(ends) != 1 or ends[0] is None or ends[0].depth != self._depth:
            raise NoLineError("it does not end in one output of its last layer")
        self._note_last(ends[0])
        if ends[0].axes not in ((self._batch(), self._time, "F"), (self._batch(), "F")):
            raise NoLineError("its output has other axes than batch, steps and features")
        names = {step.name for step in self._steps}
        wanted = {layer.name for layer in self._layers.values()} | {name for name, _ in self._lstms.values()}
        if not wanted <= names or len(names) != len(self._steps):
            raise NoLineError("it has layers beside the line")
        backward = {name for name, direction in self._lstms.values() if direction == "reverse"}
        if any(step.name in backward and step.attributes["return_sequences"] for step in self._steps):
            raise NoLineError("an LSTM reads backward and gives its steps forward, which is no layer of Keras")
        return (self._first(), *self._steps)

    def _first(self) -> Step:
        """The input's shape as Keras gives it, None for any size."""
        name, kind = self._input
        shape = [None, self._sizes.get(self._time) or None, *self._width]
        return Step("input", escape(name), {"batch_shape": shape, "dtype": _KERAS_TYPES.get(kind, kind)})

    def _batch(self) -> str:
        return {"0": "1", "1": "0"}.get(self._time, "")

    def take(self, node: Any) -> None:
        """Follow the data through one node."""
        main = [name for name in node.input if name in self._values]
        if node.op_type == "Constant" or not main or node.op_type == "Shape":
            self._take_shape(node)
            return
        if len(main) != 1 or self._values[main[0]].depth != self._depth or node.domain not in ("", "ai.onnx"):
            raise NoLineError(f"{escape(node.name)} takes what another layer takes too")
        value = self._values[main[0]]
        self._note_last(value)
        self._depth += 1
        if node.op_type == "LSTM":
            self._take_lstm(node, value)
            return
        axes = self._through(node, value.axes)
        self._values[key_of(node)] = _Value(axes, self._depth)

    def _note_last(self, value: _Value) -> None:
        if value.last:
            self._steps[-1] = replace(self._steps[-1], attributes={**self._steps[-1].attributes, **_LAST})

    def _take_shape(self, node: Any) -> None:
        """Shapes, and states of nothing but zeros."""
        constant = all(name in self._constants for name in node.input)
        if constant and node.op_type in ("Constant", "Identity", "Transpose"):
            return
        data = node.op_type == "Shape"
        known = all(not n or n in self._shapes or n in self._constants or data for n in node.input)
        tensors = [a.t for a in node.attribute if a.name == "value" and a.HasField("t")]
        tensors += [self._constants[name] for name in node.input if name in self._constants]
        zero = all(integers(t) is not None or (floating(t) and all_zero(t)) for t in tensors)
        if node.op_type not in _SHAPES or not known or not zero:
            raise NoLineError(f"{escape(node.name)} ({escape(node.op_type)}) is not known")
        self._shapes.update(node.output)

    def _take_lstm(self, node: Any, value: _Value) -> None:
        name, direction = self._lstms.get(key_of(node), ("", ""))
        time, batch = value.axes[:2] if len(value.axes) == 3 else ("", "")
        states = [name for name in node.input[4:7] if name]
        if not name or node.input[0] not in self._values or value.axes[2:] != ("F",) or not {time, batch} == {"0", "1"}:
            raise NoLineError(f"LSTM {name} takes other axes than steps, batch and features")
        if time != (self._time or time) or not all(map(self._is_zero, states)):
            raise NoLineError(f"LSTM {name} has a state, or steps on another axis than the one before it")
        self._time = time
        both = direction == "bidirectional"
        attributes = {"return_sequences": True, **({"merge_mode": "concat"} if both else {})}
        self._steps.append(Step("lstm", name, attributes))
        ways = "D" if both else "d"
        self._sizes.update({"D": 2, "d": 1})
        outputs = (_Value((time, ways, batch, "H"), self._depth), _Value((ways, batch, "H"), self._depth, last=True))
        self._values.update(
            {output: constant for output, constant in zip(node.output, outputs, strict=False) if output}
        )

    def _is_zero(self, state: str) -> bool:
        return state in self._shapes or (state in self._constants and all_zero(self._constants[state]))

    def _through(self, node: Any, axes: tuple[str, ...]) -> tuple[str, ...]:
        """The axes after one operator; what it is becomes a step."""
        layer = self._layers.get(key_of(node))
        if layer is not None:
            return self._layer(node, layer, axes)
        attributes = attributes_of(node)
        # A cast passes where it is of ids, or between floating types.
        passes = node.op_type == "Cast" and ("F" not in axes or attributes.get("to") in _FLOATS)
        if passes or node.op_type in ("Identity", "Dropout"):
            return axes
        if node.op_type == "Transpose" and sorted(attributes.get("perm", ())) == list(range(len(axes))):
            return tuple(axes[k] for k in attributes["perm"])
        if node.op_type == "Flatten" and attributes.get("axis", 1) == 1:
            return self._merged(axes, 1)
        if node.op_type in ("Reshape", "Squeeze", "Gather"):
            numbers = self._numbers(node, 1)
            follow = {"Reshape": self._reshaped, "Squeeze": self._squeezed, "Gather": self._gathered}[node.op_type]
            return follow(axes, numbers, attributes)
        if node.op_type.startswith("Reduce"):
            return self._reduced(node, axes, attributes)
        return self._activated(node, axes, attributes)

    def _numbers(self, node: Any, position: int) -> list[int]:
        name = node.input[position] if len(node.input) > position else ""
        numbers = integers(self._constants[name]) if name in self._constants else None
        if numbers is None:
            raise NoLineError(f"{escape(node.name)} has a shape that is computed")
        return numbers

    def _layer(self, node: Any, layer: GraphLayer, axes: tuple[str, ...]) -> tuple[str, ...]:
        if self._steps and self._steps[-1].name == layer.name:  # the bias of the product before it
            return axes if axes[-1:] == ("F",) else self._refuse(layer.name)
        self._steps.append(Step(layer.kind, layer.name, dict(layer.attributes)))
        if layer.kind == "embedding":
            return (*axes, "F") if axes == ("0", "1") else self._refuse(layer.name)
        place = 1 if layer.kind == "batch_norm" else len(axes) - 1
        return axes if axes[place : place + 1] == ("F",) else self._refuse(layer.name)

    def _refuse(self, name: str) -> tuple[str, ...]:
        raise NoLineError(f"{name} works along another axis than that of features")

    def _reshaped(self, axes: tuple[str, ...], shape: list[int], attributes: Mapping[str, Any]) -> tuple[str, ...]:
        """The axes after the last ones are joined."""
        kept = len(shape) - 1
        same = all(n == 0 or n == self._sizes.get(axes[k], -1) for k, n in enumerate(shape[:kept]) if k < len(axes))
        # -1 for the batch alone is as good as 0 where the last axes say their size.
        if shape[:1] == [-1] and kept == 1 and shape[1] > 0:
            same = True
        if attributes.get("allowzero") or not shape or kept >= len(axes) or kept < 1 or not same:
            raise NoLineError("a shape is none that layers have")
        return self._merged(axes, kept)

    def _merged(self, axes: tuple[str, ...], kept: int) -> tuple[str, ...]:
        merged = axes[kept:]
        if merged in (("D", "H"), ("d", "H"), ("F",), ("H",)):
            return (*axes[:kept], "F")
        if self._time and axes == (self._batch(), self._time, "F") and kept == 1:
            self._steps.append(_plain("Flatten", self._steps))
            return (axes[0], "F")
        raise NoLineError("a shape is none that layers have")

    def _squeezed(self, axes: tuple[str, ...], numbers: list[int], attributes: Mapping[str, Any]) -> tuple[str, ...]:
        if len(numbers) != 1 or axes[numbers[0] : numbers[0] + 1] != ("d",):
            raise NoLineError("an axis is left out that is none of one direction")
        return _features(tuple(axis for axis in axes if axis != "d"))

    def _gathered(self, axes: tuple[str, ...], numbers: list[int], attributes: Mapping[str, Any]) -> tuple[str, ...]:
        """The axes after the last step is taken."""
        axis = attributes.get("axis", 0)
        place = axis if axis >= 0 else len(axes) + axis
        taken = axes[place : place + 1]
        if taken == ("d",) and numbers in ([0], [-1]):
            return _features(tuple(axis for axis in axes if axis != "d"))
        if taken != (self._time,) or numbers not in ([-1], [self._sizes.get(self._time, 0) - 1]):
            raise NoLineError("something is taken out that is not the last step")
        at = max(k for k, step in enumerate(self._steps) if step.kind == "lstm")
        lstm = self._steps[at]
        plain = {step.attributes["class_name"] for step in self._steps[at + 1 :] if step.kind == "plain"}
        if "merge_mode" in lstm.attributes or not plain <= {"Activation"}:
            raise NoLineError("the last step is not the end of what the LSTM reads")
        self._steps[at] = replace(lstm, attributes={**lstm.attributes, **_LAST})
        return tuple(name for name in axes if name != self._time)

    def _reduced(self, node: Any, axes: tuple[str, ...], attributes: Mapping[str, Any]) -> tuple[str, ...]:
        numbers = list(attributes["axes"]) if "axes" in attributes else self._numbers(node, 1)
        place = numbers[0] if len(numbers) == 1 and not attributes.get("keepdims", 1) else len(axes)
        taken, left = axes[place : place + 1], (*axes[:place], *axes[place + 1 :])
        ways = {operator: mode for mode, operator in MERGES.items()}
        if taken == ("D",) and node.op_type in ways:
            self._steps[-1] = replace(
                self._steps[-1], attributes={**self._steps[-1].attributes, "merge_mode": ways[node.op_type]}
            )
            return _features(left)
        pooling = {operator: layer for layer, operator in POOLING.items()}
        if not self._time or taken != (self._time,) or node.op_type not in pooling:
            raise NoLineError(f"{escape(node.name)} goes along an axis along which no layer goes")
        self._steps.append(_plain(pooling[node.op_type], self._steps))
        return left

    def _activated(self, node: Any, axes: tuple[str, ...], attributes: Mapping[str, Any]) -> tuple[str, ...]:
        activation = activation_of(node.op_type, attributes)
        if activation is None or axes[-1:] != ("F",) or len(node.input) != 1:
            raise NoLineError(f"{escape(node.name)} ({escape(node.op_type)}) is not known")
        if self._steps and self._steps[-1].kind == "dense" and "activation" not in self._steps[-1].attributes:
            step = self._steps[-1]
            self._steps[-1] = replace(step, attributes={**step.attributes, "activation": activation})
        else:
            self._steps.append(_plain("Activation", self._steps, activation=activation))
        return axes


_KERAS_TYPES = {"float": "float32", "double": "float64"}
_LAST = {"return_sequences": False}


def _features(axes: tuple[str, ...]) -> tuple[str, ...]:
    """Units of one direction are features once nothing stands between."""
    return tuple("F" if axis == "H" else axis for axis in axes)


def _plain(class_name: str, before: list[Step], **config: Any) -> Step:
    """A layer without weights under a name of its own."""
    name = f"{class_name.lower()}_{len(before)}"
    return Step("plain", name, {"class_name": class_name, "config": {"name": name, **config}})
