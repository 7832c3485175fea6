"""Graphs of ONNX that look like an LSTM and are none, or are one in another way; onnxruntime's outputs are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck import Case, Result, judge
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.written.cell import IN_ORDER_READ

from .onnx_steps import BATCH, GATES, STEPS, Arrays, H, Nodes, X, gemms, ints, make, random
from .test_onnx_written_steps import cell, looped, marks, run, saved

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.framework


@pytest.mark.parametrize(("axis", "shape"), [(2, [-1, H, 4]), (1, [-1, 4, H]), (2, [-1, 2, 2 * H]), (1, [-1, 4 * H])])
def test_gates_that_lie_in_turns_are_not_read_as_blocks(tmp_path: Path, axis: int, shape: list[int]) -> None:
    """The last shape is that of the pre-activations as they are, whose parts are the gates."""
    nodes, own = gemms()
    parts = [make("Reshape", ["s", "by"], ["r"]), make("Split", ["r"], [f"q{k}" for k in GATES], axis=axis)]
    parts += [make("Reshape", [f"q{k}", "flat"], [f"p{k}"]) for k in GATES]
    nodes = [*nodes[:3], *parts, *nodes[4:]]
    path = cell(tmp_path / "m.onnx", lambda: (nodes, own | ints(by=shape, flat=[-1, H])))
    if shape == [-1, 4 * H]:
        assert len(read_checkpoint(path).lstms) == 1
        return
    assert read_checkpoint(path).lstms == ()
    assert list(marks(path).values()) == ["an LSTM, not read: its pre-activations are computed by Reshape"]


def test_states_and_gates_cast_to_whole_numbers_are_not_read(tmp_path: Path) -> None:
    nodes, own = gemms()
    casts = [make("Cast", ["s"], ["whole"], to=6), make("Cast", ["whole"], ["z"], to=1)]
    split_z = make("Split", ["z"], list(nodes[3].output), axis=1)
    path = cell(tmp_path / "m.onnx", lambda: ([*nodes[:3], *casts, split_z, *nodes[4:]], own))
    assert list(marks(path).values()) == ["an LSTM, not read: its pre-activations are computed by Cast"]
    assert read_checkpoint(path).lstms == ()


def half_cell(dtype: str, between: str) -> tuple[Nodes, Arrays]:
    """A step whose pre-activations, or c, go through float16, with weights of a type."""
    nodes, own = gemms()
    own = {name: array.astype(dtype) for name, array in own.items()}
    back = 10 if dtype == "float16" else 1
    casts = [make("Cast", [between], ["half"], to=10), make("Cast", ["half"], ["back"], to=back)]
    at = next(k for k, one in enumerate(nodes) if between in one.output)
    later = [
        make(one.op_type, ["back" if n == between else n for n in one.input], one.output) for one in nodes[at + 1 :]
    ]
    for new, one in zip(later, nodes[at + 1 :], strict=True):
        new.attribute.extend(one.attribute)
    return [*nodes[: at + 1], *casts, *later], own


@pytest.mark.parametrize("between", ["s", "c_n"])
def test_a_step_that_rounds_to_a_narrower_type_is_not_read(
    tmp_path: Path, between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant that takes a cast for the same number reads what onnxruntime does not compute."""
    path = cell(tmp_path / "m.onnx", lambda: half_cell("float32", between))
    assert read_checkpoint(path).lstms == ()
    assert list(marks(path).values()) == [
        "an LSTM, not read: it rounds what it computes to float16, but its weights are float32"
    ]
    half = cell(tmp_path / "h.onnx", lambda: half_cell("float16", between))
    assert [lstm.source_dtype for lstm in read_checkpoint(half).lstms] == ["float16"]  # whose numbers are no wider
    monkeypatch.setattr("lstm_xcheck.checkpoints.onnx.written_steps._refuse_roundings", lambda folding, cell: None)
    (found,) = read_checkpoint(path).lstms
    case = Case.random(found.weights.spec, weights=found.weights, steps=1, batch=BATCH)
    assert case.h0 is not None and case.c0 is not None
    h, c = run(path, ["h_n", "c_n"], x=case.x[:, 0], h=case.h0[0], c=case.c0[0])
    assert judge(Result(y=h[:, None], h_n=h[None], c_n=c[None]), case).verdict == "mismatch"


def test_weights_that_are_rounded_once_are_read_so(tmp_path: Path) -> None:
    nodes, own = gemms()
    casts = [make("Cast", ["u"], ["half"], to=10), make("Cast", ["half"], ["u1"], to=1)]
    for one in nodes:
        for k, name in enumerate(one.input):
            one.input[k] = "u1" if name == "u" else name
    (found,) = read_checkpoint(cell(tmp_path / "m.onnx", lambda: ([*casts, *nodes], own))).lstms
    rounded = own["u"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate(list(found.weights.layers[0][0].U)), rounded)


@pytest.mark.parametrize("taken", ["h", "clipped", "twice", "again"])
def test_a_step_that_takes_something_else_for_c_is_not_read(tmp_path: Path, taken: str) -> None:
    nodes, own = gemms()
    more = [make("Clip", ["c", "low", "high"], ["clipped"]), make("Add", ["c", "c"], ["twice"])]
    more.append(make("Identity", ["c"], ["again"]))
    at = next(k for k, one in enumerate(nodes) if one.output[0] == "fc")
    kept = make("Mul", [taken, "sf"], ["fc"])
    own |= {"low": np.array(-0.2, np.float32), "high": np.array(0.2, np.float32)}
    path = cell(tmp_path / "m.onnx", lambda: ([*more, *nodes[:at], kept, *nodes[at + 1 :]], own))
    if taken == "again":
        assert (len(read_checkpoint(path).lstms), marks(path)) == (1, {})
        return
    assert read_checkpoint(path).lstms == ()
    (note,) = marks(path).values()
    by = {"clipped": "computed by Clip", "twice": "computed by Add", "h": "it takes h for the c of the step before"}
    assert by[taken] in note


