"""Builds OpenVINO IR: layers as XML, constants as bytes.

Source: OpenVINO 2026.4.1, IR version 11 as `openvino.save_model` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from ...arrays import Array

#: Type -> how constants and how ports spell it.
_NAMES = {
    "float64": ("f64", "FP64"), "float32": ("f32", "FP32"), "float16": ("f16", "FP16"), "bfloat16": ("bf16", "BF16"),
    "int64": ("i64", "I64"),
}  # fmt: skip


class Output(NamedTuple):
    """One output of a layer: place, type and shape, -1 for any."""

    layer: int
    port: int
    dtype: str
    shape: tuple[int, ...]


class Model:
    """Layers in the order they are added."""

    def __init__(self, name: str) -> None:
        self._net = Element("net", name=name, version="11")
        self._layers = SubElement(self._net, "layers")
        self._edges = SubElement(self._net, "edges")
        self._weights = bytearray()

    def xml(self) -> bytes:
        """The `.xml` file."""
        indent(self._net, "\t")
        content: bytes = tostring(self._net, encoding="utf-8", xml_declaration=True)
        return content

    def weights(self) -> bytes:
        """The `.bin` file."""
        return bytes(self._weights)

    def add(
        self,
        kind: str,
        version: str,
        inputs: Sequence[Output],
        outputs: Sequence[tuple[str, tuple[int, ...]]],
        *,
        name: str = "",
        tensor: str = "",
        **fields: str,
    ) -> list[Output]:
        """A layer; `tensor` is what callers name its output by."""
        number = len(self._layers)
        layer = SubElement(
            self._layers, "layer", id=str(number), name=name or f"{kind}_{number}", type=kind, version=version
        )
        if fields:
            SubElement(layer, "data", fields)
        for place, source in enumerate(inputs):
            self._port(layer, "input", place, source.dtype, source.shape)
            ends = {"from-layer": source.layer, "from-port": source.port, "to-layer": number, "to-port": place}
            SubElement(self._edges, "edge", {key: str(value) for key, value in ends.items()})
        made = [Output(number, len(inputs) + k, *output) for k, output in enumerate(outputs)]
        for output in made:
            port = self._port(layer, "output", output.port, output.dtype, output.shape)
            if tensor:
                port.set("names", tensor)
        return made

    def constant(self, values: Array | Sequence[int], dtype: str = "int64", name: str = "") -> Output:
        """Adds a Const layer; bfloat16 comes as exact float32."""
        array = np.asarray(values)
        content = constant_bytes(array, dtype)
        # Aligned, so that the file can be mapped into memory.
        self._weights += bytes(-len(self._weights) % 64)
        offset = len(self._weights)
        self._weights += content
        return self.add(
            "Const", "opset1", (), [(dtype, array.shape)], name=name,
            element_type=_NAMES[dtype][0], shape=", ".join(map(str, array.shape)), offset=str(offset),
            size=str(len(content)),
        )[0]  # fmt: skip

    def widened(self, source: Output, dtype: str) -> Output:
        """The numbers converted to a computing type."""
        if source.dtype == dtype:
            return source
        kind = _NAMES[dtype][0]
        return self.add("Convert", "opset1", [source], [(dtype, source.shape)], destination_type=kind)[0]

    def parameter(self, name: str, dtype: str, shape: tuple[int, ...]) -> Output:
        """An input of the model."""
        sizes = ",".join("?" if n < 0 else str(n) for n in shape)
        return self.add(
            "Parameter", "opset1", (), [(dtype, shape)], name=name, tensor=name,
            shape=sizes, element_type=_NAMES[dtype][0],
        )[0]  # fmt: skip

    def result(self, name: str, source: Output) -> None:
        """An output of the model, found by its name."""
        for port in self._layers[source.layer].iterfind("output/port"):
            if port.get("id") == str(source.port):
                port.set("names", name)
        self.add("Result", "opset1", [source], (), name=f"{name}/result", output_names=name)

    def _port(self, layer: Element, side: str, number: int, dtype: str, shape: tuple[int, ...]) -> Element:
        found = layer.find(side)
        port = SubElement(
            SubElement(layer, side) if found is None else found, "port", id=str(number), precision=_NAMES[dtype][1]
        )
        for size in shape:
            SubElement(port, "dim").text = str(size)
        return port


def constant_bytes(array: Array, dtype: str) -> bytes:
    """Bytes for the `.bin` file; bfloat16 comes as exact float32."""
    if dtype == "bfloat16":
        return (np.ascontiguousarray(array, np.float32).view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes()
    return np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()
