"""LiteRT models: what is read of them against what TensorFlow's interpreter computes of the same file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, CheckpointError, LSTMSpec, LSTMWeights, Result, judge
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import Checkpoint, load, read_checkpoint
from lstm_xcheck.checkpoints.litert import graph, loop
from lstm_xcheck.checkpoints.litert.flow import GraphFlow
from lstm_xcheck.checkpoints.litert.graph import Graph, Operator, Tensor
from lstm_xcheck.checkpoints.written.step import steps_of
from lstm_xcheck.errors import DisagreementError
from lstm_xcheck.model import CellWeights
from lstm_xcheck.porting.port import port
from lstm_xcheck.porting.recheck import recheck

from ..conftest import litert
from ..damage import refusal
from ..weights import exchanged

pytestmark = pytest.mark.framework

X, H = 5, 4
HARD = f"hard_sigmoid:{1 / 6!r},0.5"


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return litert("litert_converted.py", tmp_path_factory.mktemp("legacy"), "tf_keras", TF_USE_LEGACY_KERAS="1")


@pytest.fixture
def operators(litert_operators: Path) -> Path:
    return litert_operators


@pytest.fixture
def loops(litert_loops: Path) -> Path:
    return litert_loops


def answer(folder: Path, key: str) -> Array:
    with np.load(folder / "answers.npz") as answers:
        found: Array = answers[key]
    return found


def verdict(weights: LSTMWeights, x: Array, y: Array) -> str:
    """Of outputs that the interpreter computed in float32, turned where they come in the order read."""
    single = weights.astype("float32")
    return judge(Result(y=y[:, ::-1] if single.spec.reverse else y), Case(weights=single, x=x)).verdict


def named(checkpoint: Checkpoint, name: str) -> Any:
    (found,) = [lstm for lstm in checkpoint.lstms if lstm.name.removesuffix("_1").endswith(name)]
    return found


PLAIN = LSTMSpec(X, H, bias="single")
OPERATORS = {
    "plain": PLAIN,
    "clip": replace(PLAIN, cell_clip=0.5),
    "peepholes": replace(PLAIN, peepholes=True),
    "coupled": replace(PLAIN, coupling="i=1-f"),
    "coupled-peepholes": replace(PLAIN, coupling="i=1-f", peepholes=True),
    "projected": replace(PLAIN, proj_size=2),
    "projected-clip": replace(PLAIN, proj_size=2, proj_clip=0.3),
    "relu": replace(PLAIN, cell_activation="relu", output_activation="relu"),
    "hard-tanh": replace(PLAIN, cell_activation="hard_tanh", output_activation="hard_tanh"),
    "time-major": PLAIN,
    "both": replace(PLAIN, bidirectional=True),
    "both-with-all": replace(
        PLAIN, bidirectional=True, peepholes=True, cell_clip=0.9, coupling="i=1-f", proj_size=2,
    ),
    "one-step": PLAIN,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_compute_what_is_read(operators: Path, name: str) -> None:
    checkpoint = read_checkpoint(operators / f"{name}.tflite")
    (found,) = checkpoint.lstms
    assert (checkpoint.format, checkpoint.other, found.name, found.source_dtype) == (
        "litert",
        (),
        f"layers/{name}",
        "float32",
    )
    assert found.weights.spec == OPERATORS[name]
    x, y = answer(operators, "x"), answer(operators, name)
    assert verdict(found.weights, x, y) == "match"
    for option in ("cell_clip", "proj_clip", "coupling"):
        if getattr(found.weights.spec, option):
            less = LSTMWeights(replace(found.weights.spec, **{option: None}), found.weights.layers, found.weights.dtype)
            assert verdict(less, x, y) == "mismatch", f"{option} makes no difference"


@pytest.mark.parametrize("first", range(4))
def test_exchanged_gates_are_noticed(operators: Path, first: int) -> None:
    (found,) = read_checkpoint(operators / "peepholes.tflite").lstms
    x, y = answer(operators, "x"), answer(operators, "peepholes")
    for second in range(first):
        order = list(range(4))
        order[first], order[second] = second, first
        (row,) = found.weights.layers
        for part in ("W", "U", "b"):
            cell = changed(row[0], **{part: np.asarray(getattr(row[0], part))[order]})
            assert verdict(LSTMWeights(found.weights.spec, ((cell,),), "float32"), x, y) == "mismatch"
    if first < 3:
        peephole = np.roll(np.asarray(row_of(found).peephole), first + 1, axis=0) if first < 2 else None
        cell = changed(row_of(found), peephole=peephole)
        spec = replace(found.weights.spec, peepholes=peephole is not None)
        assert verdict(LSTMWeights(spec, ((cell,),), "float32"), x, y) == "mismatch"


def changed(cell: CellWeights, **arrays: Any) -> CellWeights:
    return CellWeights(**{**dict(cell.items()), **arrays})


def row_of(found: Any) -> CellWeights:
    cell: CellWeights = found.weights.layers[0][0]
    return cell


def test_stored_numbers_are_counted_without_the_gate_that_coupling_makes(operators: Path) -> None:
    (found,) = read_checkpoint(operators / "coupled.tflite").lstms
    assert found.native_count == 3 * (H * X + H * H + H)
    assert not any(np.any(np.asarray(array)[0]) for _, array in row_of(found).items())
    assert "zeros stand for it" in " ".join(found.notes)


def test_an_operator_without_activation_is_refused(operators: Path) -> None:
    """The interpreter answers, but not as an LSTM: the candidate takes the place of the cell."""
    assert np.isfinite(answer(operators, "linear")).all()
    with pytest.raises(CheckpointError, match="activation number 0 has no canonical form"):
        load(operators / "linear.tflite")


def test_a_stored_state_that_is_not_zero_is_not_lost(operators: Path) -> None:
    marked = {tensor.name: tensor.unread for tensor in read_checkpoint(operators / "begun.tflite").other}
    assert marked == {"h": "initial h of layers/begun", "c": "initial c of layers/begun"}
    assert read_checkpoint(operators / "begun-zero.tflite").other == ()


LOOPS = {
    "plain": PLAIN,
    "backward": replace(PLAIN, reverse=True),
    "relu": OPERATORS["relu"],
    "no_bias": replace(PLAIN, bias="none"),
    "hard": replace(PLAIN, gate_activation=HARD),
    "both": replace(PLAIN, bidirectional=True),
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("file", ["model", "half"])
def test_loops_of_keras_compute_what_is_read(loops: Path, file: str, name: str) -> None:
    checkpoint = read_checkpoint(loops / f"{file}.tflite")
    if (file, name) == ("half", "hard"):
        # The slope is stored as float16, which is not 1/6 any more.
        assert any("hard" in tensor.name and "not read" in tensor.note for tensor in checkpoint.other)
        return
    found = named(checkpoint, name)
    assert found.weights.spec == LOOPS[name]
    assert found.source_dtype == ("float16" if file == "half" else "float32")
    assert bool(found.notes) == (file == "half" or name == "backward")
    x, y = answer(loops, "x"), answer(loops, f"{file}|{name}")
    assert verdict(found.weights, x, y) == "match"
    (row,) = found.weights.layers
    transposed = tuple(changed(c, **{k: np.roll(np.asarray(a), 1, axis=0) for k, a in c.items()}) for c in row)
    assert verdict(LSTMWeights(found.weights.spec, (transposed,), found.weights.dtype), x, y) == "mismatch"


def test_all_of_a_model_is_listed(loops: Path) -> None:
    assert read_checkpoint(loops / "model.tflite").other == ()
    checkpoint = read_checkpoint(loops / "mixed.tflite")
    assert sorted((tensor.name.rpartition("/")[2], tensor.shape) for tensor in checkpoint.other) == [
        ("BiasAdd", (2,)), ("MatMul", (2, 4)),
    ]  # fmt: skip
    (found,) = checkpoint.lstms
    assert found.notes == ("the graph masks steps, which keep the states as they are",)


@pytest.mark.parametrize(
    ("file", "reason"),
    [("small", "stored as int8.*without quantisation"), ("unrolled", "steps are unrolled.*with unroll=False")],
)
def test_what_cannot_be_read_is_named(loops: Path, file: str, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        load(loops / f"{file}.tflite")
    marks = [tensor.note for tensor in read_checkpoint(loops / f"{file}.tflite").other if tensor.unread]
    assert len(marks) == 1
    assert marks[0].startswith("an LSTM, not read: ")


@pytest.mark.parametrize("name", ["plain", "backward", "both"])
def test_operators_of_tf_keras_compute_what_is_read(legacy: Path, name: str) -> None:
    """The converter gives each a clip that tf_keras itself does not have."""
    spec = replace(LOOPS[name], cell_clip=10.0)
    x, y = answer(legacy, "x"), answer(legacy, f"model|{name}")
    found = [lstm for lstm in read_checkpoint(legacy / "model.tflite").lstms if lstm.weights.spec == spec]
    assert [verdict(lstm.weights, x, y) for lstm in found] == ["match"]


def test_the_clip_that_the_converter_adds_is_real(legacy: Path) -> None:
    (weights,) = load(legacy / "long.tflite").values()
    x, y = answer(legacy, "long|x"), answer(legacy, "long")
    assert weights.spec.cell_clip == 10.0
    assert verdict(weights, x, y) == "match"
    unclipped = LSTMWeights(replace(weights.spec, cell_clip=None), weights.layers, weights.dtype)
    assert verdict(unclipped, x, y) == "mismatch"


@pytest.mark.parametrize("name", ["cell", "square"])
def test_a_cell_alone_is_read(loops: Path, name: str) -> None:
    (found,) = read_checkpoint(loops / f"{name}.tflite").lstms
    assert found.weights.spec == (PLAIN if name == "cell" else replace(PLAIN, input_size=H))
    assert found.notes == ("one step that the graph writes out, read as a layer of its own",)
    given = {key: answer(loops, f"{name}|{key}") for key in ("x", "h", "c", "h_n", "c_n")}
    states = {"h0": given["h"][None], "c0": given["c"][None]}
    case = Case(weights=found.weights, x=given["x"][:, None], **states)
    result = Result(y=given["h_n"][:, None], h_n=given["h_n"][None], c_n=given["c_n"][None])
    assert judge(result, case).verdict == "match"
    assert judge(result, replace(case, weights=exchanged(found.weights))).verdict == "mismatch"


def test_loops_of_another_formula_are_named(loops: Path) -> None:
    checkpoint = read_checkpoint(loops / "odd.tflite")
    assert [lstm.name.rpartition("/")[2] for lstm in checkpoint.lstms] == ["plain_1"]
    reasons = {lstm.name.rpartition("/")[2].removesuffix("_1"): lstm.why for lstm in checkpoint.unread}
    assert reasons.keys() == {"coupled", "clipped", "turned", "no_output_gate", "two"}  # and no GRU
    assert reasons["two"] == "its loop runs more than one LSTM"


@pytest.mark.parametrize("kind", ["clipped_before", "coupled-step", "turned-step"])
def test_steps_of_another_formula_are_named(loops: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant that takes whatever stands for c reads a step that the interpreter does not run."""
    path = loops / f"{kind}.tflite"
    checkpoint = read_checkpoint(path)
    assert (checkpoint.lstms, len(checkpoint.unread)) == ((), 1)
    if kind != "clipped_before":
        return
    assert "takes for the c of the step before is computed by M" in checkpoint.unread[0].why
    monkeypatch.setattr(loop, "refuse_other_states", lambda flow, cell: None)
    (found,) = read_checkpoint(path).lstms
    given = {key: answer(loops, f"{kind}|{key}") for key in ("x", "h", "c", "h_n", "c_n")}
    case = Case(weights=found.weights, x=given["x"][:, None], h0=given["h"][None], c0=given["c"][None])
    result = Result(y=given["h_n"][:, None], h_n=given["h_n"][None], c_n=given["c_n"][None])
    assert judge(result, case).verdict == "mismatch"


