"""Recurrences of ONNX graphs that are an LSTM's in kind, but compute something else; onnxruntime says that they do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, Result, judge
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.written.recurrence import Recurrences
from lstm_xcheck.porting.compare_files import compare

from .onnx_steps import BATCH, STEPS, Arrays, H, Nodes, X, gemms, make, random, written_gru
from .test_onnx_written_steps import as_function, cell, looped, marks, run, saved

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.framework

NUMBERS = {"one": 1.0, "half": 0.5, "low": -0.2, "high": 0.2}
Change = tuple[Nodes, ...]


def sigmoids(kind: Callable[[str], Nodes]) -> Nodes:
    return [node for gate in "ifo" for node in kind(gate)]


def by_exp(k: str) -> Nodes:
    nodes = [make("Neg", [f"p{k}"], [f"n{k}"]), make("Exp", [f"n{k}"], [f"e{k}"]), make("Add", ["one", f"e{k}"], [f"d{k}"])]
    return [*nodes, make("Div", ["one", f"d{k}"], [f"s{k}"])]


def by_tanh(k: str) -> Nodes:
    nodes = [make("Mul", [f"p{k}", "half"], [f"n{k}"]), make("Tanh", [f"n{k}"], [f"t{k}"])]
    return [*nodes, make("Mul", [f"t{k}", "half"], [f"m{k}"]), make("Add", [f"m{k}", "half"], [f"s{k}"])]


def norm() -> Nodes:
    """Layer normalisation of c, as exporters write it out."""
    nodes = [make("ReduceMean", ["c_n"], ["mean"], axes=[-1]), make("Sub", ["c_n", "mean"], ["off"])]
    nodes += [make("Mul", ["off", "off"], ["sq"]), make("ReduceMean", ["sq"], ["var"], axes=[-1])]
    nodes += [make("Sqrt", ["var"], ["dev"]), make("Div", ["off", "dev"], ["normed"])]
    return [*nodes, make("Tanh", ["normed"], ["tc"])]


#: What replaces the nodes that make the same values.
CHANGES: dict[str, Nodes] = {
    "clipped": [make("Add", ["ig", "fc"], ["sum"]), make("Clip", ["sum", "low", "high"], ["c_n"])],
    "no-forget-gate": [make("Add", ["ig", "c"], ["c_n"])],
    "no-input-gate": [make("Add", ["fc", "tg"], ["c_n"])],
    "coupled-forget": [make("Sub", ["one", "si"], ["sf"])],
    "coupled-input": [make("Sub", ["one", "sf"], ["si"])],
    "interpolated": [
        make("Sub", ["tg", "c"], ["gc"]), make("Mul", ["si", "gc"], ["igc"]), make("Add", ["c", "igc"], ["c_n"])
    ],
    "constant-forget": [make("Mul", ["c", "half"], ["fc"])],
    "difference": [make("Sub", ["ig", "fc"], ["c_n"])],
    "largest": [make("Max", ["ig", "fc"], ["c_n"])],
    "normed": norm(),
    "exponential-gate": [make("Exp", ["pi"], ["si"])],
    "softmax-gate": [make("Softmax", ["pf"], ["sf"])],
    "other-candidate": [make("Elu", ["pg"], ["tg"])],
    "sigmoid-by-exp": sigmoids(by_exp),
    "sigmoid-by-tanh": sigmoids(by_tanh),
}  # fmt: skip
SAME_FUNCTION = ("sigmoid-by-exp", "sigmoid-by-tanh")
NO_OUTPUT_GATE = {"no-output-gate": [make("Tanh", ["c_n"], ["h_n"])]}


def changed(nodes: Nodes, change: Nodes) -> Nodes:
    """The nodes with others in the place of the first that they replace."""
    made = {name for node in change for name in node.output}
    at = next(k for k, node in enumerate(nodes) if set(node.output) & made)
    made_before = {name for node in change for name in node.input}
    at = max([at, *(k + 1 for k, node in enumerate(nodes) if made_before & set(node.output) - made)])
    kept = [[node for node in part if not set(node.output) & made] for part in (nodes[:at], nodes[at:])]
    used = {name for node in (*kept[0], *change, *kept[1]) for name in node.input} | {"h_n", "c_n", "y", "goes"}
    return [node for node in (*kept[0], *change, *kept[1]) if set(node.output) & used]


def numbers() -> Arrays:
    return {name: np.array(number, np.float32) for name, number in NUMBERS.items()}


def one_step(path: Path, change: Nodes) -> Path:
    nodes, own = gemms()
    return cell(path, lambda: (changed(nodes, change), own | numbers()))


def in_a_loop(path: Path, change: Nodes) -> Path:
    model = onnx.load(looped(path, arrays=numbers()))
    body = next(a.g for node in model.graph.node for a in node.attribute if a.name == "body")
    nodes = changed([*body.node], change)
    del body.node[:]
    body.node.extend(nodes)
    onnx.save(model, path)
    return path


def in_a_function(path: Path, change: Nodes) -> Path:
    """A step that a loop calls."""
    model = onnx.load(as_function(looped(path, arrays=numbers())))
    (function,) = model.functions
    nodes = [make("Constant", [], [name], value_float=number) for name, number in NUMBERS.items()]
    nodes += changed([*function.node], change)
    function.name = "Step"
    next(node for node in next(a.g for n in model.graph.node for a in n.attribute if a.name == "body").node if node.domain).op_type = "Step"
    del function.node[:]
    function.node.extend(nodes)
    onnx.save(model, path)
    return path


def unrolled(path: Path, change: Nodes, steps: int = 3) -> Path:
    """From a state of zeros that the graph has folded away, as exporters do it."""
    nodes, own = gemms()
    nodes = changed(nodes, change)
    own |= numbers() | {"h0": np.zeros((BATCH, H), np.float32), "c0": np.zeros((BATCH, H), np.float32)}
    every: Nodes = []
    for k in range(steps):
        names = {"x": f"x{k}", "h": f"h{k}", "c": f"c{k}", "h_n": f"h{k + 1}", "c_n": f"c{k + 1}"}
        names |= {name: f"{name}_{k}" for node in nodes for name in node.output if name not in names}
        for node in nodes:
            other = make(node.op_type, [names.get(n, n) for n in node.input], [names[n] for n in node.output])
            other.attribute.extend(node.attribute)
            every.append(other)
    return saved(path, every, own, {f"x{k}": [BATCH, X] for k in range(steps)}, (f"h{steps}",))


PLACES = {"step": one_step, "loop": in_a_loop, "function": in_a_function, "unrolled": unrolled}
