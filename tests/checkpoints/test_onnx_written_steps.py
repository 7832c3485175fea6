"""LSTMs that ONNX graphs write out by operators; onnxruntime's outputs are the right values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, Result, judge
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import FoundLSTM, read_checkpoint
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2

from .damage import refusal
from .onnx_steps import (
    BATCH,
    GATES,
    STEPS,
    Arrays,
    H,
    Nodes,
    X,
    apart,
    chunks,
    gemms,
    ints,
    joined,
    make,
    peepholes,
    random,
    slices,
    split,
    step,
    written_gru,
)  # fmt: skip
from .weights import exchanged

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.framework


def value(name: str, shape: list[Any] | None, kind: int = 1) -> Any:
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def saved(path: Path, nodes: Nodes, arrays: Arrays, inputs: dict[str, list[Any]], outputs: tuple[str, ...]) -> Path:
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    given, made = [value(*one) for one in inputs.items()], [value(name, None) for name in outputs]
    graph = onnx.helper.make_graph(nodes, "g", given, made, tensors)
    imports = [onnx.helper.make_opsetid("", 16)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


def cell(path: Path, graph: Callable[[], tuple[Nodes, Arrays]]) -> Path:
    inputs = {"x": [BATCH, X], "h": [BATCH, H], "c": [BATCH, H]}
    return saved(path, *graph(), inputs, ("h_n", "c_n"))


def run(path: Path, outputs: list[str], **given: Array) -> list[Array]:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: list[Array] = session.run(outputs, given)
    return found


def marks(path: Path) -> dict[str, str]:
    return {tensor.unread: tensor.note for tensor in read_checkpoint(path).other if tensor.unread}


CELLS: dict[str, tuple[Callable[[], tuple[Nodes, Arrays]], dict[str, Any]]] = {
    "gemms": (gemms, {"bias": "split"}),
    "slices": (slices, {"bias": "single", "gate_activation": HARD_SIGMOID_KERAS2}),
    "apart": (apart, {"bias": "single"}),
    "joined": (joined, {"bias": "single"}),
    "chunks": (chunks, {"bias": "split", "gate_activation": HARD_SIGMOID_KERAS2}),
}


@pytest.mark.parametrize(("graph", "options"), CELLS.values(), ids=CELLS)
def test_a_cell_computes_what_is_read(
    tmp_path: Path, graph: Callable[[], tuple[Nodes, Arrays]], options: dict[str, Any]
) -> None:
    path = cell(tmp_path / "m.onnx", graph)
    checkpoint = read_checkpoint(path)
    (found,) = checkpoint.lstms
    assert not marks(path)
    assert {key: getattr(found.weights.spec, key) for key in options} == options
    assert (found.weights.spec.input_size, found.weights.spec.hidden_size) == (X, H)
    assert "one step that the graph writes out, read as a layer of its own" in found.notes
    assert not [tensor for tensor in checkpoint.other if tensor.dtype == "float32" and tensor.shape]
    topology = read_checkpoint(path, load_other_tensors=True).topology
    assert (topology.layers, topology.unsupported) == ((), ())  # its operators are no layers of their own
    case = Case.random(found.weights.spec, weights=found.weights, steps=1, batch=BATCH)
    assert case.h0 is not None and case.c0 is not None
    h, c = run(path, ["h_n", "c_n"], x=case.x[:, 0], h=case.h0[0], c=case.c0[0])
    result = Result(y=h[:, None], h_n=h[None], c_n=c[None])
    assert judge(result, case).verdict == "match"
    wrong = exchanged(found.weights)
    assert judge(result, Case(weights=wrong, x=case.x, h0=case.h0, c0=case.c0)).verdict == "mismatch"


@pytest.mark.parametrize(
    "kernels", ["weight_ih weight_hh", "recurrent_kernel kernel", "a b", "hidden_layer recur", "h_gates x_gates"]
)
def test_equal_shapes_are_told_apart_by_names_alone(tmp_path: Path, kernels: str) -> None:
    """Kernels of an LSTM with as many inputs as units."""
    own = {name: random(4 * H, H, seed=k) for k, name in enumerate(kernels.split())}
    nodes = [make("Gemm", [fed, name], [f"m{name}"], transB=1) for name, fed in zip(own, ("in", "last"), strict=True)]
    parts, pre = split()
    nodes += [make("Add", [f"m{name}" for name in own], ["s"]), *parts, *step(pre)]
    inputs = {"in": [BATCH, H], "last": [BATCH, H], "c": [BATCH, H]}
    path = saved(tmp_path / "m.onnx", nodes, own, inputs, ("h_n", "c_n"))
    if kernels not in ("weight_ih weight_hh", "recurrent_kernel kernel"):
        (note,) = marks(path).values()
        assert "nothing tells which of its weights" in note
        assert f"{kernels.split(maxsplit=1)[0]} float32[16, 4]" in note
        return
    (found,) = read_checkpoint(path).lstms
    recurrent = next(name for name in own if "hh" in name or "recurrent" in name)
    np.testing.assert_array_equal(np.concatenate(list(found.weights.layers[0][0].U)), own[recurrent])


def test_other_steps_are_named_or_no_lstm(tmp_path: Path) -> None:
    path = cell(tmp_path / "p.onnx", peepholes)
    assert read_checkpoint(path).lstms == ()
    assert list(marks(path).values()) == ["an LSTM, not read: its pre-activations are computed by mul"]
    path = cell(tmp_path / "g.onnx", written_gru)
    assert (read_checkpoint(path).lstms, marks(path)) == ((), {})


def test_quantised_and_unrolled_steps_are_named(tmp_path: Path) -> None:
    nodes, own = gemms()
    quantised = {**own, "u": np.ones((H, 4 * H), np.int8), "zero": np.array(0, np.uint8)}
    first = [make("Cast", ["h"], ["hq"], to=2), make("MatMulInteger", ["hq", "u", "zero"], ["hi"])]
    first.append(make("Cast", ["hi"], ["hu"], to=1))
    path = cell(tmp_path / "q.onnx", lambda: ([*first, *nodes[1:]], quantised))
    assert list(marks(path).values()) == ["an LSTM, not read: its pre-activations are computed by MatMulInteger"]
    stored = {**own, "u": np.ones((4 * H, H), np.int8), "scale": np.array(0.1, np.float32)}
    first = [make("DequantizeLinear", ["u", "scale"], ["uf"]), make("Gemm", ["h", "uf", "b2"], ["hu"], transB=1)]
    path = cell(tmp_path / "d.onnx", lambda: ([*first, *nodes[1:]], stored))
    (note,) = marks(path).values()
    assert note == "an LSTM, not read: its pre-activations are computed by Gemm with what DequantizeLinear gives"
    names = {"h": "h_n", "c": "c_n", **{name: f"2{name}" for one in nodes for name in one.output}}
    second = [make(one.op_type, [names.get(k, k) for k in one.input], [names[k] for k in one.output]) for one in nodes]
    for one, other in zip(nodes, second, strict=True):
        other.attribute.extend(one.attribute)
    path = cell(tmp_path / "u.onnx", lambda: ([*nodes, *second], own))
    assert read_checkpoint(path).lstms == ()
    assert "its steps are unrolled" in "".join(marks(path).values())


def looped(path: Path, mask: str = "", **changes: Any) -> Path:
    """A loop over x (steps, batch, input) from h0 and c0; y (steps, batch, hidden) are its outputs."""
    nodes, own = gemms()
    own |= {"h0": np.zeros((1, H), np.float32), "c0": np.zeros((1, H), np.float32), **ints(shape=[BATCH, H])}
    own |= {"times": np.array(STEPS, np.int64), "none": np.array(0, np.int64), "by": np.array(1, np.int64)}
    own |= changes.pop("arrays", {})
    body = [make("Gather", ["X", changes.pop("index", "k")], ["x"], axis=0), *nodes]
    body += [make("Identity", ["go"], ["goes"]), *changes.pop("more", [])]
    ends = {"h": "h_n", "c": "c_n"}
    if mask == "where":
        body.append(make("Gather", ["mask", "k"], ["m"], axis=0))
        body += [make("Where", ["m", f"{s}_n", s], [f"{s}_m"]) for s in "hc"]
    if mask == "numbers":
        body += [make("Gather", ["mask", "k"], ["m"], axis=0), make("Not", ["m"], ["not"])]
        body += [make("Cast", ["m"], ["one"], to=1), make("Cast", ["not"], ["other"], to=1)]
        for s in "hc":
            body += [make("Mul", ["one", f"{s}_n"], [f"{s}1"]), make("Mul", [s, "other"], [f"{s}2"])]
            body.append(make("Add", [f"{s}1", f"{s}2"], [f"{s}_m"]))
    if mask:
        ends = {"h": "h_m", "c": "c_m"}
    ends |= changes.pop("ends", {})
    body.append(make("Identity", [ends["h"]], ["y"]))
    graph = onnx.helper.make_graph(
        body, "body",
        [value("k", [], 7), value("go", [], 9), value("h", [BATCH, H]), value("c", [BATCH, H])],
        [value("goes", [], 9), value(ends["h"], [BATCH, H]), value(ends["c"], [BATCH, H]), value("y", [BATCH, H])],
    )  # fmt: skip
    before = [make("Expand", [s, "shape"], [f"{s}e"]) for s in ("h0", "c0")]
    loop = make("Loop", ["times", "", "h0e", "c0e"], ["hl", "cl", "Y"], "enc/loop", body=graph)
    inputs: dict[str, Any] = {"X": [STEPS, BATCH, X]}
    saved(path, [*before, loop], own, inputs, ("Y",))
    if mask:
        model = onnx.load(path)
        model.graph.input.append(value("mask", [STEPS, BATCH, 1], 9))
        onnx.save(model, path)
    return path


def verdict(path: Path, found: FoundLSTM, lengths: Array | None = None, **given: Array) -> str:
    case = Case.random(found.weights.spec, weights=found.weights, steps=STEPS, batch=BATCH, states=False)
    case = Case(weights=case.weights, x=case.x, lengths=lengths)
    (y,) = run(path, ["Y"], X=np.swapaxes(case.x, 0, 1), **given)
    kept = np.swapaxes(y, 0, 1) * case.valid[..., None]  # a mask repeats the last output
    return judge(Result(y=kept.astype(np.float32)), case).verdict


def test_a_loop_computes_what_is_read(tmp_path: Path) -> None:
    path = looped(tmp_path / "m.onnx")
    (found,) = read_checkpoint(path).lstms
    assert (found.name, found.notes, marks(path)) == ("enc", (), {})
    assert read_checkpoint(path, load_other_tensors=True).topology.unsupported == ()
    assert verdict(path, found) == "match"


def as_function(path: Path) -> Path:
    """The step of a loop becomes a function that the loop calls."""
    model = onnx.load(path)
    body = next(a.g for node in model.graph.node for a in node.attribute if a.name == "body")
    nodes, own = gemms()
    made = {name for one in nodes for name in one.output}
    rest = [one for one in body.node if not set(one.output) & made]
    names = ["x", "h", "c", *own]
    imports = [onnx.helper.make_opsetid("", 16)]
    model.functions.append(onnx.helper.make_function("local", "MyLSTMCell", names, ["h_n", "c_n"], nodes, imports))
    model.opset_import.append(onnx.helper.make_opsetid("local", 1))
    call = make("MyLSTMCell", names, ["h_n", "c_n"], "cell", domain="local")
    del body.node[:]
    body.node.extend([rest[0], call, *rest[1:]])
    onnx.save(model, path)
    return path


def test_a_function_that_a_loop_calls_is_read(tmp_path: Path) -> None:
    path = as_function(looped(tmp_path / "m.onnx"))
    (found,) = read_checkpoint(path).lstms
    assert (found.notes, marks(path)) == ((), {})
    assert verdict(path, found) == "match"


def test_a_loop_over_a_reversed_sequence_is_backward(tmp_path: Path) -> None:
    path = looped(tmp_path / "m.onnx")
    model = onnx.load(path)
    lengths = onnx.numpy_helper.from_array(np.full(BATCH, STEPS, np.int64), "lengths")
    model.graph.initializer.append(lengths)
    model.graph.node.insert(0, make("ReverseSequence", ["X", "lengths"], ["Xr"], time_axis=0, batch_axis=1))
    body = next(a.g for node in model.graph.node for a in node.attribute if a.name == "body")
    body.node[0].input[0] = "Xr"
    onnx.save(model, path)
    (found,) = read_checkpoint(path).lstms
    assert found.weights.spec.reverse
    case = Case.random(found.weights.spec, weights=found.weights, steps=STEPS, batch=BATCH, states=False)
    (y,) = run(path, ["Y"], X=np.swapaxes(case.x, 0, 1))
    assert judge(Result(y=np.swapaxes(y[::-1], 0, 1)), case).verdict == "match"
    assert judge(Result(y=np.swapaxes(y, 0, 1)), case).verdict == "mismatch"


@pytest.mark.parametrize("mask", ["where", "numbers"])
def test_a_loop_with_a_mask_computes_what_is_read(tmp_path: Path, mask: str) -> None:
    path = looped(tmp_path / "m.onnx", mask)
    (found,) = read_checkpoint(path).lstms
    assert found.notes == ("the graph masks steps, which keep the states as they are",)
    lengths = np.array([STEPS, 2])
    rows = np.arange(STEPS)[:, None, None] < lengths[None, :, None]
    assert verdict(path, found, lengths, mask=rows) == "match"


def test_a_scan_backward_is_read_backward(tmp_path: Path) -> None:
    nodes, own = gemms()
    states = {"h": value("h", [BATCH, H]), "c": value("c", [BATCH, H])}
    body = onnx.helper.make_graph(
        [*nodes, make("Identity", ["h_n"], ["y"])], "body", [*states.values(), value("x", [BATCH, X])],
        [value("h_n", [BATCH, H]), value("c_n", [BATCH, H]), value("y", [BATCH, H])],
    )  # fmt: skip
    zero = {"zero": np.zeros((BATCH, H), np.float32)}
    for way in (0, 1):
        scan = make(
            "Scan", ["zero", "zero", "X"], ["hl", "cl", "Y"], "enc", body=body, num_scan_inputs=1,
            scan_input_directions=[way], scan_output_directions=[way],
        )  # fmt: skip
        path = saved(tmp_path / f"{way}.onnx", [scan], {**own, **zero}, {"X": [STEPS, BATCH, X]}, ("Y",))
        (found,) = read_checkpoint(path).lstms
        assert found.weights.spec.reverse == bool(way)
        assert verdict(path, found) == "match"


def test_loops_that_are_no_lstm_over_a_sequence_are_named(tmp_path: Path) -> None:
    half = {"arrays": {"half": np.array(0.5, np.float32)}, "more": [make("Mul", ["c_n", "half"], ["c_h"])]}
    path = looped(tmp_path / "c.onnx", ends={"c": "c_h"}, **half)
    assert list(marks(path).values()) == [
        "an LSTM, not read: its loop does something else with its states than a step of an LSTM"
    ]
    last = {"arrays": ints(last=[STEPS - 1]), "more": []}
    back = looped(tmp_path / "b.onnx", index="back", **last)
    model = onnx.load(back)
    graph = next(a.g for node in model.graph.node for a in node.attribute if a.name == "body")
    graph.node.insert(0, make("Sub", ["last", "k"], ["back"]))
    graph.node.insert(2, make("Squeeze", ["x", "none1"], ["x1"]))
    for node in graph.node:
        if node.op_type == "Gemm" and node.input[0] == "x":
            node.input[0] = "x1"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "none1"))
    onnx.save(model, back)
    assert list(marks(back).values()) == [
        "an LSTM, not read: its loop does not go through the sequence from step 0 one by one"
    ]


def test_a_state_of_a_loop_that_is_not_zero_is_named(tmp_path: Path) -> None:
    path = looped(tmp_path / "m.onnx", arrays={"c0": np.full((1, H), 0.5, np.float32)})
    (found,) = read_checkpoint(path).lstms
    assert marks(path) == {"initial_c of enc": "an LSTM, not read: a state that enc begins with is not zero"}
    assert verdict(path, found) == "mismatch"


def test_products_that_are_no_steps_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_xcheck.checkpoints.written.cell._MOST_FAILURES", 3)
    path = cell(tmp_path / "m.onnx", gemms)
    assert len(read_checkpoint(path).lstms) == 1
    nodes, own = gemms()
    plain = [one for one in nodes if one.op_type not in ("Gemm", "Split")]
    parts = [make("Identity", ["x"], [f"p{k}"]) for k in GATES]
    many = [
        make(one.op_type, [f"{k}{name}" for name in one.input], [f"{k}{name}" for name in one.output])
        for k in range(4)
        for one in [*parts, *plain]
    ]
    assert "look like steps of an LSTM" in refusal(cell(path, lambda: (many, own)))


@pytest.mark.parametrize("operator", ["Add", "Mul", "Concat", "Identity"])
def test_values_that_are_made_of_themselves_end(tmp_path: Path, operator: str) -> None:
    """Slices whose ends are sums without end, and weights that are made of themselves."""
    nodes, own = chunks()
    times = 1 if operator == "Identity" else 2
    ends = [make(operator, [f"e{k}"] * times, [f"e{k}"]) for k in range(5)]
    nodes = [one for one in nodes if one.output[0] not in {f"e{k}" for k in range(5)}] + ends
    nodes += [make(operator, ["u"] * times, ["u"]), make("LSTM", ["x", "loop", "loop"], ["Y"], "enc", hidden_size=H)]
    nodes.append(make(operator, ["loop"] * times, ["loop"]))
    own = {name: array for name, array in own.items() if name != "u"}
    path = cell(tmp_path / "m.onnx", lambda: (nodes, own))
    assert read_checkpoint(path).lstms == ()
    assert "enc" in marks(path)