def test_truncated_and_altered_models_are_refused_or_read(operators: Path, tmp_path: Path) -> None:
    data = (operators / "both.tflite").read_bytes()
    bad = tmp_path / "bad.tflite"
    for length in range(8, len(data) // 2, 97):
        bad.write_bytes(data[:length])
        assert "damaged" in refusal(bad)
    bad.write_bytes(data[:4] + b"TFL2" + data[8:])
    assert "identifier" in refusal(bad)


def test_more_is_not_read_of_a_file_than_it_pays_for(operators: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operators may share weights, so that thousands of LSTMs, or gigabytes of numbers, fit into a small file."""
    assert "more than 1000 LSTMs" in refusal(operators / "repeated.tflite")
    monkeypatch.setattr(graph, "_FREE", 0)
    assert len(load(operators / "plain.tflite")) == 1
    monkeypatch.setattr(graph, "_MAX_GROWTH", 0)
    assert "again and again" in refusal(operators / "plain.tflite")


def test_a_model_is_ported_and_rechecked(loops: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(DisagreementError, match=r"cannot be carried over: .*MatMul float32\[2, 4\].*--lstm-only"):
        port(loops / "mixed.tflite", tmp_path / "m.pt")
    certificate = port(loops / "mixed.tflite", tmp_path / "m.pt", lstm_only=True)
    assert (certificate["verdict"], certificate["losses"]) == ("agree", [])
    assert "still agree" in recheck(tmp_path / "m.pt.xcheck.json")
    (source,) = load(loops / "mixed.tflite").values()
    assert len(torch.load(tmp_path / "m.pt")) == 4
    assert np.array_equal(next(iter(load(tmp_path / "m.pt").values())).layers[0][0].W, source.layers[0][0].W)


@pytest.mark.parametrize("kind", ["TANH", "LOGISTIC", "ADD", "MUL", "SPLIT", "RESHAPE", "FULLY_CONNECTED"])
@pytest.mark.parametrize("inputs", [(), (-1,), (-1, -1)])
def test_an_operator_without_its_inputs_makes_nothing(kind: str, inputs: tuple[int, ...]) -> None:
    tensor = Tensor("t", (4,), "float32", None, variable=False, sparse=False)
    operator = Operator(kind, inputs, (0,), None)
    flow = GraphFlow(Graph(None, 0, "g", [tensor], (), (), [operator]))  # type: ignore[arg-type]
    made = flow.made(0)
    assert len(made.inputs) == {"function": 1, "same": 1, "add": 2, "mul": 2}.get(made.kind, 0)
    assert list(steps_of(flow, 0)) == []
