"""ONNX models: gates read with an expression of their own, written files run by onnxruntime, hostile ones refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, Result, judge
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import load, read_checkpoint
from lstm_xcheck.checkpoints.write import write_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.model import LSTMSpec, LSTMWeights
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3

from .damage import outcomes_of_alterations, refusal
from .weights import exchanged

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.framework
X, H, STEPS, BATCH = 5, 4, 7, 3


def node_model(path: Path, arrays: dict[str, Array], directions: int = 1, **attributes: Any) -> Path:
    """A model of one node named `node`, its tensors under names that mean nothing."""
    places = {"W": 1, "R": 2, "B": 3, "P": 7}
    inputs = ["X"] + [""] * 7
    for kind in arrays:
        inputs[places[kind]] = f"val_{places[kind]}"
    while not inputs[-1]:
        inputs.pop()
    node = onnx.helper.make_node("LSTM", inputs, ["Y"], name="node", hidden_size=H, **attributes)
    value = onnx.helper.make_tensor_value_info
    tensors = [onnx.numpy_helper.from_array(a, f"val_{places[kind]}") for kind, a in arrays.items()]
    graph = onnx.helper.make_graph(
        [node], "g", [value("X", 1, [STEPS, BATCH, X])], [value("Y", 1, [STEPS, directions, BATCH, H])], tensors
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=7)
    path.write_bytes(model.SerializeToString())
    return path


def random_arrays(directions: int, dtype: str = "float32", peephole: bool = False) -> dict[str, Array]:
    rng = np.random.default_rng(7)
    shapes = {"W": (directions, 4 * H, X), "R": (directions, 4 * H, H), "B": (directions, 8 * H)}
    if peephole:
        shapes["P"] = (directions, 3 * H)
    return {kind: rng.normal(size=shape).astype(dtype) for kind, shape in shapes.items()}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_both_directions_are_read_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    arrays = random_arrays(2, dtype, peephole=True)
    weights = load(node_model(tmp_path / "m.onnx", arrays, 2, direction="bidirectional"))["node"]
    assert weights.spec == LSTMSpec(X, H, bidirectional=True, peepholes=True)
    assert weights.dtype == dtype
    for direction, cell in enumerate(weights.layers[0]):
        assert cell.b is not None and cell.b_r is not None and cell.peephole is not None
        for block, gate in enumerate("iofg"):
            rows = slice(block * H, (block + 1) * H)
            np.testing.assert_array_equal(cell.W[gate], arrays["W"][direction, rows])
            np.testing.assert_array_equal(cell.U[gate], arrays["R"][direction, rows])
            np.testing.assert_array_equal(cell.b[gate], arrays["B"][direction, rows])
            np.testing.assert_array_equal(cell.b_r[gate], arrays["B"][direction, 4 * H :][rows])
        for block, index in enumerate((0, 2, 1)):  # stored i, o, f; kept i, f, o
            np.testing.assert_array_equal(cell.peephole[index], arrays["P"][direction, block * H : (block + 1) * H])


ATTRIBUTES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "reverse": ({"direction": "reverse"}, {"reverse": True}),
    "clip": ({"clip": 0.7}, {"gate_clip": 0.7}),
    "input-forget": ({"input_forget": 1}, {"coupling": "f=1-i"}),
    "hard-sigmoid-default": (
        {"activations": ["HardSigmoid", "Tanh", "Tanh"]}, {"gate_activation": HARD_SIGMOID_KERAS2},
    ),
    "hard-sigmoid-numbers": (
        {
            "activations": ["HardSigmoid", "Relu", "Affine"],
            "activation_alpha": [1 / 6, 1.0],
            "activation_beta": [0.5, 0.0],
        },
        {"gate_activation": HARD_SIGMOID_KERAS3, "cell_activation": "relu", "output_activation": "linear"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("attributes", "options"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attributes_become_the_spec(tmp_path: Path, attributes: dict[str, Any], options: dict[str, Any]) -> None:
    path = node_model(tmp_path / "m.onnx", random_arrays(1), **attributes)
    assert load(path)["node"].spec == LSTMSpec(X, H, **options)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"activations": ["Sigmoid", "Tanh", "Elu"]}, "activation Elu has no canonical form"),
        ({"activations": ["Sigmoid", "Tanh"]}, "it has 2 activations, expected 3"),
        ({"invented": 3}, "attribute invented has no canonical form"),
    ],
    ids=["elu", "two-activations", "unknown"],
)
def test_what_a_spec_cannot_say_is_refused_by_name(tmp_path: Path, attributes: dict[str, Any], reason: str) -> None:
    checkpoint = read_checkpoint(node_model(tmp_path / "m.onnx", random_arrays(1), **attributes))
    assert checkpoint.lstms == ()
    with pytest.raises(CheckpointError, match=reason):
        checkpoint.require_lstms()


def test_computed_weights_are_named(tmp_path: Path) -> None:
    path = node_model(tmp_path / "m.onnx", random_arrays(1))
    model = onnx.load(path)
    model.graph.node.insert(0, onnx.helper.make_node("Neg", ["val_1"], ["negated"]))
    model.graph.node[1].input[1] = "negated"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="its W is computed by other nodes"):
        load(path)


def test_constant_and_identity_nodes_are_followed(tmp_path: Path) -> None:
    arrays = random_arrays(1)
    path = node_model(tmp_path / "m.onnx", arrays)
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == "val_1")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["held"], value=tensor))
    model.graph.node.insert(1, onnx.helper.make_node("Identity", ["held"], ["same"]))
    model.graph.node[2].input[1] = "same"
    model.graph.initializer.remove(tensor)
    path.write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(load(path)["node"].layers[0][0].W["o"], arrays["W"][0, H : 2 * H])


def test_data_in_another_file_is_read(tmp_path: Path) -> None:
    arrays = random_arrays(1)
    path = node_model(tmp_path / "m.onnx", arrays)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=0)
    assert (tmp_path / "m.data").stat().st_size >= sum(a.nbytes for a in arrays.values())
    np.testing.assert_array_equal(load(path)["node"].layers[0][0].U["g"], arrays["R"][0, 3 * H :])


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("../secret", "leaves the model's folder"),
        ("/etc/passwd", "leaves the model's folder"),
        ("link", "leaves the model's folder"),
        ("gone", "is not there"),
        ("m.onnx", "the model claims"),
    ],
)
def test_data_outside_the_folder_is_not_opened(tmp_path: Path, location: str, reason: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x" * 4096)
    (folder / "link").symlink_to(tmp_path / "secret")
    path = node_model(folder / "m.onnx", random_arrays(1))
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", "4096")):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    assert reason in refusal(path)


def test_dims_that_claim_more_than_there_is_are_refused(tmp_path: Path) -> None:
    path = node_model(tmp_path / "m.onnx", random_arrays(1))
    model = onnx.load(path)
    model.graph.initializer[0].dims[2] = 2**40
    path.write_bytes(model.SerializeToString())
    assert "should take" in refusal(path)
    model.graph.initializer[0].dims[2] = X + 1
    path.write_bytes(model.SerializeToString())
    assert "should take" in refusal(path)


WRITTEN: dict[str, dict[str, Any]] = {
    "plain": {},
    "no-bias": {"bias": "none"},
    "two-layers-bidirectional": {"num_layers": 2, "bidirectional": True},
    "reverse": {"reverse": True},
    "peepholes": {"peepholes": True},
    "clip-coupled": {"gate_clip": 0.7, "coupling": "f=1-i"},
    "hard-sigmoid": {"gate_activation": HARD_SIGMOID_KERAS2},
}


@pytest.mark.parametrize("to", ["onnx", "onnx-22"])
@pytest.mark.parametrize("options", WRITTEN.values(), ids=WRITTEN)
def test_written_files_give_the_same_weights_and_are_run(tmp_path: Path, options: dict[str, Any], to: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(X, H, **options))
    path = tmp_path / "m.onnx"
    back = write_checkpoint(path, {"lstm": weights}, format=to)
    assert len(back.lstms) == weights.spec.num_layers
    onnx.checker.check_model(str(path))
    assert verdict(path, weights) == "match"
    write_checkpoint(path, {"lstm": exchanged(weights)}, format=to, force=True)
    assert verdict(path, weights) == "mismatch"


def outputs(path: Path, x: Array) -> dict[str, Array]:
    """What onnxruntime computes for x (batch, steps, input), in our axes; the states are those of the last layer."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    y, h, c = session.run(["Y", "Y_h", "Y_c"], {"X": np.swapaxes(x, 0, 1)})
    assert y.shape[1:] == h.shape == c.shape
    return {"y": np.moveaxis(y, 2, 0).reshape(*x.shape[:2], -1), "h_n": h, "c_n": c}


