"""Steps of LSTMs as exporters and people write them by operators of ONNX: nodes and their tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array

onnx = pytest.importorskip("onnx")

X, H, STEPS, BATCH = 3, 4, 5, 2
GATES = "ifgo"

make: Callable[..., Any] = onnx.helper.make_node
Nodes = list[Any]
Arrays = dict[str, Array]


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def ints(**numbers: list[int]) -> Arrays:
    return {name: np.array(value, np.int64) for name, value in numbers.items()}


def step(pre: dict[str, str], gate: str = "Sigmoid", **attributes: Any) -> Nodes:
    """h_n and c_n of the pre-activations and c."""
    nodes = [make(gate, [pre[k]], [f"s{k}"], **attributes) for k in "ifo"]
    nodes += [make("Tanh", [pre["g"]], ["tg"]), make("Mul", ["c", "sf"], ["fc"]), make("Mul", ["si", "tg"], ["ig"])]
    nodes += [make("Add", ["ig", "fc"], ["c_n"]), make("Tanh", ["c_n"], ["tc"])]
    return [*nodes, make("Mul", ["tc", "so"], ["h_n"])]


def split(order: str = "ifgo") -> tuple[Nodes, dict[str, str]]:
    return [make("Split", ["s"], [f"p{k}" for k in order], axis=1)], {k: f"p{k}" for k in GATES}


def gemms() -> tuple[Nodes, Arrays]:
    """As torch.onnx writes an LSTMCell."""
    own = {"w": random(4 * H, X), "u": random(4 * H, H), "b": random(4 * H, seed=1), "b2": random(4 * H, seed=2)}
    nodes = [make("Gemm", ["h", "u", "b2"], ["hu"], transB=1), make("Gemm", ["x", "w", "b"], ["xw"], transB=1)]
    parts, pre = split()
    return [*nodes, make("Add", ["hu", "xw"], ["s"]), *parts, *step(pre)], own


def slices() -> tuple[Nodes, Arrays]:
    """Kernels as Keras stores them, gates cut out in another order, and its old sigmoid."""
    own = {"w": random(X, 4 * H), "u": random(H, 4 * H), "b": random(4 * H)}
    nodes = [make("MatMul", ["x", "w"], ["xw"]), make("MatMul", ["h", "u"], ["hu"]), make("Add", ["xw", "hu"], ["p"])]
    nodes.append(make("Add", ["p", "b"], ["s"]))
    places = {k: H * n for n, k in enumerate("ogif")}
    nodes += [make("Slice", ["s", f"n{n}", f"n{n + H}", "one"], [f"p{k}"]) for k, n in places.items()]
    nodes += step({k: f"p{k}" for k in GATES}, "HardSigmoid", alpha=0.2, beta=0.5)
    return nodes, {**own, **ints(one=[1], **{f"n{n}": [n] for n in range(0, 5 * H, H)})}


def chunks() -> tuple[Nodes, Arrays]:
    """Ends of the parts computed from a shape, as torch.onnx wrote `chunk`; hard sigmoids as TensorFlow writes them."""
    nodes, own = gemms()
    nodes = [one for one in nodes if one.op_type in ("Gemm", "Add") and one.output[0] != "c_n"]
    nodes += [
        make("Shape", ["s"], ["shape"]),
        make("Gather", ["shape", "last"], ["width"]),
        make("Add", ["width", "n3"], ["w3"]),
    ]
    nodes.append(make("Div", ["w3", "n4"], ["each"]))
    nodes += [make("Mul", ["each", f"n{k}"], [f"e{k}"]) for k in range(5)]
    nodes += [make("Slice", ["s", f"e{n}", f"e{n + 1}", "last"], [f"p{k}"]) for n, k in enumerate(GATES)]
    for k in "ifo":
        nodes += [make("Mul", [f"p{k}", "slope"], [f"m{k}"]), make("Add", ["offset", f"m{k}"], [f"a{k}"])]
        clip = [make("Min", [f"a{k}", "one"], [f"i{k}"]), make("Max", ["zero", f"i{k}"], [f"s{k}"])]
        nodes += clip if k != "o" else [make("Clip", [f"a{k}", "zero", "one"], [f"s{k}"])]
    nodes += [one for one in step({k: f"p{k}" for k in GATES}) if one.op_type != "Sigmoid"]
    numbers = {"slope": 0.2, "offset": 0.5, "one": 1.0, "zero": 0.0}
    own |= {name: np.array(number, np.float32) for name, number in numbers.items()}
    return nodes, {**own, **ints(last=[1], **{f"n{k}": [k] for k in range(5)})}


def apart() -> tuple[Nodes, Arrays]:
    """Eight matrices, as layers that people write by hand have them."""
    own, nodes = {}, []
    for n, k in enumerate(GATES):
        own |= {f"w{k}": random(H, X, seed=n), f"u{k}": random(H, H, seed=n), f"b{k}": random(H, seed=n)}
        nodes += [make("Transpose", [f"w{k}"], [f"wt{k}"]), make("MatMul", ["x", f"wt{k}"], [f"x{k}"])]
        nodes += [make("Gemm", ["h", f"u{k}", f"b{k}"], [f"h{k}"], transB=1)]
        nodes += [make("Add", [f"x{k}", f"h{k}"], [f"p{k}"])]
    return [*nodes, *step({k: f"p{k}" for k in GATES})], own


def joined() -> tuple[Nodes, Arrays]:
    """As TensorFlow 1 writes a BasicLSTMCell: one kernel, gates i, g, f, o, and 1 added to f."""
    own = {"kernel": random(X + H, 4 * H), "bias": random(4 * H), "forget": np.array(1, np.float32)}
    nodes = [make("Concat", ["x", "h"], ["xh"], axis=1), make("MatMul", ["xh", "kernel"], ["m"])]
    parts, pre = split("igfo")
    nodes += [make("Add", ["m", "bias"], ["s"]), *parts, make("Add", ["pf", "forget"], ["p1"])]
    return [*nodes, *step({**pre, "f": "p1"})], own


def peepholes() -> tuple[Nodes, Arrays]:
    nodes, own = apart()
    more = [make("Mul", ["c", "peep"], ["pc"]), make("Add", ["pi", "pc"], ["pi2"])]
    changed = [one for one in nodes if one.output[0] != "si"]
    at = next(k for k, one in enumerate(changed) if one.output[0] == "ig")
    return [*changed[:at], *more, make("Sigmoid", ["pi2"], ["si"]), *changed[at:]], {**own, "peep": random(H)}


def written_gru() -> tuple[Nodes, Arrays]:
    own = {f"{m}{k}": random(H, n, seed=s) for s, k in enumerate("zrn") for m, n in (("w", X), ("u", H))}
    nodes = [make("Gemm", [a, f"{m}{k}"], [f"{a}{k}"], transB=1) for k in "zrn" for a, m in (("x", "w"), ("h", "u"))]
    nodes += [make("Add", ["xz", "hz"], ["az"]), make("Sigmoid", ["az"], ["z"]), make("Add", ["xr", "hr"], ["ar"])]
    nodes += [make("Sigmoid", ["ar"], ["r"]), make("Mul", ["r", "hn"], ["rh"]), make("Add", ["xn", "rh"], ["an"])]
    nodes += [make("Tanh", ["an"], ["n"]), make("Sub", ["h", "n"], ["d"]), make("Mul", ["z", "d"], ["zd"])]
    return [*nodes, make("Add", ["n", "zd"], ["h_n"]), make("Identity", ["c"], ["c_n"])], own
