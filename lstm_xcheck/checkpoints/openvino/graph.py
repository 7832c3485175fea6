"""Parses the graph of an OpenVINO IR file.

Only the XML is read here. A document type, which is where entities would be declared, is refused.
Source: OpenVINO 2026.4.1, IR version 11 as `openvino.save_model` writes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ...errors import CheckpointError
from ..codecs.limits import escape

#: The text describes layers alone; the largest public models take some 20 MB.
_MAX_XML = 256 << 20
_MAX_DEPTH = 100
#: Loops within loops.
_MAX_BODIES = 8

#: A layer's id and the number of one of its outputs.
Source = tuple[str, int]


@dataclass(eq=False)
class Graph:
    """Layers in file order, and the inputs of a body."""

    layers: dict[str, Element]
    sources: dict[tuple[str, int], Source]  # the output that feeds each (layer, number of its input)
    # for a parameter of a body that never changes, the graph around it and the output there
    outer: dict[str, tuple[Graph, Source]] = field(default_factory=dict)
    carried: dict[str, Source] = field(default_factory=dict)  # what a parameter of a body is after a step
    # for a body, whether it walks its slices from the last to the first; None where it has none
    backward: bool | None = None

    def inputs(self, layer: Element) -> list[Source | None]:
        """What feeds each input of a layer, in order."""
        number = len(_ports(layer, "input"))
        return [self.sources.get((layer.get("id", ""), k)) for k in range(number)]


def parse(path: Path) -> Element:
    """The root element `net`."""
    size = path.stat().st_size
    if size > _MAX_XML:
        raise CheckpointError(f"{path} has {size} bytes of XML, more than the {_MAX_XML} that are read")
    builder, depth = TreeBuilder(), [0]
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        depth[0] += 1
        if depth[0] > _MAX_DEPTH:
            raise CheckpointError(f"{path} nests elements more than {_MAX_DEPTH} deep; it is not a real model")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        depth[0] -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise CheckpointError(f"{path} declares a document type, which no OpenVINO model does; it was not read")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
        root = builder.close()
    except (expat.ExpatError, ValueError, AssertionError) as error:
        raise CheckpointError(f"{path} is no complete XML ({escape(error)}); copy or download it again") from error
    if root.tag != "net" or root.find("layers") is None:
        raise CheckpointError(f"{path} is XML, but no OpenVINO model: it has no net of layers")
    return root


def graphs(path: Path, net: Element) -> Iterator[Graph]:
    """The graph of a net, then its bodies."""
    yield from _graphs(path, net, None, None, 0)


def _graphs(path: Path, net: Element, outer: Graph | None, around: Element | None, depth: int) -> Iterator[Graph]:
    if depth > _MAX_BODIES:
        raise CheckpointError(f"{path} nests loops more than {_MAX_BODIES} deep; it is not a real model")
    layers = {layer.get("id", ""): layer for layer in net.iterfind("layers/layer")}
    if len(layers) != len(net.findall("layers/layer")):
        raise CheckpointError(f"{path} has two layers of one id; export the model again")
    graph = Graph(layers, _sources(layers, net))
    if outer is not None and around is not None:
        _connect(graph, outer, around)
    yield graph
    for layer in layers.values():
        for body in layer:
            if body.find("layers") is not None:
                yield from _graphs(path, body, graph, layer, depth + 1)


def _sources(layers: dict[str, Element], net: Element) -> dict[tuple[str, int], Source]:
    numbers = {
        (name, kind): {port: k for k, port in enumerate(_ports(layer, kind))}
        for name, layer in layers.items()
        for kind in ("input", "output")
    }
    sources = {}
    for edge in net.iterfind("edges/edge"):
        begin, start, end, stop = (edge.get(key, "") for key in ("from-layer", "from-port", "to-layer", "to-port"))
        output, place = numbers.get((begin, "output"), {}).get(start), numbers.get((end, "input"), {}).get(stop)
        if output is not None and place is not None:
            sources[end, place] = (begin, output)
    return sources


def _ports(layer: Element, kind: str) -> list[str]:
    return [port.get("id", "") for port in layer.iterfind(f"{kind}/port")]


def _connect(graph: Graph, outer: Graph, around: Element) -> None:
    """Ties the constant parameters of a loop's body to its inputs."""
    if around.find("body") is None:
        return
    changing = {edge.get("to-layer", ""): edge.get("from-layer", "") for edge in around.iterfind("back_edges/edge")}
    graph.carried = {to: graph.sources[end, 0] for to, end in changing.items() if (end, 0) in graph.sources}
    ports = {port: k for k, port in enumerate(_ports(around, "input"))}
    sliced = []
    for entry in around.iterfind("port_map/input"):
        parameter, place = entry.get("internal_layer_id", ""), ports.get(entry.get("external_port_id", ""))
        if entry.get("axis") is not None:
            sliced.append(entry.get("stride", "1").startswith("-"))
        elif place is not None and parameter not in changing:
            source = outer.sources.get((around.get("id", ""), place))
            if source is not None:
                graph.outer[parameter] = (outer, source)
    if sliced and len(set(sliced)) == 1:
        graph.backward = sliced[0]


def data(layer: Element) -> dict[str, str]:
    """The attributes of a layer's operation."""
    found = layer.find("data")
    return {} if found is None else dict(found.attrib)


def numbers(text: str) -> tuple[int, ...] | None:
    """Sizes from text such as `2, 16, 5`; else None."""
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if len(parts) > 32 or not all(part.isdecimal() and part.isascii() and len(part) < 19 for part in parts):
        return None
    return tuple(int(part) for part in parts)


def count(shape: tuple[int, ...]) -> int:
    """How many numbers a shape holds."""
    return math.prod(shape)
