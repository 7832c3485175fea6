"""Finds other layers of an ONNX graph by their operators.

Source: ONNX operators Gather, MatMul, Add, Gemm, BatchNormalization, LayerNormalization, since 14 and 22; graphs of
torch 2.13.0 (torch.onnx.export) and tf2onnx, whose names for nodes and tensors give the layers their names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from ..codecs.limits import escape
from ..topology import GraphLayer
from .tensors import Constants, floating

#: Names that exporters make up.
_MADE_UP = re.compile(r"(onnx::|val_|const_|new_shape|t_)[^.]*|[0-9]+")
#: What a node's name ends in that is no name of a layer: the operator, and TensorFlow's way to a product.
_WORDLESS = re.compile(r"(Tensordot|MatMul|BiasAdd|Add|Gemm|Gather|batchnorm|embedding_lookup)(_[0-9]+)?")
_NORMALISATIONS = {
    "BatchNormalization": ("batch_norm", ("scale", "offset", "mean", "variance")),
    "LayerNormalization": ("layer_norm", ("scale", "offset")),
}


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def key_of(node: Any) -> str:
    """A node's key: the name of its first output."""
    return next((output for output in node.output if output), "")


def find_layers(graph: Any, constants: Constants) -> dict[str, GraphLayer]:
    """The layer of each node that belongs to one, by `key_of`."""
    source = _Source(graph, constants)
    found: dict[str, GraphLayer] = {}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            continue
        layer = source.layer(node)
        if layer is None:
            continue
        added = source.added(node, layer) if node.op_type == "MatMul" else None
        nodes = [node] if added is None else [node, added]
        if added is not None:
            bias = next(name for name in added.input if source.axes(name) == 1)
            layer = replace(layer, parts={**layer.parts, "bias": source.origin(bias)})
        layer = replace(layer, name=_name(layer, nodes))
        found.update({key_of(part): layer for part in nodes})
    return _told_apart(graph, found)


class _Source:
    """The constants of a graph and who takes what."""

    def __init__(self, graph: Any, constants: Constants) -> None:
        self._constants = constants
        self._origins = {tensor.name: tensor.name for tensor in graph.initializer}
        self._transposed: dict[str, str] = {}
        self._users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
            if node.op_type == "Identity" and node.input and node.output:
                self._origins[node.output[0]] = self.origin(node.input[0])
            constant_kernel = node.op_type == "Transpose" and node.input and node.input[0] in constants
            if constant_kernel and list(attributes_of(node).get("perm", [1, 0])) == [1, 0]:
                self._transposed[key_of(node)] = node.input[0]

    def origin(self, name: str) -> str:
        """The tensor that a name stands for."""
        return self._origins.get(name, name)

    def axes(self, name: str) -> int:
        """Number of axes of a floating constant; 0 for all else."""
        tensor = self._constants.get(name)
        return len(tensor.dims) if tensor is not None and floating(tensor) else 0

    def layer(self, node: Any) -> GraphLayer | None:
        """The layer that a node is, still without name and bias."""
        inputs = list(node.input)
        attributes = attributes_of(node)
        looked_up = node.op_type == "Gather" and len(inputs) == 2 and inputs[1] not in self._constants
        if looked_up and self.axes(inputs[0]) == 2 and attributes.get("axis", 0) == 0:
            return GraphLayer("embedding", "", {"table": self.origin(inputs[0])})
        if node.op_type == "MatMul" and len(inputs) == 2 and inputs[0] not in self._constants:
            return self._dense(inputs, transposed=False)
        if node.op_type == "Gemm" and len(inputs) > 1 and inputs[0] not in self._constants:
            plain = not attributes.get("transA", 0) and attributes.get("alpha", 1.0) == 1.0 == attributes.get(
                "beta", 1.0
            )
            return self._dense(inputs, transposed=bool(attributes.get("transB", 0))) if plain else None
        if node.op_type in _NORMALISATIONS:
            return self._normalisation(node.op_type, inputs, attributes)
        return None

    def _dense(self, inputs: list[str], *, transposed: bool) -> GraphLayer | None:
        kernel = inputs[1]
        if kernel in self._transposed:
            kernel, transposed = self._transposed[kernel], not transposed
        bias = inputs[2] if len(inputs) > 2 else ""
        if self.axes(kernel) != 2 or (bias and self.axes(bias) != 1):
            return None
        parts = {"kernel": self.origin(kernel), **({"bias": self.origin(bias)} if bias else {})}
        return GraphLayer("dense", "", parts, transposed)

    def _normalisation(self, operator: str, inputs: list[str], attributes: Mapping[str, Any]) -> GraphLayer | None:
        kind, names = _NORMALISATIONS[operator]
        given = {part: self.origin(name) for part, name in zip(names, inputs[1:], strict=False) if name}
        last = attributes.get("axis", -1) == -1 and not attributes.get("training_mode", 0)
        if not last or "scale" not in given or any(self.axes(name) != 1 for name in inputs[1:] if name):
            return None
        epsilon = float(str(np.float32(attributes.get("epsilon", 1e-5))))
        return GraphLayer(kind, "", given, attributes={"epsilon": epsilon})

    def added(self, node: Any, layer: GraphLayer) -> Any:
        """The node that adds a bias to a product, perhaps after a reshape."""
        for _ in range(2):
            users = self._users.get(key_of(node), [])
            if len(users) != 1:
                return None
            node = users[0]
            if node.op_type == "Add":
                width = self._constants[layer.parts["kernel"]].dims[0 if layer.transposed else 1]
                fits = [name for name in node.input if self.axes(name) == 1 and self._constants[name].dims[0] == width]
                return node if len(fits) == 1 else None
            if node.op_type != "Reshape":
                return None
        return None


def _name(layer: GraphLayer, nodes: list[Any]) -> str:
    """The layer's name, from its tensors or its node."""
    for tensor in layer.parts.values():
        place = tensor.rpartition(".")[0]
        if place and not _MADE_UP.fullmatch(tensor) and "/" not in tensor:
            return escape(place, 200)
    for node in nodes:
        parts = [part for part in node.name.split("/") if part]
        while len(parts) > 1 and (_WORDLESS.fullmatch(parts[-1]) or parts[-1].startswith(node.op_type)):
            parts.pop()
        if parts:
            return escape(parts[-1], 200)
    return escape(next(iter(layer.parts.values())), 200)


def _told_apart(graph: Any, found: dict[str, GraphLayer]) -> dict[str, GraphLayer]:
    """Layers of one name are called after their nodes."""
    layers = {id(layer): layer for layer in found.values()}
    times = Counter(layer.name for layer in layers.values())
    first = dict(_first_nodes(graph, found))
    renamed = {
        number: layer if times[layer.name] == 1 else replace(layer, name=escape(first[number].strip("/"), 200))
        for number, layer in layers.items()
    }
    return {key: renamed[id(layer)] for key, layer in found.items()}


def _first_nodes(graph: Any, found: Mapping[str, GraphLayer]) -> Iterator[tuple[int, str]]:
    for node in reversed(graph.node):
        layer = found.get(key_of(node))
        if layer is not None:
            yield id(layer), node.name or key_of(node)
