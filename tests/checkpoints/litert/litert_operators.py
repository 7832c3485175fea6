"""Writes LiteRT models of single LSTM operators, runs each in TensorFlow's interpreter, and keeps what it answers.

Run as a script: FOLDER. Each model `NAME.tflite` has its outputs as `NAME` in `answers.npz`, for the inputs `x`. The
operators' options are those that no converter of Keras uses: peepholes, projections, clips, coupling and others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

BATCH, STEPS, X, H, P = 3, 11, 5, 4, 2
GATES = ("input", "forget", "cell", "output")

#: What differs from a plain operator: parts that are there or not, and options.
MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clip": {"cell_clip": 0.5},
    "peepholes": {"peepholes": True},
    "coupled": {"coupled": True},
    "coupled-peepholes": {"coupled": True, "peepholes": True},
    "projected": {"projected": True},
    "projected-clip": {"projected": True, "proj_clip": 0.3},
    "relu": {"function": 1},
    "hard-tanh": {"function": 2},
    "linear": {"function": 0},
    "time-major": {"time_major": True},
    # Batches first, the interpreter of TensorFlow 2.21 computes the last row of a batch from memory it never wrote.
    "both": {"both": True, "time_major": True},
    "both-with-all": {
        "both": True, "time_major": True, "peepholes": True, "cell_clip": 0.9, "coupled": True, "projected": True,
    },
    "one-step": {"one_step": True},
}  # fmt: skip


class Graph:
    """A model as it grows: tensors with their buffers."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]

    def tensor(self, name: str, shape: tuple[int, ...], values: Any = None, *, variable: bool = False) -> int:
        buffer = 0
        if values is not None:
            stored = schema.BufferT()
            stored.data = np.frombuffer(np.asarray(values, np.float32).tobytes(), np.uint8)
            self.buffers.append(stored)
            buffer = len(self.buffers) - 1
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer, made.isVariable = name, list(shape), 0, buffer, variable
        self.tensors.append(made)
        return len(self.tensors) - 1

    def model(
        self, kind: int, inputs: list[int], outputs: list[int], options: tuple[int, Any], times: int = 1
    ) -> bytes:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 1
        operator = schema.OperatorT()
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = options
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.name = self.tensors, [operator] * times, "main"
        graph.inputs, graph.outputs = [0], outputs
        model = schema.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], self.buffers
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def direction(graph: Graph, rng: Any, prefix: str, given: dict[str, Any]) -> list[int]:
    """The inputs of one direction, -1 for those that are left out."""
    gates = GATES[1:] if given.get("coupled") else GATES
    width = P if given.get("projected") else H

    def part(template: str, gate: str, shape: tuple[int, ...], there: bool) -> int:
        name = prefix + template.format(gate)
        return graph.tensor(name, shape, rng.normal(size=shape, scale=0.7)) if there else -1

    inputs = [part("input_to_{}_weights", gate, (H, X), gate in gates) for gate in GATES]
    inputs += [part("recurrent_to_{}_weights", gate, (H, width), gate in gates) for gate in GATES]
    diagonal = bool(given.get("peepholes"))
    inputs += [part("cell_to_{}_weights", g, (H,), diagonal and g in gates) for g in ("input", "forget", "output")]
    inputs += [part("{}_gate_bias", gate, (H,), gate in gates) for gate in GATES]
    return [*inputs, part("{}_weights", "projection", (P, H), width == P), -1]


def written(name: str, given: dict[str, Any], times: int = 1) -> bytes:
    graph, rng, both, step = Graph(), np.random.default_rng(7), bool(given.get("both")), bool(given.get("one_step"))
    width, count = P if given.get("projected") else H, 2 if both else 1
    outer = (STEPS, BATCH) if given.get("time_major") else (BATCH, STEPS)
    outer = outer[:1] if step else outer
    inputs = [graph.tensor("x", (*outer, X))]
    for number in range(count):
        inputs += direction(graph, rng, f"{number}/", given)
    begun = given.get("begun")
    for state, size in (("h", width), ("c", H)) * count:
        values = None if begun is None else np.full((BATCH, size), begun)
        inputs.append(graph.tensor(state, (BATCH, size), values, variable=begun is None))
    inputs += [-1] * (9 if both else 0 if step else 4)
    y = graph.tensor(f"layers/{name}/y", (*outer, count * width))
    kind = "LSTM" if step else "BidirectionalSequenceLSTM" if both else "UnidirectionalSequenceLSTM"
    options = getattr(schema, f"{kind}OptionsT")()
    options.fusedActivationFunction, options.timeMajor = given.get("function", 4), bool(given.get("time_major"))
    options.cellClip, options.projClip = given.get("cell_clip", 0.0), given.get("proj_clip", 0.0)
    options.mergeOutputs = True
    number = {"LSTM": 16, "UnidirectionalSequenceLSTM": 44, "BidirectionalSequenceLSTM": 52}[kind]
    return graph.model(number, inputs, [y], (getattr(schema.BuiltinOptions, f"{kind}Options"), options), times)


def answered(content: bytes, x: Any, given: dict[str, Any]) -> Any:
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(values: Any) -> Any:
        interpreter.set_tensor(source, values)
        interpreter.invoke()
        return interpreter.get_tensor(result)

    if given.get("one_step"):  # the interpreter keeps the states from call to call
        return np.stack([run(x[:, t]) for t in range(STEPS)], axis=1)
    return run(x.swapaxes(0, 1)).swapaxes(0, 1) if given.get("time_major") else run(x)


def main(folder: Path) -> None:
    x = np.random.default_rng(3).normal(size=(BATCH, STEPS, X)).astype(np.float32)
    answers = {"x": x}
    for name, given in MODELS.items():
        content = written(name, given)
        (folder / f"{name}.tflite").write_bytes(content)
        answers[name] = answered(content, x, given)
    for stem, begun in (("begun", 0.5), ("begun-zero", 0.0)):
        (folder / f"{stem}.tflite").write_bytes(written(stem, {"begun": begun}))
    (folder / "repeated.tflite").write_bytes(written("repeated", MODELS["peepholes"], times=1_001))
    np.savez(folder / "answers.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
