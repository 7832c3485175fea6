"""OpenVINO IR: models of OpenVINO's own judged against what is read, written ones run by it, hostile ones refused."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from lstm_xcheck import Case, CheckpointError, LSTMSpec, LSTMWeights, Result, judge
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import load, publish, read_checkpoint, write_checkpoint

from .damage import outcomes_of_alterations, refusal

X, H, STEPS, BATCH = 5, 4, 7, 3


def run(path: Path, x: Array) -> Array:
    """The first output of a model, computed by OpenVINO in float32."""
    openvino = pytest.importorskip("openvino")
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(model([np.array(x)])[0])


def own_model(path: Path, direction: str, clip: float = 0.0, *, half: bool = False) -> Path:
    """A model of one LSTMSequence that OpenVINO's own operators describe; Y is (batch, directions, steps, hidden)."""
    openvino, op = pytest.importorskip("openvino"), pytest.importorskip("openvino.opset14")
    rng, count = np.random.default_rng(7), 2 if direction == "bidirectional" else 1
    shapes = ((count, 4 * H, X), (count, 4 * H, H), (count, 4 * H))
    parts = [op.constant(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
    x = op.parameter([BATCH, STEPS, X], np.float32)
    state = op.constant(np.zeros((BATCH, count, H), np.float32))
    lengths = op.constant(np.full(BATCH, STEPS, np.int32))
    node = op.lstm_sequence(x, state, state, lengths, *parts, H, direction, clip=clip, name="enc")
    openvino.save_model(openvino.Model([op.result(node.output(0))], [x], "m"), path, compress_to_fp16=half)
    return path


@pytest.mark.framework
@pytest.mark.parametrize("half", [False, True], ids=["float32", "compressed"])
@pytest.mark.parametrize(
    ("direction", "clip"), [("forward", 0.0), ("reverse", 0.0), ("bidirectional", 0.0), ("forward", 0.7)]
)
def test_what_is_read_is_what_openvino_computes(tmp_path: Path, direction: str, clip: float, half: bool) -> None:
    path = own_model(tmp_path / "m.xml", direction, clip, half=half)
    (found,) = read_checkpoint(path).lstms
    assert read_checkpoint(path).other == ()
    assert (found.name, found.source_dtype) == ("enc", "float16" if half else "float32")
    weights = found.weights.astype("float32")
    assert weights.spec == LSTMSpec(
        X, H, bias="single", reverse=direction == "reverse", bidirectional=direction == "bidirectional",
        gate_clip=clip or None,
    )  # fmt: skip
    case = Case.random(weights.spec, weights=weights, steps=STEPS, batch=BATCH, states=False)
    y = np.moveaxis(run(path, case.x), 1, 2).reshape(BATCH, STEPS, -1)
    assert judge(Result(y=y), case).verdict == "match"


@pytest.mark.framework("onnx")
@pytest.mark.parametrize("how", ["converted", "as-read"])
def test_models_from_onnx(tmp_path: Path, how: str) -> None:
    """A model that is only read from ONNX keeps the gates of ONNX and puts them in order with Split and Concat."""
    openvino = pytest.importorskip("openvino")
    weights = LSTMWeights.random(LSTMSpec(X, H, num_layers=2, bidirectional=True))
    write_checkpoint(tmp_path / "m.onnx", {"enc": weights})
    make = openvino.convert_model if how == "converted" else openvino.Core().read_model
    openvino.serialize(make(tmp_path / "m.onnx"), tmp_path / "m.xml")
    loaded = list(load(tmp_path / "m.xml").values())
    assert len(loaded) == 2
    for layer, read in enumerate(loaded):
        for direction, cell in enumerate(weights.layer(layer).layers[0]):
            assert cell.b is not None and cell.b_r is not None
            assert np.array_equal(read.layers[0][direction].W, cell.W)
            assert np.array_equal(read.layers[0][direction].U, cell.U)
            np.testing.assert_array_equal(np.asarray(read.layers[0][direction].b), cell.b + cell.b_r)


@pytest.mark.framework
@pytest.mark.parametrize("stride", [1, -1])
def test_a_cell_in_a_loop_has_the_direction_of_the_loop(tmp_path: Path, stride: int) -> None:
    openvino, op = pytest.importorskip("openvino"), pytest.importorskip("openvino.opset14")
    rng = np.random.default_rng(7)
    w, r, b = (rng.normal(size=shape).astype(np.float32) for shape in ((4 * H, X), (4 * H, H), (4 * H,)))
    step, h, c, kernel = (op.parameter(s, np.float32) for s in ([BATCH, 1, X], [BATCH, H], [BATCH, H], [4 * H, X]))
    one = op.constant([1], dtype=np.int64)
    cell = op.lstm_cell(op.squeeze(step, one), h, c, kernel, op.constant(r), op.constant(b), H, name="cell")
    ends = [op.result(cell.output(0)), op.result(cell.output(1)), op.result(op.unsqueeze(cell.output(0), one))]
    x, zero = op.parameter([BATCH, STEPS, X], np.float32), op.constant(np.zeros((BATCH, H), np.float32))
    loop = op.tensor_iterator()
    loop.set_body(openvino.Model(ends, [step, h, c, kernel], "body"))
    span = (0, 1, 1, -1, 1) if stride == 1 else (-1, -1, 1, 0, 1)
    loop.set_sliced_input(step, x.output(0), *span)
    for state, end in ((h, ends[0]), (c, ends[1])):
        loop.set_merged_input(state, zero.output(0), end.output(0))
    loop.set_invariant_input(kernel, op.constant(w).output(0))
    y = loop.get_concatenated_slices(ends[2].output(0), *span)
    path = tmp_path / "m.xml"
    openvino.save_model(openvino.Model([op.result(y)], [x], "m"), path, compress_to_fp16=False)
    weights = load(path)["cell"]
    assert weights.spec == LSTMSpec(X, H, bias="single", reverse=stride == -1)
    case = Case.random(weights.spec, weights=weights, steps=STEPS, batch=BATCH, states=False)
    assert judge(Result(y=run(path, case.x)), case).verdict == "match"


WRITTEN: dict[str, dict[str, Any]] = {
    "plain": {},
    "no-bias": {"bias": "none"},
    "two-layers-bidirectional": {"num_layers": 2, "bidirectional": True},
    "reverse": {"reverse": True},
    "clip": {"gate_clip": 0.7},
    "relu": {"cell_activation": "relu", "output_activation": "relu"},
}


@pytest.mark.framework
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("options", WRITTEN.values(), ids=WRITTEN)
def test_written_files_are_run_by_openvino(tmp_path: Path, options: dict[str, Any], dtype: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(X, H, **{"bias": "single", **options}), dtype=dtype)
    back = write_checkpoint(tmp_path / "m.xml", {"enc": weights})
    assert len(back.lstms) == weights.spec.num_layers
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.bin", "m.xml"]
    # OpenVINO computes float64 in float32 on a CPU; the float32 oracle bound is the right one for it.
    single = weights.astype("float32")
    if dtype == "float64":
        write_checkpoint(tmp_path / "m.xml", {"enc": single.astype("float64")}, force=True)
    case = Case.random(single.spec, weights=single, states=False)
    x = case.x.astype(np.float64) if dtype == "float64" else case.x
    y = run(tmp_path / "m.xml", x)
    assert judge(Result(y=y.astype(np.float32)), case).verdict == "match"


def test_gates_are_stored_as_figo(tmp_path: Path) -> None:
    weights = LSTMWeights.random(LSTMSpec(X, H, bias="single"))
    write_checkpoint(tmp_path / "m.xml", {"enc": weights})
    content = (tmp_path / "m.bin").read_bytes()
    stored = b"".join(weights.layers[0][0].W[gate].astype("<f4").tobytes() for gate in "figo")
    assert stored in content


def test_several_lstms_keep_their_names(tmp_path: Path) -> None:
    given = {name: LSTMWeights.random(LSTMSpec(3, 2, bias="single"), seed) for seed, name in enumerate(("a", "b"))}
    write_checkpoint(tmp_path / "m.xml", given)
    assert load(tmp_path / "m.xml") == given


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"proj_size": 2}, "no proj_size"),
        ({"peepholes": True}, "no peepholes"),
        ({"coupling": "f=1-i"}, "no coupling"),
        ({"cell_activation": "softsign"}, "no activation softsign"),
    ],
)
def test_what_the_operator_lacks_is_refused(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(CheckpointError, match=named):
        write_checkpoint(tmp_path / "m.xml", {"enc": LSTMWeights.random(LSTMSpec(X, H, **options))})
    assert list(tmp_path.iterdir()) == []


def test_neither_of_the_two_files_is_replaced_without_force(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"mine")
    with pytest.raises(CheckpointError, match=r"m\.bin exists already"):
        write_checkpoint(tmp_path / "m.xml", {"enc": LSTMWeights.random(LSTMSpec(X, H))})
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("m.bin", b"mine")]
    with pytest.raises(CheckpointError, match=r"by the suffix \.xml"):
        write_checkpoint(tmp_path / "m.model", {"enc": LSTMWeights.random(LSTMSpec(X, H))}, "openvino", force=True)
    assert (tmp_path / "m.bin").read_bytes() == b"mine"


