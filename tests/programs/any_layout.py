"""A program that computes with the oracle, from weights in the layout that it is started with, gradients included."""

from __future__ import annotations

import struct
import sys

import numpy as np

from lstm_xcheck.adapters.program import message
from lstm_xcheck.layouts import from_layout, to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights
from lstm_xcheck.oracle import forward, gradients

KINDS = [*message.ACTIVATIONS[:7], "hard_sigmoid:{},{}"]

_PARAMETERS = ("W", "U", "b", "projection", "peephole")


def case_of(body: bytes, layout: str, width: int) -> tuple[Case, dict[str, np.ndarray]]:
    """The case of a request, read by the page on the protocol, and the weights as they came."""
    flags, layers, batch, steps, inputs, hidden, projection, count, *rest = message.SIZES.unpack_from(body)
    gate, cell, proj, *kinds = rest[:6]
    names = [KINDS[kind].format(*rest[6:]) for kind in kinds]
    bias = "none" if not flags & 16 else "split" if flags & 32 else "single"
    coupling = "f=1-i" if flags & 256 else "i=1-f" if flags & 512 else None
    spec = LSTMSpec(
        inputs, hidden, layers, bool(flags & 1), bias, projection, bool(flags & 64), bool(flags & 2), *names,
        gate or None, cell or None, proj or None, coupling,
    )  # fmt: skip
    at = message.SIZES.size
    lengths = np.frombuffer(body, "<u8", batch, at) if flags & 8 else None
    numbers = np.frombuffer(body, f"<f{width}", offset=at + (8 * batch if flags & 8 else 0))
    precision = {4: "float32", 8: "float64"}[width]
    stored, start = {}, 0
    for name, array in to_layout(LSTMWeights.random(spec, dtype=precision), layout).items():
        stored[name] = numbers[start : start + array.size].reshape(array.shape)
        start += array.size
    assert start == count
    rows = layers * spec.num_directions
    shapes = {"x": (batch, steps, inputs)}
    if flags & 4:
        shapes |= {"h0": (rows, batch, spec.output_size), "c0": (rows, batch, hidden)}
    data = {}
    for name, shape in shapes.items():
        data[name] = numbers[start : start + int(np.prod(shape))].reshape(shape)
        start += int(np.prod(shape))
    weights = from_layout(stored, layout, dtype=precision)
    whole = LSTMWeights(spec, weights.layers, precision)
    lengths = None if lengths is None else lengths.astype(np.int64)
    return Case(weights=whole, lengths=lengths, gradients=bool(flags & 128), **data), stored


def answer(case: Case, layout: str, width: int) -> bytes:
    truth = forward(case)
    arrays = [truth.y, truth.h_n, truth.c_n, *truth.layer_outputs]
    flags = message.LOWER if truth.layer_outputs else 0
    if case.gradients:
        flags |= message.GRADIENTS
        found = gradients(case).value
        cells = []
        for layer in range(case.spec.num_layers):
            of_layer = []
            for direction in range(case.spec.num_directions):
                names = {name: found.get(f"{layer}.{direction}.{name}") for name in _PARAMETERS}
                names["b_r"] = names["b"] if case.spec.bias == "split" else None
                of_layer.append(type(case.weights.layers[0][0])(**names))
            cells.append(tuple(of_layer))
        arrays += to_layout(LSTMWeights(case.spec, tuple(cells), "float64"), layout).values()
        arrays += [found[name] for name in ("x", "h0", "c0")]
    return struct.pack("<Q", flags) + b"".join(np.ascontiguousarray(a, f"<f{width}").tobytes() for a in arrays)


def serve(layout: str) -> None:
    ins, outs = sys.stdin.buffer, sys.stdout.buffer
    while head := ins.read(message.HEADER.size):
        _, _, kind, width, number, size, canary = message.HEADER.unpack(head)
        body = ins.read(size)
        reply = f"layout {layout}".encode()
        if kind == message.RUN:
            reply = answer(case_of(body, layout, width)[0], layout, width)
        outs.write(message.HEADER.pack(message.ANSWER, 1, 0, width, number, len(reply), canary))
        outs.write(reply)
        outs.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