def verdict(path: Path, weights: LSTMWeights) -> str:
    """Of what onnxruntime computes with a file, by the weights that it should hold."""
    case = Case.random(weights.spec, weights=weights, steps=STEPS, batch=BATCH, states=False)
    answer = outputs(path, case.x)
    alone = weights.spec.num_layers == 1
    return judge(Result(**answer) if alone else Result(y=answer["y"]), case).verdict


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_every_precision_is_kept(tmp_path: Path, dtype: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(X, H), dtype=dtype)
    write_checkpoint(tmp_path / "m.onnx", {"lstm": weights})
    assert load(tmp_path / "m.onnx") == {"lstm": weights}
    onnx.checker.check_model(str(tmp_path / "m.onnx"))


def test_like_keeps_the_graph(tmp_path: Path) -> None:
    like = node_model(tmp_path / "like.onnx", random_arrays(1))
    weights = LSTMWeights.random(LSTMSpec(X, H))
    write_checkpoint(tmp_path / "m.onnx", {"node": weights}, like=like)
    assert load(tmp_path / "m.onnx") == {"node": weights}
    assert [t.name for t in onnx.load(tmp_path / "m.onnx").graph.initializer] == ["val_1", "val_2", "val_3"]


@pytest.mark.parametrize(
    ("options", "named"),
    [({"proj_size": 2}, "proj_size"), ({"cell_clip": 1.0}, "cell_clip"), ({"coupling": "i=1-f"}, "coupling i=1-f")],
)
def test_what_the_operator_lacks_is_refused(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(CheckpointError, match=f"ONNX' LSTM has no {named}"):
        write_checkpoint(tmp_path / "m.onnx", {"lstm": LSTMWeights.random(LSTMSpec(X, H, **options))})
    assert list(tmp_path.iterdir()) == []


def test_altered_bytes_are_refused_or_read(tmp_path: Path) -> None:
    data = node_model(tmp_path / "good.onnx", random_arrays(1)).read_bytes()
    assert len(outcomes_of_alterations(tmp_path / "m.onnx", data, 150)) > 1
    for length in range(0, len(data) - 1, 97):
        (tmp_path / "m.onnx").write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path / "m.onnx").require_lstms()


