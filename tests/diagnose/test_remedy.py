"""The code of a remedy, executed, repairs a real framework's module or a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import api
from lstm_xcheck.compare import judge
from lstm_xcheck.diagnose import Diagnosis, diagnose
from lstm_xcheck.diagnose.catalogue import CATALOGUE
from lstm_xcheck.diagnose.mistake import Mistake, in_cells
from lstm_xcheck.diagnose.remedy import function_remedy, remedy, why_no_code
from lstm_xcheck.engine.explain import Explainer
from lstm_xcheck.errors import DisagreementError
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result

from .cases import float32_lstm, named

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras on PyTorch or JAX
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]


def _case(id: str, **spec: Any) -> Case:
    return Case.random(LSTMSpec(**{"num_layers": 2, "bidirectional": True, **spec}), steps=4, seed=4, id=id)


#: In the first, all cells have one shape, so that layers can change places; in the second, layer 0 has square blocks.
CASES = [
    _case("stack", input_size=8, hidden_size=4, num_layers=3),
    _case("square", input_size=4, hidden_size=4),
    _case("projection", input_size=5, hidden_size=6, proj_size=3),
    _case("no-bias", input_size=8, hidden_size=4, bias="none"),
]
SINGLE = [_case("single-bias", input_size=8, hidden_size=4, bias="single"), CASES[3], CASES[1]]
PEEPHOLES = _case("peepholes", input_size=8, hidden_size=4, bias="single", peepholes=True)


def printed(mistake: Mistake, layout: str) -> str:
    return remedy(Diagnosis(mistake.title, (mistake.id,)), layout)


REPAIRABLE = {layout: [m for m in CATALOGUE if printed(m, layout)] for layout in ("torch", "keras")}
OF_FUNCTIONS = [m for m in CATALOGUE if function_remedy(Diagnosis(m.title, (m.id,)))]


def by_id(mistake: Mistake) -> str:
    return mistake.id


def planted(mistake: Mistake, case: Case) -> Case | None:
    """The case with a mistake in all cells or, where it applies to these alone, in those of layer 0."""
    return mistake.change_case(case) or (
        None if mistake.cell is None else in_cells(mistake, [(0, 0), (0, 1)]).change_case(case)
    )


# --- live modules ---


def torch_module(weights: LSTMWeights, *, batch_first: bool) -> Any:
    spec = weights.spec
    lstm = torch.nn.LSTM(
        spec.input_size, spec.hidden_size, spec.num_layers, bias=spec.bias != "none", bidirectional=spec.bidirectional,
        proj_size=spec.proj_size, batch_first=batch_first,
    )  # fmt: skip
    lstm.load_state_dict({name: torch.tensor(array) for name, array in weights.to_layout("torch").items()})
    return lstm


def run_torch(lstm: Any, case: Case) -> Result:
    """The answer of a module, with the outputs of its lower layers."""
    x, h0, c0 = (torch.tensor(np.array(array)) for array in (case.x, case.h0, case.c0))
    with torch.no_grad():
        y, (h_n, c_n) = lstm(x if lstm.batch_first else x.transpose(0, 1), (h0, c0))
        lower = []
        for k in range(case.spec.num_layers - 1):
            x = lower_layer(lstm, k, x.shape[-1])(x, (h0[2 * k : 2 * k + 2], c0[2 * k : 2 * k + 2]))[0]
            lower.append(x.numpy())
    y = y if lstm.batch_first else y.transpose(0, 1)
    return Result(y=y.numpy(), h_n=h_n.numpy(), c_n=c_n.numpy(), layer_outputs=tuple(lower))


def lower_layer(lstm: Any, k: int, width: int) -> Any:
    """One layer of a module by itself."""
    layer = torch.nn.LSTM(
        width, lstm.hidden_size, bias=lstm.bias, bidirectional=True, proj_size=lstm.proj_size, batch_first=True
    )
    own = {name.replace(f"_l{k}", "_l0"): tensor for name, tensor in lstm.state_dict().items() if f"_l{k}" in name}
    layer.load_state_dict(own)
    return layer


def test_most_mistakes_of_weights_have_code() -> None:
    assert len(REPAIRABLE["torch"]) >= 155
    assert len(REPAIRABLE["keras"]) >= 150
    assert len(OF_FUNCTIONS) > len(REPAIRABLE["torch"])


@pytest.mark.parametrize("batch_first", [True, False], ids=["batch-first", "time-major"])
@pytest.mark.parametrize("mistake", REPAIRABLE["torch"], ids=by_id)
def test_code_repairs_a_torch_module_of_layers_and_directions(mistake: Mistake, batch_first: bool) -> None:
    repaired = 0
    for case in CASES:
        wrong = planted(mistake, case)
        if wrong is None:
            continue
        lstm = torch_module(wrong.weights, batch_first=batch_first)
        if judge(run_torch(lstm, case), case).verdict == "match":  # such as a bias of 0
            continue
        own = () if mistake.change_case(case) else ((0, 0), (0, 1))
        exec(remedy(Diagnosis(mistake.title, (mistake.id,), cells=own), "torch"), {"torch": torch, "lstm": lstm})
        assert judge(run_torch(lstm, case), case).verdict == "match", case.id
        repaired += 1
    assert repaired, "it shows on no case"


@pytest.mark.parametrize(
    "id", ["gates-iofg", "u-reshaped", "bias-plus-1-f", "directions-exchanged", "projection-reshaped"]
)
def test_the_code_of_a_whole_search_repairs_a_module(id: str) -> None:
    (mistake,) = named(id)
    case = next(case for case in CASES if mistake.change_case(case) is not None)
    wrong = mistake.change_case(case)
    assert wrong is not None
    lstm = torch_module(wrong.weights, batch_first=True)
    found = diagnose(run_torch(lstm, case), case, pairs=False)
    exec(remedy(found, "torch"), {"torch": torch, "lstm": lstm})
    assert judge(run_torch(lstm, case), case).verdict == "match"


@pytest.mark.parametrize("cells", [[(0, 0)], [(1, 1)], [(0, 1), (1, 0)]], ids=str)
def test_a_mistake_in_some_cells_is_repaired_there_alone(cells: list[tuple[int, int]]) -> None:
    (mistake,) = named("gates-iofg")
    case = CASES[3]
    wrong = in_cells(mistake, cells).change_case(case)
    assert wrong is not None
    lstm = torch_module(wrong.weights, batch_first=True)
    found = diagnose(run_torch(lstm, case), case, pairs=False)
    assert (found.mistakes, list(found.cells)) == (("gates-iofg",), cells)
    exec(remedy(found, "torch"), {"torch": torch, "lstm": lstm})
    assert judge(run_torch(lstm, case), case).verdict == "match"


def test_two_mistakes_are_undone_in_the_right_order() -> None:
    pair = named("gates-iofg", "bias-plus-1-f")
    case = CASES[0]
    wrong = case
    for mistake in pair:
        changed = mistake.change_case(wrong)
        assert changed is not None
        wrong = changed
    lstm = torch_module(wrong.weights, batch_first=True)
    exec(remedy(Diagnosis("both", tuple(m.id for m in pair)), "torch"), {"torch": torch, "lstm": lstm})
    assert judge(run_torch(lstm, case), case).verdict == "match"
    exec(remedy(Diagnosis("both", tuple(m.id for m in pair)), "torch"), {"torch": torch, "lstm": lstm})
    assert judge(run_torch(lstm, case), case).verdict == "mismatch", "what is right is not to be mended"


class KerasStack:
    """A Bidirectional(LSTM) for each layer of a case."""

    def __init__(self, case: Case) -> None:
        keras = pytest.importorskip("keras")
        self.to_numpy = keras.ops.convert_to_numpy  # PyTorch's tensors want a gradient
        spec = case.spec
        self.layers = [
            keras.layers.Bidirectional(
                keras.layers.LSTM(
                    spec.hidden_size, return_sequences=True, return_state=True, use_bias=spec.bias != "none"
                )
            )
            for _ in range(spec.num_layers)
        ]
        self.run(case)

    def load(self, weights: LSTMWeights) -> None:
        for layer, row in zip(self.layers, weights.layers, strict=True):
            for half, cell in zip((layer.forward_layer, layer.backward_layer), row, strict=True):
                kernels = [np.concatenate(np.swapaxes(np.asarray(a), 1, 2), axis=1) for a in (cell.W, cell.U)]
                bias = [] if cell.b is None else [np.asarray(cell.total_bias, np.float32).reshape(-1)]
                half.set_weights([*kernels, *bias])

    def run(self, case: Case) -> Result:
        y, finals, outputs = np.asarray(case.x), [], []
        for k, layer in enumerate(self.layers):
            states = [np.asarray(a)[2 * k + d] for d in range(2) for a in (case.h0, case.c0)]
            y, *own = (self.to_numpy(array) for array in layer(y, initial_state=states))
            finals += own
            outputs.append(y)
        return Result(y=y, h_n=np.stack(finals[::2]), c_n=np.stack(finals[1::2]), layer_outputs=tuple(outputs[:-1]))


@pytest.fixture(scope="module")
def keras_stacks() -> list[tuple[Case, KerasStack]]:
    return [(case, KerasStack(case)) for case in SINGLE]


@pytest.mark.parametrize("mistake", REPAIRABLE["keras"], ids=by_id)
def test_code_repairs_a_keras_stack(mistake: Mistake, keras_stacks: list[tuple[Case, KerasStack]]) -> None:
    for case, stack in keras_stacks:
        wrong = planted(mistake, case)
        if wrong is None:
            continue
        own = () if mistake.change_case(case) else ((0, 0), (0, 1))
        stack.load(wrong.weights)
        code = remedy(Diagnosis(mistake.title, (mistake.id,), cells=own), "keras")
        code = code.replace("stack = [layer]", "stack = layers_of_the_model")
        exec(code, {"layers_of_the_model": stack.layers})
        assert judge(stack.run(case), case).verdict == "match", case.id
        return
    assert mistake.id == "layers-upper-exchanged", "it applies to no case"


# --- functions ---


@pytest.mark.parametrize("mistake", OF_FUNCTIONS, ids=by_id)
def test_a_function_is_right_with_corrected_weights(mistake: Mistake) -> None:
    repaired = 0
    for case in [*CASES, PEEPHOLES, SINGLE[0]]:
        if mistake.change_case(case) is None:
            continue

        def function(weights: LSTMWeights, case: Case = case) -> Result:
            wrong = mistake.change_case(replace(case, weights=weights))
            assert wrong is not None
            result: Result = float32_lstm.run(wrong, float32_lstm.ORDERS[0])
            return result

        if judge(function(case.weights), case).verdict == "match":
            continue
        names: dict[str, Callable[[LSTMWeights], LSTMWeights]] = {}
        exec(function_remedy(Diagnosis(mistake.title, (mistake.id,))), names)
        assert judge(function(names["corrected"](case.weights)), case).verdict == "match", case.id
        repaired += 1
    assert repaired or mistake.id in {"w-transposed", "w-u-exchanged"}


@pytest.mark.parametrize("layout", ["torch", "onnx", "jax", "openvino"])
@pytest.mark.parametrize("id", ["gates-iofg", "u-reshaped-to-columns", "bias-doubled", "directions-exchanged"])
def test_a_function_of_arrays_is_right_with_corrected_arrays(id: str, layout: str) -> None:
    (mistake,) = named(id)
    single = layout in ("jax", "openvino")
    case = Case.random(LSTMSpec(8, 4, bidirectional=True, bias="single" if single else "split"), steps=4, seed=4)

    def function(arrays: dict[str, Any]) -> Result:
        weights = LSTMWeights.from_layout(arrays, layout)
        wrong = mistake.change_case(replace(case, weights=weights))
        assert wrong is not None
        result: Result = float32_lstm.run(wrong, float32_lstm.ORDERS[0])
        return result

    arrays = case.weights.to_layout(layout)
    assert judge(function(arrays), case).verdict == "mismatch"
    names: dict[str, Any] = {}
    exec(function_remedy(Diagnosis(mistake.title, (id,)), layout), names)
    assert judge(function(names["corrected"](arrays)), case).verdict == "match"


def exchanged(weights: LSTMWeights, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
    """A user's function that reads the gates in another order."""
    (mistake,) = named("gates-iofg")
    wrong = mistake.change_case(Case(weights=weights, x=x, h0=h0, c0=c0))
    assert wrong is not None
    result = float32_lstm.run(wrong, float32_lstm.ORDERS[0])
    return result.y, result.h_n, result.c_n


