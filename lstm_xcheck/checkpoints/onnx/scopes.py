"""Follows names through nested graphs and local functions of an ONNX model.

A name means a value of its own graph or of one around it; inputs of a function, and what a loop never changes, stand
for values outside.
Source: onnx 1.23.1, docs/IR.md; ONNX operators If, Loop and Scan, since 16.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from ...errors import CheckpointError
from ..codecs.limits import escape
from .tensors import Constants

_MAX_DEPTH = 32
#: Functions may call one another, so that a small file stands for a graph without end.
_MOST_CALLED_NODES = 100_000
#: Second names that one value may have.
_MOST_NAMES = 64


class Value(NamedTuple):
    """A value, by the graph that makes it."""

    scope: Scope
    name: str


@dataclass(eq=False)
class Scope:
    """A graph, or one call of a function, and what it sees."""

    graph: Any
    path: str = ""  # the calls of functions around it
    label: str = ""  # of the node that it is a body of
    kind: str = ""  # the operator that it is a body of, `call` for a function
    around: Scope | None = None
    bound: Mapping[str, Value] = field(default_factory=dict)  # inputs that are values outside
    # inputs that are one step of a value outside: that value, and whether its steps go backward
    steps: Mapping[str, tuple[Value, bool]] = field(default_factory=dict)
    carried: Mapping[str, str] = field(default_factory=dict)  # states of a loop: input -> output
    begins: Mapping[str, Value] = field(default_factory=dict)  # what the states of a loop are before it
    given: Mapping[str, Any] = field(default_factory=dict)  # attributes of the call of a function
    results: dict[str, Value] = field(default_factory=dict)  # what calls of functions give
    functions: Mapping[tuple[str, str, str], Any] = field(default_factory=dict)  # of the model

    @cached_property
    def makers(self) -> dict[str, tuple[Any, int]]:
        """The node that makes a value, and at which output."""
        return {name: (node, k) for node in self.graph.node for k, name in enumerate(node.output) if name}

    @cached_property
    def tensors(self) -> Constants:
        """The stored tensors of this graph alone."""
        found = {tensor.name: tensor for tensor in getattr(self.graph, "initializer", ())}
        for node in self.graph.node:
            value = self.attributes(node).get("value") if node.op_type == "Constant" and node.output else None
            if isinstance(value, onnx.TensorProto):
                found[node.output[0]] = value
        return found

    @cached_property
    def _inputs(self) -> frozenset[str]:
        given = getattr(self.graph, "input", ())
        return frozenset(one if isinstance(one, str) else one.name for one in given)

    def attributes(self, node: Any) -> dict[str, Any]:
        """The attributes of a node; a function's are those of its call."""
        own = {}
        for attribute in node.attribute:
            meant = self.given.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
            if meant is not None:
                own[attribute.name] = onnx.helper.get_attribute_value(meant)
        return own

    def value(self, name: str) -> Value:
        """What a name means here, past names of the same value."""
        place = Value(self, name)
        for _ in range(_MOST_NAMES):
            scope, name = place
            node, _ = scope.makers.get(name, (None, 0))
            if name in scope.results:
                place = scope.results[name]
            elif node is not None and node.op_type == "Identity" and len(node.input) == 1:
                place = Value(scope, node.input[0])
            elif node is not None or name in scope.tensors:
                return place
            elif name in scope.bound:
                place = scope.bound[name]
            elif name in scope._inputs or scope.around is None:
                return place
            else:
                place = Value(scope.around, name)
        return place

    def calls(self, node: Any) -> Any:
        """The function that a node calls, or None."""
        return self.functions.get((node.domain, node.op_type, getattr(node, "overload", "")))

    def inputs(self, node: Any) -> list[Value | None]:
        """The values that a node takes; None for one left out."""
        return [self.value(name) if name else None for name in node.input]

    def maker(self, value: Value) -> tuple[Any, int]:
        """The node that makes a value, and its output; no node for inputs."""
        return value.scope.makers.get(value.name, (None, 0))


def scopes_of(path: Path, model: Any) -> Iterator[Scope]:
    """Every graph of a model, and every call of its functions.

    Raises:
        CheckpointError: for graphs and functions without end.
    """
    functions = {(one.domain, one.name, getattr(one, "overload", "")): one for one in model.functions}
    called = [0]

    def walk(scope: Scope, depth: int) -> Iterator[Scope]:
        if depth > _MAX_DEPTH:
            raise CheckpointError(f"{path} nests graphs more than {_MAX_DEPTH} deep; it is not a real model")
        yield scope
        for node in scope.graph.node:
            function = scope.calls(node)
            if function is not None:
                called[0] += len(function.node) + 1
                if called[0] > _MOST_CALLED_NODES:
                    raise CheckpointError(
                        f"{path}: its functions call one another so often that more than {_MOST_CALLED_NODES} nodes "
                        "would run; it was not read"
                    )
                inner = _call(scope, node, function)
                scope.results.update(
                    (name, Value(inner, result)) for name, result in zip(node.output, function.output, strict=False)
                )
                yield from walk(inner, depth + 1)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from walk(_body(scope, node, attribute.g), depth + 1)

    return walk(Scope(model.graph, functions=functions), 0)


def _call(scope: Scope, node: Any, function: Any) -> Scope:
    given = {attribute.name: attribute for attribute in (*function.attribute_proto, *node.attribute)}
    given = {name: scope.given.get(one.ref_attr_name, one) if one.ref_attr_name else one for name, one in given.items()}
    bound = {inner: value for inner, value in zip(function.input, scope.inputs(node), strict=False) if value}
    name = escape((node.name or next(iter(node.output), "")).strip("/") or node.op_type, 200)
    return Scope(function, f"{scope.path}{name}/", name, "call", None, bound, given=given, functions=scope.functions)


def _body(scope: Scope, node: Any, graph: Any) -> Scope:
    """A body; what a loop hands on unchanged is the value before it."""
    values = scope.inputs(node)
    attributes = scope.attributes(node)
    names, results = [one.name for one in graph.input], [one.name for one in graph.output]
    steps: dict[str, tuple[Value, bool]] = {}
    if node.op_type == "Loop":  # a counter and a condition, then the states; the condition is given back
        states, first, begins = names[2:], results[1:], values[2:]
    elif node.op_type == "Scan" and 0 <= attributes.get("num_scan_inputs", 0) <= len(names):
        count = len(names) - attributes.get("num_scan_inputs", 0)
        states, first, begins = names[:count], results, values[:count]
        ways = attributes.get("scan_input_directions", ())
        for k, (name, value) in enumerate(zip(names[count:], values[count:], strict=False)):
            if value is not None:
                steps[name] = (value, bool(next(islice(ways, k, None), 0)))
    else:
        states, first, begins = [], [], []
    label = node.name or next(iter(node.output), "")
    body = Scope(
        graph, scope.path, label, node.op_type, scope, steps=steps, given=scope.given, functions=scope.functions
    )
    body.carried = dict(zip(states, first, strict=False))
    body.begins = {state: begin for state, begin in zip(states, begins, strict=False) if begin is not None}
    body.bound = {
        state: begin
        for state, begin in body.begins.items()
        if state in body.carried and body.value(body.carried[state]) == Value(body, state)
    }
    return body
