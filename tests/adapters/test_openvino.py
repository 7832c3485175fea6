"""The `openvino` adapter, and what it says of the precision that OpenVINO computes in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.compare import judge
from lstm_xcheck.engine.grid import grid
from lstm_xcheck.errors import SpecError
from lstm_xcheck.layouts import count_parameters, to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights

openvino = pytest.importorskip("openvino")

from lstm_xcheck.adapters.openvino import Cpu, Openvino, precision_of  # noqa: E402

from .in_process import assert_answer, session, verdict  # noqa: E402

pytestmark = pytest.mark.framework

BIDIRECTIONAL = LSTMSpec(3, 4, num_layers=2, bidirectional=True)
SPECS = {
    "reverse-stack": LSTMSpec(3, 4, num_layers=2, reverse=True),
    "clip": LSTMSpec(3, 4, num_layers=2, bidirectional=True, gate_clip=0.6),
    "relu": LSTMSpec(3, 4, bidirectional=True, cell_activation="relu"),
    "exchanged": LSTMSpec(3, 4, gate_activation="tanh", output_activation="sigmoid"),
}


def test_a_grid_agrees() -> None:
    recipes = grid(
        hidden=4, input=3, steps=5, directions=[1, 2], bias=["split", "single", "none"], ragged=[True, False]
    )
    recipes += grid(hidden=[1, 9], input=3, layers=2, states=[False, True], returns="last", ragged=True)
    verdicts = {recipe.id: verdict("openvino", recipe.case()).verdict for recipe in recipes}
    assert verdicts == {recipe.id: "match" for recipe in recipes}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_options_agree(spec: LSTMSpec) -> None:
    assert_answer("openvino", Case.random(spec, ragged=True), "match")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"proj_size": 2}, "projection: "),
        ({"peepholes": True}, "peepholes: "),
        ({"cell_clip": 1.0}, "cell clip: "),
        ({"coupling": "f=1-i"}, "coupled gates: "),
        ({"gate_activation": "hard_sigmoid:0.2,0.5"}, "Unsupported activation function"),
        ({"output_activation": "softsign"}, "Unknown activation function: softsign"),
    ],
)
def test_what_it_cannot_compute_is_unsupported(options: dict[str, Any], reason: str) -> None:
    assert_answer("openvino", Case.random(LSTMSpec(3, 4, **options)), reason)


def test_other_questions_are_unsupported() -> None:
    case = Case.random(BIDIRECTIONAL)
    assert_answer("openvino", replace(case, mask=case.valid), "mask: ")
    assert_answer("openvino", replace(case, gradients=True), "gradients: ")


@pytest.mark.parametrize("bias", ["split", "none"])
def test_weights_come_back_bit_for_bit_and_are_counted(bias: Any) -> None:
    adapter, spec = Openvino("openvino"), replace(BIDIRECTIONAL, bias=bias)
    arrays = to_layout(LSTMWeights.random(spec), "openvino")
    model = adapter.build(spec, "float32")
    adapter.load(model, arrays)
    back = adapter.read_back(model)
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)
    assert adapter.count_parameters(model) == count_parameters(spec, "openvino").total
    with pytest.raises(SpecError, match="to_layout"):
        adapter.load(model, {**arrays, "extra": arrays["lstm_0/W"]})


def test_swapped_gates_are_found() -> None:
    adapter, case = Openvino("openvino"), Case.random(BIDIRECTIONAL, ragged=True)
    model, arrays = adapter.build(case.spec, "float32"), to_layout(case.weights, "openvino")
    adapter.load(model, {name: np.roll(array, 4, axis=1) for name, array in arrays.items()})
    assert judge(adapter.run(model, case), case).verdict == "mismatch"
    adapter.load(model, arrays)
    assert judge(adapter.run(model, case), case).verdict == "match"


# --- precision ---


@pytest.mark.parametrize(
    ("precision", "expected"), [("float32", "float32"), ("float16", "float16"), ("float64", "float32")]
)
def test_the_true_precision_is_reported(precision: str, expected: str) -> None:
    case = Case.random(BIDIRECTIONAL, precision=precision, ragged=True)
    result = session("openvino").execute(case)
    assert result.computed_in == expected
    assert ("INFERENCE_PRECISION_HINT" in result.note) == (precision == "float64")
    assert verdict("openvino", case).verdict == "match"


def test_bfloat16_is_computed_where_the_processor_does() -> None:
    can = Cpu().reported("bfloat16") == "bfloat16"
    assert_answer("openvino", Case.random(BIDIRECTIONAL, precision="bfloat16"), "match" if can else "bfloat16: ")


def test_the_default_precision_is_noticed() -> None:
    """Without a hint, newer processors compute float32 models in bfloat16."""
    adapter, case = Openvino("openvino"), Case.random(BIDIRECTIONAL, ragged=True)
    adapter.cpu = Cpu(hint="")
    default = str(openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name())
    result = Session(adapter).execute(case)
    assert result.computed_in == {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[default]
    assert adapter.environment()["INFERENCE_PRECISION_HINT"] == result.computed_in
    assert judge(result, case, layout="openvino").verdict == "match"
    if default != "f32":
        assert judge(replace(result, computed_in="float32"), case).verdict == "mismatch"


@pytest.mark.parametrize("hint", [None, "", "bf16", "f16"])
def test_models_report_the_precision_that_the_environment_says(hint: str | None) -> None:
    cpu = Cpu(hint)
    operators = openvino.opset13
    x = operators.parameter([2, 3, 4], np.float32)
    model = openvino.Model([operators.tanh(x)], [x])
    assert precision_of(cpu.compile(model, "float32")) == cpu.environment()["INFERENCE_PRECISION_HINT"]