def test_reports_and_the_assertion_print_the_program_for_a_function() -> None:
    case = CASES[3]
    report = api.verify([case], {"mine": exchanged})
    (program,) = report.programs
    with pytest.raises(DisagreementError) as by_report:
        report.raise_if_failed()
    with pytest.raises(DisagreementError) as by_assertion:
        api.assert_equivalent(case.weights, exchanged, case=case)
    body = report.diagnoses[0]["program"]
    assert program == f"# for mine\n{body}"
    for message in (str(by_report.value), str(by_assertion.value)):
        assert "\n".join(f"    {line}".rstrip() for line in body.splitlines()) in message
    names: dict[str, Any] = {}
    exec(body, names)
    mended = api.verify([case], {"mine": lambda weights, *data: exchanged(names["corrected"](weights), *data)})
    assert mended.ok and mended.programs == []


def test_a_framework_gets_no_program() -> None:
    case = CASES[3]
    (mistake,) = named("gates-iofg")
    wrong = mistake.change_case(case)
    assert wrong is not None
    lstm = torch_module(wrong.weights, batch_first=True)
    (found,) = Explainer().explain(run_torch(lstm, case), case, "torch")
    assert (found["mistakes"], found["program"]) == (["gates-iofg"], "")


# --- where there is none ---