def combined(path: Path, pairs: list[tuple[int, int]], count: int, hidden: int = 128) -> Path:
    """LSTM nodes that each take two of `count` matrices of 256 KiB."""
    rng = np.random.default_rng(0)
    matrices = [rng.standard_normal((1, 4 * hidden, hidden)).astype(np.float32) for _ in range(count)]
    nodes = [
        onnx.helper.make_node("LSTM", ["X", f"m{w}", f"m{r}"], [f"Y{number}"], hidden_size=hidden)
        for number, (w, r) in enumerate(pairs)
    ]
    constants = [onnx.numpy_helper.from_array(matrix, f"m{number}") for number, matrix in enumerate(matrices)]
    graph = onnx.helper.make_graph(nodes, "g", [], [], constants)
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def test_nodes_that_share_constants_share_memory(tmp_path: Path) -> None:
    path = combined(tmp_path / "m.onnx", [(0, 1)] * 2000, 2)
    lstms = read_checkpoint(path).lstms
    assert len(lstms) == 2000
    assert all(lstm.weights is lstms[0].weights for lstm in lstms)


def test_constants_combined_without_end_are_refused_before_they_are_read(tmp_path: Path) -> None:
    pairs = [(w, r) for w in range(12) for r in range(12)]
    assert "take more than 4 times what the model has" in refusal(combined(tmp_path / "m.onnx", pairs, 12))
    assert len(read_checkpoint(combined(tmp_path / "n.onnx", pairs[:24], 12)).lstms) == 24
