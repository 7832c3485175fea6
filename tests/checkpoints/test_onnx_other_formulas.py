"""Recurrences of ONNX graphs that are an LSTM's in kind, but compute something else; onnxruntime says that they do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, Result, judge
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.written.recurrence import Recurrences
from lstm_xcheck.porting.compare_files import compare

from .onnx_steps import BATCH, STEPS, Arrays, H, Nodes, X, gemms, make, random, written_gru
from .test_onnx_written_steps import as_function, cell, looped, marks, run, saved, value

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.framework

NUMBERS = {"one": 1.0, "half": 0.5, "low": -0.2, "high": 0.2}


def sigmoids(kind: Callable[[str], Nodes]) -> Nodes:
    return [node for gate in "ifo" for node in kind(gate)]


def by_exp(k: str) -> Nodes:
    nodes = [
        make("Neg", [f"p{k}"], [f"n{k}"]),
        make("Exp", [f"n{k}"], [f"e{k}"]),
        make("Add", ["one", f"e{k}"], [f"d{k}"]),
    ]
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
    at = next((k for k, node in enumerate(nodes) if set(node.output) & made), 0)
    made_before = {name for node in change for name in node.input}
    at = max([at, *(k + 1 for k, node in enumerate(nodes) if made_before & set(node.output) - made)])
    kept = [[node for node in part if not set(node.output) & made] for part in (nodes[:at], nodes[at:])]
    used = {name for node in (*kept[0], *change, *kept[1]) for name in node.input} | {"h_n", "c_n", "y", "goes"}
    return [node for node in (*kept[0], *change, *kept[1]) if set(node.output) & used]


def numbers() -> Arrays:
    return {name: np.array(number, np.float32) for name, number in NUMBERS.items()}


def one_step(path: Path, change: Nodes, of: Callable[[], tuple[Nodes, Arrays]] = gemms) -> Path:
    nodes, own = of()
    return cell(path, lambda: (changed(nodes, change), own | numbers()))


def body_of(model: Any) -> Any:
    return next(a.g for node in model.graph.node for a in node.attribute if a.name == "body")


def exchange(graph: Any, nodes: Nodes) -> None:
    del graph.node[:]
    graph.node.extend(nodes)


def in_a_loop(path: Path, change: Nodes, of: Callable[[], tuple[Nodes, Arrays]] = gemms) -> Path:
    nodes, own = of()
    model = onnx.load(looped(path, arrays=numbers() | own))
    body = body_of(model)
    step = {name for node in gemms()[0] for name in node.output}
    rest = [node for node in body.node if not set(node.output) & step]
    exchange(body, [rest[0], *changed(nodes, change), *rest[1:]])
    onnx.save(model, path)
    return path


def in_a_function(path: Path, change: Nodes) -> Path:
    """A step that a loop calls, under a name that says nothing."""
    model = onnx.load(as_function(looped(path, arrays=numbers())))
    (function,) = model.functions
    constants = [make("Constant", [], [name], value_float=number) for name, number in NUMBERS.items()]
    exchange(function, [*constants, *changed([*function.node], change)])
    function.name = next(node for node in body_of(model).node if node.domain).op_type = "Step"
    onnx.save(model, path)
    return path


def unrolled(path: Path, change: Nodes, of: Callable[[], tuple[Nodes, Arrays]] = gemms) -> Path:
    nodes, own = of()
    nodes, every = changed(nodes, change), list[Any]()
    own |= numbers() | {"h0": np.zeros((BATCH, H), np.float32), "c0": np.zeros((BATCH, H), np.float32)}
    for k in range(3):
        names = {"x": f"x{k}", "h": f"h{k}", "c": f"c{k}", "h_n": f"h{k + 1}", "c_n": f"c{k + 1}"}
        names |= {name: f"{name}_{k}" for node in nodes for name in node.output if name not in names}
        for node in nodes:
            other = make(node.op_type, [names.get(n, n) for n in node.input], [names[n] for n in node.output])
            other.attribute.extend(node.attribute)
            every.append(other)
    return saved(path, every, own, {f"x{k}": [BATCH, X] for k in range(3)}, ("h3",))


PLACES: dict[str, Callable[..., Path]] = {
    "step": one_step, "loop": in_a_loop, "function": in_a_function, "unrolled": unrolled
}  # fmt: skip


def with_a_plain_lstm(path: Path) -> Path:
    model = onnx.load(path)
    weights = {"plain_w": random(1, 4 * H, X, seed=7), "plain_r": random(1, 4 * H, H, seed=7)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    model.graph.input.append(value("plain_x", [STEPS, BATCH, X]))
    model.graph.node.append(make("LSTM", ["plain_x", *weights], ["plain_y"], "plain", hidden_size=H))
    model.graph.output.append(value("plain_y", None))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("change", [*CHANGES, *NO_OUTPUT_GATE])
def test_another_formula_is_named_with_a_plain_lstm(tmp_path: Path, place: str, change: str) -> None:
    if change in NO_OUTPUT_GATE and place == "step":
        return  # one step of it alone is no recurrence
    path = with_a_plain_lstm(PLACES[place](tmp_path / "m.onnx", {**CHANGES, **NO_OUTPUT_GATE}[change]))
    assert [lstm.name for lstm in read_checkpoint(path).lstms] == ["plain"]
    (note,) = marks(path).values()
    assert note.startswith("an LSTM, not read: it computes something else than c = i g + f c and h = o act(c); its")
    assert "u float32[16, 4], w float32[16, 3]" in note
    if place == "step":
        assert verdict_of(path, tmp_path) == ("match" if change in SAME_FUNCTION else "mismatch")


def verdict_of(path: Path, folder: Path) -> str:
    """Of what onnxruntime computes, by the weights of the step as LSTMs have it."""
    (plain,) = read_checkpoint(one_step(folder / "p.onnx", [])).lstms
    case = Case.random(plain.weights.spec, weights=plain.weights, steps=1, batch=BATCH)
    assert case.h0 is not None and case.c0 is not None
    given = {"x": case.x[:, 0], "h": case.h0[0], "c": case.c0[0], "plain_x": np.zeros((STEPS, BATCH, X), np.float32)}
    h, c = run(path, ["h_n", "c_n"], **given)
    return str(judge(Result(y=h[:, None], h_n=h[None], c_n=c[None]), case).verdict)


def test_a_file_with_another_formula_is_never_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant that looks for none says SAME of files that differ in it."""
    one = with_a_plain_lstm(one_step(tmp_path / "a.onnx", CHANGES["coupled-forget"]))
    other = with_a_plain_lstm(one_step(tmp_path / "b.onnx", CHANGES["clipped"]))
    assert not compare(one, other).same
    monkeypatch.setattr(Recurrences, "find", lambda self, values: iter(()))
    assert compare(one, other).same