@pytest.mark.parametrize("failing", [0, 1], ids=["bin", "xml"])
def test_when_a_file_cannot_be_named_both_old_ones_stay(
    tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (LSTMWeights.random(LSTMSpec(X, H, bias="single"), seed) for seed in (1, 2))
    write_checkpoint(tmp_path / "m.xml", {"enc": old})
    keep, calls = publish._rename, []

    def fail(temporary: Path, target: Path, force: bool) -> None:
        calls.append(target)
        if len(calls) == failing + 1:
            raise OSError(28, "No space left on device")
        keep(temporary, target, force)

    monkeypatch.setattr(publish, "_rename", fail)
    with pytest.raises(CheckpointError, match="cannot be written: No space left"):
        write_checkpoint(tmp_path / "m.xml", {"enc": new}, force=True)
    assert load(tmp_path / "m.xml") == {"enc": old}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.bin", "m.xml"]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "m.xml"
    write_checkpoint(path, {"enc": LSTMWeights.random(LSTMSpec(X, H, bias="single"))})
    return path


EDITS = {
    "entities": ("<net ", '<!DOCTYPE net [<!ENTITY a "b">]><net ', "declares a document type"),
    "external": ("<net ", '<!DOCTYPE net SYSTEM "/etc/passwd"><net ', "declares a document type"),
    "beyond": ('size="320"', 'size="99999999"', "but that has"),
    "negative": ('size="320"', 'size="-320"', "no valid shape, offset and size"),
    "shape": ('shape="1, 16, 5"', 'shape="1, 16, 999999999999"', "cannot take 320 bytes"),
    "ids": ('<layer id="1"', '<layer id="0"', "two layers of one id"),
    "hidden": ('hidden_size="4"', 'hidden_size="5"', "do not fit together"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "reason"), EDITS.values(), ids=EDITS)
def test_hostile_models_are_refused(good: Path, old: str, new: str, reason: str) -> None:
    text = good.read_text()
    assert old in text
    good.write_text(text.replace(old, new, 1))
    assert reason in refusal(good)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('version="opset5"', 'version="opset1"', "LSTMSequence of opset1"),
        ('"sigmoid, tanh, tanh"', '"sigmoid, tanh, elu"', "have no canonical form"),
        ('clip="0.0"', 'clip="x"', "clip is x"),
        ('direction="forward"', 'direction="up"', "direction up is none of"),
        ('type="LSTMSequence"', 'type="AttentionLSTM"', "the operator AttentionLSTM is none of"),
    ],
)
def test_what_a_spec_cannot_say_is_named(good: Path, old: str, new: str, reason: str) -> None:
    assert old in good.read_text()
    good.write_text(good.read_text().replace(old, new, 1))
    assert read_checkpoint(good).lstms == ()
    assert [tensor.unread for tensor in read_checkpoint(good).other if tensor.unread] == ["enc"]
    with pytest.raises(CheckpointError, match=reason):
        load(good)