@pytest.mark.parametrize("id", ["bias-dropped", "bias-hh-dropped", "kernels-int8", "layer-first-reused"])
def test_no_code_where_numbers_are_lost_but_what_to_do(id: str) -> None:
    (mistake,) = named(id)
    found = Diagnosis(mistake.title, (id,))
    assert remedy(found, "torch") == remedy(found, "keras") == ""
    assert "load them again from their source" in why_no_code(found)


@pytest.mark.parametrize("ids", [("h0-ignored",), ("gates-iofg", "h0-ignored"), ("computed-in-tf32-cut",), ()])
def test_no_code_for_what_is_not_in_the_weights(ids: tuple[str, ...]) -> None:
    found = Diagnosis("something", ids)
    assert remedy(found, "torch") == function_remedy(found) == why_no_code(found) == ""


def test_no_code_for_one_of_two_biases_where_a_layer_has_their_sum() -> None:
    found = Diagnosis("first bias counted twice", ("bias-ih-doubled",))
    assert remedy(found, "torch")
    assert remedy(found, "keras") == ""


def test_no_code_for_arrays_that_a_layout_lacks() -> None:
    (mistake,) = named("peepholes-i-f")
    found = Diagnosis(mistake.title, (mistake.id,))
    assert remedy(found, "torch") == ""
    assert "peephole = peephole[[1, 0, 2]]" in function_remedy(found)
