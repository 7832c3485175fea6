"""ONNX graphs that compute their weights, call functions or branch; onnxruntime's outputs are the right values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, Result, judge
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import Checkpoint, read_checkpoint
from lstm_xcheck.model import LSTMWeights

from .damage import refusal
from .weights import exchanged

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.framework
X, H, STEPS, BATCH = 3, 4, 5, 2
FLOAT = 1

node: Callable[..., Any] = onnx.helper.make_node
Nodes = list[Any]


def tensors(**arrays: Any) -> list[Any]:
    """Initializers; lists become whole numbers."""
    arrays = {name: np.asarray(value, np.int64 if isinstance(value, list) else None) for name, value in arrays.items()}
    return [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]


def weights(seed: int = 3) -> dict[str, Array]:
    """Weights as PyTorch stores them: gates i, f, g, o in rows."""
    rng = np.random.default_rng(seed)
    shapes = {"w": (4 * H, X), "u": (4 * H, H), "b": (4 * H,), "c": (4 * H,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def value(name: str, shape: list[Any] | None, kind: int = FLOAT) -> Any:
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def saved(path: Path, nodes: Nodes, constants: list[Any], functions: Nodes = [], **options: Any) -> Path:  # noqa: B006
    """A model from `X` (steps, batch, input) to `Y`, checked by onnx."""
    inputs = [value("X", [STEPS, BATCH, X]), *options.pop("inputs", [])]
    graph = onnx.helper.make_graph(nodes, "g", inputs, [value("Y", [STEPS, 1, BATCH, H])], constants)
    imports = [onnx.helper.make_opsetid("", options.pop("opset", 16)), onnx.helper.make_opsetid("local", 1)]
    imports += [onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)
    onnx.save(model, path)
    return path


def verdict(path: Path, found: LSTMWeights, **given: Array) -> str:
    """Of what onnxruntime computes, by the weights that were read."""
    runtime = pytest.importorskip("onnxruntime")
    case = Case.random(found.spec, weights=found, steps=STEPS, batch=BATCH, states=False)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (y,) = session.run(["Y"], {"X": np.swapaxes(case.x, 0, 1), **given})
    return judge(Result(y=np.moveaxis(y[:, 0], 1, 0)), case).verdict


def unread(path: Path) -> dict[str, str]:
    return {tensor.unread: tensor.note for tensor in read_checkpoint(path).other if tensor.unread}


def assert_read(path: Path, name: str, **given: Array) -> None:
    """One LSTM, which computes what the model computes; with two gates exchanged it would not."""
    (lstm,) = read_checkpoint(path).lstms
    assert lstm.name == name
    assert verdict(path, lstm.weights, **given) == "match"
    assert verdict(path, exchanged(lstm.weights), **given) == "mismatch"


def lstm(**attributes: Any) -> Any:
    return node("LSTM", ["X", "W", "R", "B"], ["Y"], "enc", hidden_size=H, **attributes)


def slices() -> tuple[Nodes, list[Any]]:
    """Gates cut out and put in order, as torch.onnx writes it without constant folding."""
    own = weights()
    nodes: Nodes = []
    for t in own:
        for a, b in ((0, 4), (12, 16), (4, 12)):
            nodes.append(node("Slice", [t, f"n{a}", f"n{b}", "n0"], [f"{t}{a}"]))
        nodes.append(node("Concat", [f"{t}0", f"{t}12", f"{t}4"], [f"{t}_"], axis=0))
    nodes.append(node("Concat", ["b_", "c_"], ["bias"], axis=0))
    nodes += [node("Unsqueeze", [a, "n0"], [b]) for a, b in (("w_", "W"), ("u_", "R"), ("bias", "B"))]
    return [*nodes, lstm()], tensors(**own, **{f"n{k}": [k] for k in (0, 4, 8, 12, 16)})


def splits() -> tuple[Nodes, list[Any]]:
    """The kernels (input, 4 h) of Keras, transposed, split and cast."""
    own = weights()
    kernels = {"w": own["w"].T.copy(), "u": own["u"].T.astype(np.float64)}
    nodes: Nodes = []
    for t in kernels:
        gates = [f"{t}{gate}" for gate in "ifgo"]
        nodes.append(node("Transpose", [t], [f"{t}t"]))
        nodes.append(node("Split", [f"{t}t"], gates, axis=0))
        nodes.append(node("Concat", [gates[k] for k in (0, 3, 1, 2)], [f"{t}_"], axis=0))
        nodes.append(node("Reshape", [f"{t}_", f"shape_{t}"], [f"{t}r"]))
        nodes.append(node("Cast", [f"{t}r"], ["W" if t == "w" else "R"], to=FLOAT))
    nodes += [node("Identity", ["b"], ["same"]), node("ConstantOfShape", ["count"], ["none"])]
    nodes += [node("Gather", ["same", "order"], ["sorted"]), node("Concat", ["sorted", "none"], ["both"], axis=-1)]
    nodes.append(node("Unsqueeze", ["both", "zero"], ["B"]))
    order = [*range(4), *range(12, 16), *range(4, 12)]
    shapes = {"shape_w": [1, 4 * H, X], "shape_u": [1, -1, H], "count": [4 * H], "zero": [0], "order": order}
    return [*nodes, lstm()], tensors(**kernels, b=own["b"], **shapes)


@pytest.mark.parametrize("graph", [slices, splits])
def test_weights_made_of_constants_are_read(tmp_path: Path, graph: Callable[[], tuple[Nodes, list[Any]]]) -> None:
    assert_read(saved(tmp_path / "m.onnx", *graph()), "enc")


def canonical(seed: int = 3) -> list[Any]:
    """W, R and B as ONNX stores them."""
    rng = np.random.default_rng(seed)
    shapes = {"W": (1, 4 * H, X), "R": (1, 4 * H, H), "B": (1, 8 * H)}
    return tensors(**{name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


def called(path: Path) -> Path:
    """Weights are inputs of a function within a function, which takes its size from the call."""
    inner = node("LSTM", ["x", "w", "r", "b"], ["y"], "cell")
    attribute = inner.attribute.add()
    attribute.name, attribute.ref_attr_name, attribute.type = "hidden_size", "size", onnx.AttributeProto.INT
    outer = node("Inner", ["x", "w", "r", "b"], ["y"], "deep", domain="local")
    attribute = outer.attribute.add()
    attribute.name, attribute.ref_attr_name, attribute.type = "size", "units", onnx.AttributeProto.INT
    imports = [onnx.helper.make_opsetid("", 16), onnx.helper.make_opsetid("local", 1)]
    names = ["x", "w", "r", "b"]
    functions = [
        onnx.helper.make_function("local", "Inner", names, ["y"], [inner], imports, ["size"]),
        onnx.helper.make_function("local", "Outer", names, ["y"], [outer], imports, ["units"]),
    ]
    call = node("Outer", ["X", "W", "R", "B"], ["Y"], "enc", domain="local", units=H)
    return saved(path, [call], canonical(), functions)


def test_an_lstm_in_local_functions_is_read(tmp_path: Path) -> None:
    assert_read(called(tmp_path / "m.onnx"), "enc/deep/cell")


def test_an_lstm_in_each_branch_is_read(tmp_path: Path) -> None:
    branches = {}
    for name, seed in (("then_branch", 3), ("else_branch", 4)):
        own = node("LSTM", ["X", f"{name}W", "R", "B"], [f"{name}Y"], name, hidden_size=H)
        first = canonical(seed)[0]
        first.name = f"{name}W"
        branches[name] = onnx.helper.make_graph([own], name, [], [value(f"{name}Y", [STEPS, 1, BATCH, H])], [first])
    choice = node("If", ["which"], ["Y"], **branches)
    path = saved(tmp_path / "m.onnx", [choice], canonical(), inputs=[value("which", [], onnx.TensorProto.BOOL)])
    found = {lstm.name: lstm.weights for lstm in read_checkpoint(path).lstms}
    assert set(found) == {"then_branch", "else_branch"}
    for name, own in found.items():
        first = name == "then_branch"
        assert verdict(path, own, which=np.array(first)) == "match"
        assert verdict(path, own, which=np.array(not first)) == "mismatch"


def test_weights_that_a_loop_hands_on_are_read(tmp_path: Path) -> None:
    body = onnx.helper.make_graph(
        [
            node("LSTM", ["x", "w", "R", "b"], ["y"], "inner", hidden_size=H),
            node("Identity", ["go"], ["goes"]), node("Identity", ["w"], ["same"]),
            node("Identity", ["b"], ["other"]), node("Identity", ["x"], ["twice"]),
        ],
        "body",
        [value("k", [], 7), value("go", [], 9), value("x", None), value("w", None), value("b", None)],
        [value("goes", [], 9), value("twice", None), value("same", None), value("other", None), value("y", None)],
    )  # fmt: skip
    loop = node("Loop", ["times", "", "X", "W", "B"], ["x_", "w_", "b_", "Ys"], body=body)
    last = [loop, node("Squeeze", ["Ys", "first"], ["Y"])]
    assert_read(saved(tmp_path / "m.onnx", last, [*canonical(), *tensors(times=np.int64(1), first=[0])]), "inner")
    body.node[3].op_type = "Neg"  # what a loop changes is no constant
    loop = node("Loop", ["times", "", "X", "W", "B"], ["x_", "w_", "b_", "Ys"], body=body)
    changed = saved(tmp_path / "n.onnx", [loop, last[1]], [*canonical(), *tensors(times=np.int64(1), first=[0])])
    assert "its B is computed by other nodes (an input)" in unread(changed)["inner"]


def started(folder: Path, h: Array) -> Checkpoint:
    """A model that begins with a state, repeated for the batch as torch.onnx does it."""
    state = node("Expand", ["h", "shape"], ["state"])
    inputs = ["X", "W", "R", "B", "", "state", "zero"]
    own = [state, node("LSTM", inputs, ["Y"], "enc", hidden_size=H)]
    zero = np.zeros((1, BATCH, H), np.float32)
    return read_checkpoint(saved(folder / "m.onnx", own, [*canonical(), *tensors(h=h, zero=zero, shape=[1, BATCH, H])]))


def test_a_state_that_is_not_zero_is_not_lost(tmp_path: Path) -> None:
    checkpoint = started(tmp_path, np.full((1, 1, H), 0.5, np.float32))
    marked = {tensor.name: tensor.unread for tensor in checkpoint.other if tensor.unread}
    assert marked == {"h": "initial_h of enc"}
    assert "its initial_h is not zero and is not read; it is the tensor h" in checkpoint.lstms[0].notes
    (lstm,) = checkpoint.lstms
    assert verdict(checkpoint.path, lstm.weights) == "mismatch"  # so it must be named
    checkpoint = started(tmp_path, np.zeros((1, 1, H), np.float32))
    assert not any(tensor.unread for tensor in checkpoint.other)
    assert verdict(checkpoint.path, checkpoint.lstms[0].weights) == "match"


@pytest.mark.parametrize(
    ("operator", "domain", "reason"),
    [
        ("DynamicQuantizeLSTM", "com.microsoft", "quantised to 8 bits; port the model as it was"),
        ("AttnLSTM", "com.microsoft", "the operator AttnLSTM of com.microsoft is none of ONNX' own"),
        ("ATen", "org.pytorch.aten", "the operator lstm of org.pytorch.aten is none of ONNX' own"),
        ("CudnnRNNV3", "ai.onnx.contrib", "the operator lstm of ai.onnx.contrib is none of ONNX' own"),
    ],
)
def test_other_operators_of_lstms_are_named(tmp_path: Path, operator: str, domain: str, reason: str) -> None:
    options = {"ATen": {"operator": "lstm"}, "CudnnRNNV3": {"rnn_mode": "lstm"}}.get(operator, {})
    own = node(operator, ["X", "W", "R", "B"], ["Y"], "enc", domain=domain, **options)
    path = saved(tmp_path / "m.onnx", [own], canonical())
    (note,) = unread(path).values()
    assert set(unread(path)) == {"enc"}
    assert note.startswith("an LSTM, not read: ")
    assert reason in note
    assert "W float32[1, 16, 3], R float32[1, 16, 4]" in note


@pytest.mark.parametrize(("operator", "gates"), [("GRU", 3), ("RNN", 1)])
def test_other_recurrent_operators_are_no_lstm(tmp_path: Path, operator: str, gates: int) -> None:
    rng = np.random.default_rng(1)
    kernels = {name: rng.normal(size=(1, gates * H, n)).astype(np.float32) for name, n in (("W", X), ("R", H))}
    own = node(operator, ["X", "W", "R"], ["Y"], "enc", hidden_size=H)
    path = saved(tmp_path / "m.onnx", [own], tensors(**kernels))
    assert read_checkpoint(path).lstms == ()
    assert unread(path) == {}


def test_a_function_called_an_lstm_without_one_is_named(tmp_path: Path) -> None:
    imports = [onnx.helper.make_opsetid("", 16)]
    function = onnx.helper.make_function("local", "MyLSTM", ["x"], ["y"], [node("Relu", ["x"], ["y"])], imports)
    path = saved(tmp_path / "m.onnx", [node("MyLSTM", ["X"], ["Y"], "enc", domain="local")], [], [function])
    assert unread(path) == {"enc": "an LSTM, not read: the function MyLSTM has no operator LSTM within"}
    assert not unread(called(tmp_path / "n.onnx"))


def test_weights_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    own = [node("Concat", [f"w{k}"] * 2, [f"w{k + 1}"], axis=2) for k in range(40)]
    first = tensors(w0=np.ones((1, 4 * H, X), np.float32))
    path = saved(tmp_path / "m.onnx", [*own, node("LSTM", ["X", "w40", "R"], ["Y"])], [*first, *canonical()])
    assert "8 times what the model has" in refusal(path)
    huge = [node("ConstantOfShape", ["shape"], ["B"]), lstm()]
    path = saved(tmp_path / "n.onnx", huge, [*canonical()[:2], *tensors(shape=[1, 1 << 40])])
    assert "8 times what the model has" in refusal(path)


def test_functions_that_call_one_another_without_end_are_refused(tmp_path: Path) -> None:
    imports = [onnx.helper.make_opsetid("", 16), onnx.helper.make_opsetid("local", 1)]

    def function(name: str, inner: str) -> Any:
        calls = [node(inner, ["x"], [f"y{k}"], domain="local") for k in range(8)]
        return onnx.helper.make_function("local", name, ["x"], ["y7"], calls, imports)

    many = [function(f"F{k}", f"F{k + 1}") for k in range(12)]
    path = saved(tmp_path / "m.onnx", [node("F0", ["X"], ["Y"], domain="local")], [], many)
    assert "more than 100000 nodes" in refusal(path)
    path = saved(tmp_path / "n.onnx", [node("F", ["X"], ["Y"], domain="local")], [], [function("F", "F")])
    assert "nests graphs more than 32 deep" in refusal(path)