def test_a_gru_is_no_lstm(good: Path) -> None:
    good.write_text(good.read_text().replace('type="LSTMSequence"', 'type="GRUSequence"'))
    checkpoint = read_checkpoint(good)
    assert (checkpoint.lstms, [tensor.name for tensor in checkpoint.other if tensor.unread]) == ((), [])


def test_a_state_that_is_not_zero_is_not_lost(good: Path) -> None:
    assert not any(tensor.unread for tensor in read_checkpoint(good).other)
    (zero,) = ElementTree.parse(good).findall(".//data[@element_type='f32'][@shape='']")
    where = int(zero.get("offset", ""))
    content = bytearray(good.with_suffix(".bin").read_bytes())
    content[where : where + 4] = np.float32(0.5).tobytes()
    good.with_suffix(".bin").write_bytes(content)
    checkpoint = read_checkpoint(good)
    (found,), (state,) = checkpoint.lstms, checkpoint.other
    assert state.unread == "initial c of enc"
    assert state.note == "an LSTM, not read: a state that enc begins with is not zero"
    assert found.notes == ("the graph gives it an initial h and c",)
    if importlib.util.find_spec("openvino"):
        case = Case.random(found.weights.spec, weights=found.weights, steps=STEPS, batch=BATCH, states=False)
        y = run(good, case.x)
        half = np.full((1, BATCH, H), 0.5, np.float32)
        begun = replace(case, h0=half, c0=half)
        assert (judge(Result(y=y), case).verdict, judge(Result(y=y), begun).verdict) == ("mismatch", "match")


def test_a_missing_or_short_bin_is_refused(good: Path) -> None:
    content = good.with_suffix(".bin").read_bytes()
    good.with_suffix(".bin").write_bytes(content[:-1])
    assert "copy both again" in refusal(good)
    good.with_suffix(".bin").unlink()
    assert "which is not there" in refusal(good)


def test_elements_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text('<net name="m">' + "<a>" * 100_000)
    assert "nests elements" in refusal(tmp_path / "m.xml")


def test_weights_that_other_nodes_compute_are_named(good: Path) -> None:
    good.write_text(good.read_text().replace('type="Const"', 'type="Multiply"'))
    with pytest.raises(CheckpointError, match=r"its W is computed by other nodes \(Multiply\)"):
        load(good)


def test_truncated_and_altered_models_are_refused_or_read(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    bad = tmp_path / "bad.xml"
    bad.with_suffix(".bin").write_bytes(good.with_suffix(".bin").read_bytes())
    for length in range(1, len(data) - 8, 211):
        bad.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            load(bad)
    assert len(outcomes_of_alterations(bad, data, 200)) > 3