@pytest.mark.parametrize(
    ("axis", "start", "right"), [(0, -1, True), (0, 2, False), (1, -1, False), (2, -1, False), (None, 0, False)]
)
def test_only_a_sequence_that_is_wholly_reversed_is_backward(
    tmp_path: Path, axis: int | None, start: int, right: bool
) -> None:
    """An axis of None stands for a reshape, which may mix steps."""
    path = looped(tmp_path / "m.onnx")
    model = onnx.load(path)
    numbers = ints(start=[start], end=[-(1 << 62)], axis=[axis or 0], back=[-1], as_it_is=[STEPS, BATCH, X])
    model.graph.initializer.extend([onnx.numpy_helper.from_array(array, name) for name, array in numbers.items()])
    cut = make("Slice", ["X", "start", "end", "axis", "back"], ["Xr"])
    model.graph.node.insert(0, cut if axis is not None else make("Reshape", ["X", "as_it_is"], ["Xr"]))
    body = next(a.g for node in model.graph.node for a in node.attribute if a.name == "body")
    body.node[0].input[0] = "Xr"
    onnx.save(model, path)
    if not right:
        assert read_checkpoint(path).lstms == ()
        (note,) = marks(path).values()
        assert ("which may mix steps" if axis is None else "in another way than all of its steps") in note
        return
    (found,) = read_checkpoint(path).lstms
    case = Case.random(found.weights.spec, weights=found.weights, steps=STEPS, batch=BATCH, states=False)
    (y,) = run(path, ["Y"], X=np.swapaxes(case.x, 0, 1))
    assert judge(Result(y=np.swapaxes(y[::-1], 0, 1)), case).verdict == "match"
    assert found.notes == (IN_ORDER_READ,)
    model.graph.node.append(make("Slice", ["Y", "start", "end", "axis", "back"], ["Z"]))
    model.graph.output[0].name = "Z"
    onnx.save(model, path)
    (found,) = read_checkpoint(path).lstms
    (y,) = run(path, ["Z"], X=np.swapaxes(case.x, 0, 1))
    assert judge(Result(y=np.swapaxes(y, 0, 1)), case).verdict == "match"
    assert found.notes == ()


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_a_node_over_a_reversed_sequence_says_so(tmp_path: Path, direction: str) -> None:
    own = {"w": random(1, 4 * H, X), "r": random(1, 4 * H, H), **ints(first=[-1], last=[-(1 << 62)], axis=[0])}
    cut = make("Slice", ["X", "first", "last", "axis", "first"], ["Xr"])
    node = make("LSTM", ["Xr", "w", "r"], ["Y"], "enc", hidden_size=H, direction=direction)
    path = saved(tmp_path / "m.onnx", [cut, node], own, {"X": [STEPS, BATCH, X]}, ("Y",))
    (found,) = read_checkpoint(path).lstms
    assert found.notes == ("the graph reverses the sequence that it reads, and may not reverse its outputs",)
    case = Case.random(found.weights.spec, weights=found.weights, steps=STEPS, batch=BATCH, states=False)
    (y,) = run(path, ["Y"], X=np.swapaxes(case.x[:, ::-1], 0, 1))
    assert judge(Result(y=np.swapaxes(y[:, 0], 0, 1)), case).verdict == "match"


@pytest.mark.parametrize("last", [2, STEPS])
def test_constant_lengths_of_a_node_are_named(tmp_path: Path, last: int) -> None:
    own = {"w": random(1, 4 * H, X), "r": random(1, 4 * H, H), "lengths": np.array([STEPS, last], np.int32)}
    node = make("LSTM", ["X", "w", "r", "", "lengths"], ["Y"], "enc", hidden_size=H)
    path = saved(tmp_path / "m.onnx", [node], own, {"X": [STEPS, BATCH, X]}, ("Y",))
    (found,) = read_checkpoint(path).lstms
    case = Case.random(found.weights.spec, weights=found.weights, steps=STEPS, batch=BATCH, states=False)
    (y,) = run(path, ["Y"], X=np.swapaxes(case.x, 0, 1))
    whole = judge(Result(y=np.swapaxes(y[:, 0], 0, 1)), case).verdict == "match"
    assert whole == (last == STEPS)
    assert list(marks(path)) == ([] if whole else ["sequence_lens of enc"])


@pytest.mark.parametrize("mask", ["units", "state", "one"])
def test_what_keeps_parts_of_states_is_no_mask_of_steps(tmp_path: Path, mask: str) -> None:
    """A constant for some units, a condition on the state, and a mask of one state alone."""
    more = [make("Greater", ["h", "zero"], ["above"])]
    more += [make("Where", ["some" if mask == "units" else "above", f"{s}_n", s], [f"{s}_k"]) for s in "hc"]
    arrays = {"some": np.array([True, False] * (H // 2)), "zero": np.array(0, np.float32)}
    ends = {"h": "h_k"} if mask == "one" else {"h": "h_k", "c": "c_k"}
    path = looped(tmp_path / "m.onnx", more=more, ends=ends, arrays=arrays)
    assert read_checkpoint(path).lstms == ()
    assert list(marks(path).values()) == [
        "an LSTM, not read: its loop keeps parts of its states by what is no mask of whole steps"
    ]
