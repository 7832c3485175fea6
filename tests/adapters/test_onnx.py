"""The adapters of ONNX runtimes: one model, and what each runtime makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters.refusals import refusals_of
from lstm_xcheck.arrays import Array
from lstm_xcheck.compare import judge
from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.engine.grid import grid
from lstm_xcheck.errors import SpecError, Unsupported
from lstm_xcheck.layouts import count_parameters, to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights

onnx = pytest.importorskip("onnx")

from lstm_xcheck.adapters.onnx.model import OnnxStack, inputs_of, make_model  # noqa: E402

from .in_process import assert_answer, session, verdict  # noqa: E402

pytestmark = pytest.mark.framework

RUNTIMES = ("onnxruntime", "onnx-reference", "onnx-openvino", "tract")

SPECS = {
    "plain": LSTMSpec(3, 4),
    "bidirectional-stack": LSTMSpec(3, 4, num_layers=2, bidirectional=True),
    "reverse-stack": LSTMSpec(3, 4, num_layers=2, reverse=True),
    "peepholes": LSTMSpec(3, 4, peepholes=True, bidirectional=True),
    "clip": LSTMSpec(3, 4, num_layers=2, gate_clip=0.6),
    "coupled": LSTMSpec(3, 4, coupling="f=1-i"),
    "hard-sigmoid": LSTMSpec(3, 4, gate_activation="hard_sigmoid:0.2,0.5"),
    "relu": LSTMSpec(3, 4, bidirectional=True, cell_activation="relu"),
    "many-functions": LSTMSpec(
        3, 4, num_layers=2, bidirectional=True, gate_activation="hard_sigmoid:0.25,0.5", cell_activation="linear",
        output_activation="softsign",
    ),
}  # fmt: skip

#: What each runtime does not make of the model: (spec or "lengths", verdict or the reason why it is unsupported).
DIVERGES: dict[str, dict[str, str]] = {
    "onnxruntime": {"float64": "LSTM operator does not support double"},
    "onnx-reference": dict.fromkeys(
        ("lengths", "clip", "coupled", "hard-sigmoid", "relu", "many-functions"), "mismatch"
    ),
    "onnx-openvino": {
        "peepholes": "mismatch",
        "coupled": "mismatch",
        "hard-sigmoid": "Unsupported activation function",
        "many-functions": "Unknown activation function: affine",
    },
    "tract": {
        **dict.fromkeys(("reverse-stack", "clip", "coupled", "hard-sigmoid", "relu", "many-functions"), "mismatch"),
        "lengths": "Non constant seq_len is not supported",
        "float64": "LstmEpilogue only supports f32 and f16",
    },
}


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_grid_agrees(name: str) -> None:
    recipes = grid(hidden=4, input=3, steps=5, layers=[1, 2], directions=[1, 2], bias=["split", "none"])
    recipes += grid(hidden=[1, 9], input=3, steps=[1, 6], states=[False, True], returns="last")
    recipes += grid(hidden=4, input=3, directions=2, layers=2, dtype="float16")
    assert {recipe.id: verdict(name, recipe.case()).verdict for recipe in recipes} == {r.id: "match" for r in recipes}


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("what", [*SPECS, "lengths", "float64"])
def test_what_the_operator_can_say_is_answered_as_the_runtime_does(name: str, what: str) -> None:
    precision = "float64" if what == "float64" else "float32"
    spec = SPECS.get(what, SPECS["bidirectional-stack"])
    case = Case.random(spec, steps=5, ragged=what == "lengths", precision=precision, returns="last")
    assert_answer(name, case, DIVERGES[name].get(what, "match"))


@pytest.mark.parametrize(
    "spec", [SPECS["reverse-stack"], SPECS["relu"], SPECS["clip"]], ids=["reverse", "relu", "clip"]
)
@pytest.mark.parametrize("name", ["onnxruntime", "onnx-openvino"])
def test_lengths_agree_with_options(name: str, spec: LSTMSpec) -> None:
    assert_answer(name, Case.random(spec, ragged=True), "match")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"proj_size": 2}, "no proj_size"),
        ({"cell_clip": 1.0}, "no cell_clip"),
        ({"coupling": "i=1-f"}, "no coupling i=1-f"),
        ({"output_activation": "hard_tanh"}, "no activation hard_tanh"),
    ],
)
@pytest.mark.parametrize("name", RUNTIMES)
def test_what_the_operator_cannot_say_is_unsupported(name: str, options: dict[str, Any], reason: str) -> None:
    assert_answer(name, Case.random(LSTMSpec(3, 4, **options)), reason)


@pytest.mark.parametrize("name", RUNTIMES)
def test_other_questions_are_unsupported(name: str) -> None:
    case = Case.random(SPECS["plain"])
    assert_answer(name, replace(case, mask=case.valid), "mask: ")
    assert_answer(name, Case.random(SPECS["plain"], precision="bfloat16"), "bfloat16: ")
    assert_answer(name, replace(case, gradients=True), "gradients: ")


@pytest.mark.parametrize("name", RUNTIMES)
def test_wrong_weights_are_found(name: str) -> None:
    case = Case.random(SPECS["bidirectional-stack"])
    other = Case.random(case.spec, seed=1)
    result = session(name).execute(replace(other, x=case.x, h0=case.h0, c0=case.c0, id=""))
    judged = {row.quantity: row.verdict for row in judge(result, case, layout="onnx").rows}
    assert judged.pop("parameters") == "match"
    assert set(judged.values()) == {"mismatch"}


def test_swapped_gates_are_found() -> None:
    name, case = "onnxruntime", Case.random(SPECS["plain"])
    adapter = session(name).adapter
    model = adapter.build(case.spec, "float32")
    arrays = to_layout(case.weights, "onnx")
    swapped = {key: np.roll(array, 4, axis=1) for key, array in arrays.items()}
    adapter.load(model, swapped)
    assert judge(adapter.run(model, case), case).verdict == "mismatch"
    adapter.load(model, arrays)
    assert judge(adapter.run(model, case), case).verdict == "match"


@pytest.mark.parametrize("name", RUNTIMES)
def test_all_layers_are_returned(name: str) -> None:
    case = Case.random(LSTMSpec(3, 4, num_layers=3, bidirectional=True))
    result = session(name).execute(case)
    assert [layer.shape for layer in result.layer_outputs] == [(3, 7, 8)] * 2
    assert {row.quantity for row in verdict(name, case).rows} >= {"layer0.y", "layer1.y", "weights", "parameters"}


@pytest.mark.parametrize(
    ("name", "what", "mistake"),
    [
        ("onnx-reference", "lengths", "lengths-ignored"),
        ("onnx-reference", "relu", "candidate-tanh"),
        ("onnx-openvino", "peepholes", "peepholes-dropped"),
        ("onnx-openvino", "coupled", "coupling-omitted"),
        ("tract", "hard-sigmoid", "gates-sigmoid"),
        ("tract", "reverse", "reads-backward-aligned"),
    ],
)
def test_what_a_runtime_ignores_is_named(name: str, what: str, mistake: str) -> None:
    spec = {**SPECS, "reverse": LSTMSpec(3, 4, reverse=True)}.get(what, SPECS["plain"])
    case = Case.random(spec, steps=5, ragged=what == "lengths")
    assert diagnose(session(name).execute(case), case).mistakes == (mistake,)


def test_an_error_that_is_no_refusal_passes() -> None:
    with pytest.raises(ValueError, match="broken"), refusals_of("a runtime", ("does not support",)):
        raise ValueError("broken")
    reason = "a runtime refuses this: does not support double$"
    with pytest.raises(Unsupported, match=reason), refusals_of("a runtime", ("does not support",)):
        raise ValueError("node 7 does not support double\nat line 3")


# --- the model ---


@pytest.mark.parametrize("bias", ["split", "single", "none"])
def test_the_model_holds_the_weights_bit_for_bit(bias: Any) -> None:
    spec = LSTMSpec(3, 4, num_layers=2, bidirectional=True, bias=bias, peepholes=True)
    arrays = to_layout(LSTMWeights.random(spec), "onnx")
    stack = OnnxStack(spec, "float32")
    stack.load(arrays)
    assert all(np.array_equal(array, arrays[name]) for name, array in stack.arrays().items())
    assert stack.count() == count_parameters(spec, "onnx").total
    with pytest.raises(SpecError, match="to_layout"):
        stack.load({**arrays, "extra": arrays["lstm_0/W"]})


def test_inputs_are_there_where_the_case_has_them() -> None:
    spec = SPECS["bidirectional-stack"]
    assert list(inputs_of(Case.random(spec, states=False), always_states=False)) == ["x"]
    assert list(inputs_of(Case.random(spec, ragged=True), always_states=False)) == [
        "x", "lengths", "h0_0", "h0_1", "c0_0", "c0_1",
    ]  # fmt: skip
    zeros = inputs_of(Case.random(spec, states=False), always_states=True)["c0_1"]
    assert zeros.shape == (2, 3, 4) and not zeros.any()


def test_a_file_of_the_model_reads_as_the_same_weights(tmp_path: Any) -> None:
    case = Case.random(SPECS["many-functions"])
    stack = OnnxStack(case.spec, "float32")
    stack.load(to_layout(case.weights, "onnx"))
    model = make_model(stack, inputs_of(case, always_states=False))
    onnx.save(model, tmp_path / "model.onnx")
    expected = [LSTMWeights(case.spec.layer(k), (row,), "float32") for k, row in enumerate(case.weights.layers)]
    found = list(lx.load(tmp_path / "model.onnx").values())
    assert [one.spec for one in found] == [one.spec for one in expected]
    assert [one.fingerprint for one in found] == [one.fingerprint for one in expected]


# --- batch first ---


def _run_batch_first(name: str, case: Case) -> Array:
    """The first output of one node with `layout=1`."""
    stack = OnnxStack(case.spec, "float32")
    stack.load(to_layout(case.weights, "onnx"))
    given = inputs_of(case, always_states=False)
    inputs = {key: np.ascontiguousarray(array.swapaxes(0, 1)) for key, array in given.items()}
    states = [key if key in inputs else "" for key in ("h0_0", "c0_0")]
    node = onnx.helper.make_node("LSTM", ["x", "W", "R", "B", "", *states], ["y"], hidden_size=4, layout=1)
    value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    values = [value(key, kind, array.shape) for key, array in inputs.items()]
    graph = onnx.helper.make_graph([node], "g", values, [value("y", kind, None)], list(stack.initializers.values()))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    adapter: Any = session(name).adapter
    return adapter.compute(model, inputs)[0]


@pytest.mark.parametrize("name", ["onnx-reference", "tract"])
def test_batch_first_is_right(name: str) -> None:
    case = Case.random(SPECS["plain"], steps=5, batch=2)
    assert np.abs(_run_batch_first(name, case)[:, :, 0] - np.asarray(session(name).execute(case).y)).max() < 1e-6


def test_onnxruntime_refuses_batch_first() -> None:
    with pytest.raises(Exception, match="Batchwise recurrent operations"):
        _run_batch_first("onnxruntime", Case.random(SPECS["plain"]))


def test_openvino_ignores_batch_first() -> None:
    case = Case.random(SPECS["plain"], steps=5, batch=2, states=False)
    y = _run_batch_first("onnx-openvino", case)
    exchanged = replace(case, x=np.ascontiguousarray(case.x.swapaxes(0, 1)), id="")
    as_time_major = session("onnx-openvino").execute(exchanged)
    assert y.shape == (2, 1, 5, 4)
    assert np.abs(y[:, 0].swapaxes(0, 1) - np.asarray(as_time_major.y)).max() < 1e-6