def highway() -> tuple[Nodes, Arrays]:
    """t u(h) + (1 - t) h, whose sum is what weights multiply."""
    nodes = [make("Gemm", ["h", "w"], ["a"], transB=1), make("Sigmoid", ["a"], ["t"]), make("Sub", ["one", "t"], ["k"])]
    nodes += [make("Gemm", ["h", "u"], ["b"], transB=1), make("Tanh", ["b"], ["g"]), make("Mul", ["t", "g"], ["tg"])]
    nodes += [make("Mul", ["k", "h"], ["kh"]), make("Add", ["tg", "kh"], ["h_n"]), make("Identity", ["c"], ["c_n"])]
    return [make("Identity", ["x"], ["same"]), *nodes], {"w": random(H, H), "u": random(H, H, seed=1)}


@pytest.mark.parametrize("place", ["step", "loop", "unrolled"])
@pytest.mark.parametrize("other", [written_gru, highway])
def test_other_gated_layers_are_no_lstm(tmp_path: Path, place: str, other: Callable[[], tuple[Nodes, Arrays]]) -> None:
    path = PLACES[place](tmp_path / "m.onnx", [], other)
    assert (read_checkpoint(path).lstms, marks(path)) == ((), {})


@pytest.mark.parametrize("place", ["step", "loop", "unrolled"])
def test_steps_that_openvino_writes_out_are_named(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's converter writes every cell out, a plain one too; the mutant that looks for none names none."""
    openvino = pytest.importorskip("openvino")
    plain: Nodes = []
    graphs = [(plain, gemms), (CHANGES["clipped"], gemms), (CHANGES["normed"], gemms), (plain, written_gru)]
    for change, of in [*graphs, (plain, highway)]:
        PLACES[place](tmp_path / "m.onnx", change, of)
        openvino.save_model(openvino.convert_model(tmp_path / "m.onnx"), tmp_path / "m.xml")
        checkpoint = read_checkpoint(tmp_path / "m.xml")
        assert checkpoint.lstms == ()
        assert len(checkpoint.unread) == (1 if of is gemms else 0)
        for lstm in checkpoint.unread:
            assert "its steps are written out by operators; port the file that" in lstm.why
            assert "u_compressed float16[16, 4], w_compressed float16[16, 3]" in lstm.why
    monkeypatch.setattr(Recurrences, "find", lambda self, values: iter(()))
    PLACES[place](tmp_path / "m.onnx", [])
    openvino.save_model(openvino.convert_model(tmp_path / "m.onnx"), tmp_path / "m.xml")
    assert read_checkpoint(tmp_path / "m.xml").unread == ()
