"""Folders in the layout of ONNX' backend tests, one for each case.

`lstm_xcheck/test_NAME/{model.onnx, data.json, test_data_set_0/{input_K,output_K}.pb}`: onnx 1.23,
onnx/backend/test/loader.py and runner.py. The runner knows one absolute error for a test, so all numbers of a case get
the largest bound of any of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
from onnx import numpy_helper

from ...adapters.onnx.model import OnnxStack, inputs_of, make_model
from ...arrays import Array
from ..cover import Vector, VectorSet

KIND = "lstm_xcheck"


def files(vectors: VectorSet) -> dict[str, bytes]:
    """Every file of every folder."""
    return {path: data for vector in vectors.vectors for path, data in _folder(vector)}


def _folder(vector: Vector) -> Iterator[tuple[str, bytes]]:
    case = vector.case
    stack = OnnxStack(case.spec, case.precision)
    stack.load(case.weights.to_layout("onnx"))
    inputs = inputs_of(case, always_states=False)
    outputs = dict(_outputs(vector))
    folder = f"{KIND}/test_lstm_{case.id.replace('-', '_')}"
    yield f"{folder}/model.onnx", make_model(stack, inputs).SerializeToString(deterministic=True)
    allowed = float(vector.expected["y"].allowed.max())
    yield f"{folder}/data.json", json.dumps({"rtol": 0.0, "atol": allowed}).encode()
    yield from _tensors(f"{folder}/test_data_set_0/input", inputs)
    yield from _tensors(f"{folder}/test_data_set_0/output", outputs)


def _outputs(vector: Vector) -> Iterator[tuple[str, Array]]:
    """The model's outputs: y, h and c of each layer."""
    spec, expected = vector.case.spec, vector.expected
    for layer in range(spec.num_layers):
        name = "y" if layer == spec.num_layers - 1 else f"layer{layer}.y"
        rows = slice(layer * spec.num_directions, (layer + 1) * spec.num_directions)
        yield f"y_{layer}", expected[name].value.swapaxes(0, 1)
        yield f"h_{layer}", expected["h_n"].value[rows]
        yield f"c_{layer}", expected["c_n"].value[rows]


def _tensors(stem: str, arrays: Mapping[str, Array]) -> Iterator[tuple[str, bytes]]:
    for number, (name, array) in enumerate(arrays.items()):
        tensor = numpy_helper.from_array(np.ascontiguousarray(array), name)
        yield f"{stem}_{number}.pb", tensor.SerializeToString(deterministic=True)
