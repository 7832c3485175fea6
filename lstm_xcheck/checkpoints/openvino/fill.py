"""Fills OpenVINO models: constants get new numbers in place.

A weight may be a Const, or what Convert, Split and Concat make of several: each number of it is followed to its byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, fromstring, tostring

import numpy as np

from ...arrays import Array, stored_values
from ...errors import CheckpointError
from ...model import LSTMWeights
from ..codecs.limits import FLOAT_SIZES, escape
from ..layout_arrays import layout_arrays
from .constants import Constant, Constants
from .graph import Graph, Source, data, parse
from .read import nodes_of, weight_sources

_ALIGNED = 64


class _Places(Constants):
    """Constants whose values are their places in the `.bin` file."""

    def _read(self, offset: int, size: int, dtype: str, kind: str, shape: tuple[int, ...]) -> Array:
        if dtype not in FLOAT_SIZES:
            return super()._read(offset, size, dtype, kind, shape)
        return np.arange(offset, offset + size, FLOAT_SIZES[dtype], dtype=np.int64).reshape(shape)

    def _made(self, graph: Graph, source: Source, steps: int) -> Constant | None:
        layer = graph.layers.get(source[0])
        if layer is not None and layer.get("type") == "Add":
            raise CheckpointError(
                f"--like {self.path}: its graph adds two biases, and neither can be told from their sum; convert the "
                "model anew with openvino.convert_model"
            )
        return super()._made(graph, source, steps)


class _Filled(NamedTuple):
    """A weight's numbers as bytes (numbers, width), and their places."""

    what: str
    places: Array
    numbers: Array


def fill_constants(path: Path, like: Path, lstms: Mapping[str, LSTMWeights]) -> None:
    """Writes both files with these LSTMs replaced."""
    parse(like)  # refuses what no model has, such as entities
    root = fromstring(like.read_bytes())
    nodes = nodes_of(like, root, Constants(like))
    leaves = [leaf for name in lstms for leaf in nodes[name].leaves]
    content = _of_their_own(root, leaves, bytearray(like.with_suffix(".bin").read_bytes()))
    path.with_suffix(".bin").write_bytes(content)
    # Where nothing had to move, the graph is kept to the byte.
    moved = len(content) != like.with_suffix(".bin").stat().st_size
    path.write_bytes(tostring(root, encoding="utf-8", xml_declaration=True) if moved else like.read_bytes())
    places, filled = _Places(path), []
    for name, weights in lstms.items():
        arrays = layout_arrays(name, weights, "openvino")
        sources = weight_sources(nodes[name].graph, nodes[name].layer)
        for kind, array in arrays.items():
            part = places.at(nodes[name].graph, sources[kind])
            filled.append(_filled(like, f"{kind} of {escape(name)}", part, array, weights.dtype))
    values = np.frombuffer(content, np.uint8)
    for _, where, numbers in filled:
        for byte in range(numbers.shape[1]):
            values[where + byte] = numbers[:, byte]
    for what, where, numbers in filled:
        if any((values[where + byte] != numbers[:, byte]).any() for byte in range(numbers.shape[1])):
            raise CheckpointError(f"--like {like}: {what} shares its numbers with another weight; convert it anew")
    path.with_suffix(".bin").write_bytes(content)


def _filled(like: Path, what: str, part: Constant | None, array: Array, dtype: str) -> _Filled:
    if part is None or part.dtype != dtype:
        problem = "is made of no constant" if part is None else f"is kept as {part.dtype}"
        raise CheckpointError(f"--like {like}: {what} {problem}, but should be {dtype}; convert the model anew")
    numbers = stored_values(array, dtype).view(np.uint8).reshape(-1, FLOAT_SIZES[dtype])
    return _Filled(what, part.load().reshape(-1), numbers)


def _of_their_own(root: Element, leaves: list[Element], content: bytearray) -> bytearray:
    """Gives each constant its own bytes: OpenVINO shares equal ones."""
    every = [layer for layer in root.iter("layer") if layer.get("type") == "Const"]
    spans = {id(layer): _span(layer) for layer in every}
    for leaf in {id(leaf): leaf for leaf in leaves}.values():
        begin, end = spans[id(leaf)]
        if any(a < end and begin < b for layer in every if layer is not leaf for a, b in [spans[id(layer)]]):
            content += bytes(-len(content) % _ALIGNED)
            spans[id(leaf)] = (len(content), len(content) + end - begin)
            leaf.find("data").set("offset", str(len(content)))  # type: ignore[union-attr]
            content += content[begin:end]
    return content


def _span(layer: Element) -> tuple[int, int]:
    fields = data(layer)
    return int(fields["offset"]), int(fields["offset"]) + int(fields["size"])
