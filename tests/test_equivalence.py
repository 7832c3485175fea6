"""assert_equivalent on weights, files, functions and PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.errors import NothingComparedError
from lstm_xcheck.layouts import adapt_bias
from lstm_xcheck.model import CellWeights, LSTMSpec, LSTMWeights
from lstm_xcheck.oracle import forward

PLAIN = LSTMSpec(input_size=4, hidden_size=4)
BOTH = replace(PLAIN, bidirectional=True)


def changed(weights: LSTMWeights, layer: int = 0, direction: int = 0, **arrays: Any) -> LSTMWeights:
    """The same weights with some arrays of one cell replaced."""
    rows = [list(row) for row in weights.layers]
    rows[layer][direction] = CellWeights(**{**dict(rows[layer][direction].items()), **arrays})
    return replace(weights, layers=tuple(tuple(row) for row in rows))


def oracle(weights: LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Any:
    """A function of the user's that is right."""
    result = forward(lx.Case(weights=weights, x=x, h0=h0, c0=c0, lengths=lengths))
    return result.y, result.h_n, result.c_n


def message(first: Any, second: Any, **options: Any) -> str:
    with pytest.raises(lx.DisagreementError) as caught:
        lx.assert_equivalent(first, second, **options)
    assert isinstance(caught.value, AssertionError)
    return str(caught.value)


# Weights


@pytest.mark.parametrize("spec", [PLAIN, BOTH, replace(PLAIN, num_layers=2, proj_size=2)], ids=["plain", "bi", "proj"])
def test_split_biases_and_their_sum_are_the_same(spec: LSTMSpec) -> None:
    weights = LSTMWeights.random(spec, seed=1)
    single = adapt_bias(weights, "single")
    lx.assert_equivalent(weights, single)
    lx.assert_equivalent(single, weights)
    lx.assert_equivalent(adapt_bias(single, "split"), weights)


def test_the_second_bias_of_one_side_is_explained_not_hidden() -> None:
    weights = LSTMWeights.random(PLAIN, seed=1)
    other = adapt_bias(changed(weights, W=np.asarray(weights.layers[0][0].W) * 2), "single")
    text = message(weights, other)
    assert "parameters of the first: 160 = canonical 144 + 16, a second bias" in text
    assert "parameters of the second: 144 = 4((4+4)*4+4), the canonical count" in text


def test_no_bias_is_the_same_as_zeros() -> None:
    bare = LSTMWeights.random(replace(PLAIN, bias="none"), seed=2)
    (cell,) = bare.layers[0]
    zeros = LSTMWeights(replace(PLAIN, bias="single"), ((CellWeights(cell.W, cell.U, np.zeros((4, 4))),),), "float32")
    lx.assert_equivalent(bare, zeros)
    message(bare, changed(zeros, b=np.full((4, 4), 1e-30)))


def test_the_first_differing_number_is_named() -> None:
    weights = LSTMWeights.random(BOTH, seed=3)
    U = np.array(weights.layers[0][1].U)
    U[2, 1, 3] = np.nextafter(U[2, 1, 3], np.float32(2))
    text = message(weights, changed(weights, direction=1, U=U))
    assert "U of layer 0, direction 1, gate g: [1, 3] is" in text
    assert "1 of 64 numbers differ" in text


def test_precisions_differ_by_value_until_one_is_named() -> None:
    double = LSTMWeights.random(PLAIN, seed=4, dtype="float64")
    lx.assert_equivalent(double.astype("float32").astype("float64"), double.astype("float32"))
    message(double, double.astype("float32"))
    lx.assert_equivalent(double, double.astype("float32"), precision="float32")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": 5}, "hidden_size is 4 in the first, but 5 in the second"),
        ({"bidirectional": True}, "bidirectional is False in the first, but True"),
        ({"reverse": True}, "reverse is False in the first, but True"),
        ({"gate_activation": "hard_sigmoid:0.2,0.5"}, "gate_activation is 'sigmoid' in the first, but 'hard"),
    ],
    ids=["size", "directions", "reverse", "activation"],
)
def test_another_spec_is_named(change: dict[str, Any], words: str) -> None:
    assert words in message(LSTMWeights.random(PLAIN), LSTMWeights.random(replace(PLAIN, **change)))


# Functions


def test_a_right_function_agrees() -> None:
    weights = LSTMWeights.random(BOTH, seed=5)
    lx.assert_equivalent(weights, oracle)
    lx.assert_equivalent(oracle, weights)
    lx.assert_equivalent(oracle, weights, precision="float64")
    case = lx.Case.random(BOTH, seed=6, ragged=True)
    lx.assert_equivalent(oracle, oracle, case=case)


def _swap_h_and_c(y: Array, h: Array, c: Array) -> Any:
    return y, c, h


def _late(y: Array, h: Array, c: Array) -> Any:
    wrong = y.copy()
    wrong[:, 3:] += 1e-4
    return wrong, h, c


def _not_a_number(y: Array, h: Array, c: Array) -> Any:
    return np.full_like(y, np.nan), h, c


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_swap_h_and_c, "outputs of the second, h_n: mismatch (score"),
        (_late, "first at step 3"),
        (_not_a_number, "= nan, but should be"),
    ],
    ids=["h-and-c", "late", "nan"],
)
def test_a_wrong_function_disagrees(spoil: Callable[..., Any], words: str) -> None:
    weights = LSTMWeights.random(PLAIN, seed=7)
    text = message(weights, lambda *arguments: spoil(*oracle(*arguments)))
    assert words in text
    assert "first: LSTMWeights" in text


def test_a_function_that_ignores_lengths_disagrees_on_such_a_case() -> None:
    case = lx.Case.random(PLAIN, seed=8, ragged=True)

    def deaf(weights: LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array) -> Any:
        return oracle(weights, x, h0, c0, None)

    lx.assert_equivalent(case.weights, deaf)
    message(case.weights, deaf, case=case)


def test_the_weights_of_the_case_count() -> None:
    case = lx.Case.random(PLAIN, seed=9)
    weights = LSTMWeights.random(PLAIN, seed=10)
    assert "in the case" in message(weights, weights, case=case)


@pytest.mark.parametrize(
    ("first", "second", "kind", "words"),
    [
        (oracle, oracle, NothingComparedError, "two functions without weights and no case"),
        (3, LSTMWeights.random(PLAIN), lx.UserError, "the first argument is a int, but should be"),
        (LSTMWeights.random(PLAIN), [], lx.UserError, "the list holds nothing"),
        (LSTMWeights.random(PLAIN), [oracle], lx.UserError, "the list holds function"),
        ("no/such.pt", LSTMWeights.random(PLAIN), lx.CheckpointError, "no/such.pt"),
    ],
    ids=["functions", "number", "empty-list", "list", "missing-file"],
)
def test_what_cannot_be_compared_is_refused(first: Any, second: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        lx.assert_equivalent(first, second)
    assert "\n" not in str(caught.value)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(lx.SpecError, match="unknown precision 'float8'"):
        lx.assert_equivalent(LSTMWeights.random(PLAIN), oracle, precision="float8")


# PyTorch


def module(weights: LSTMWeights, kind: Any = None, **options: Any) -> Any:
    torch = pytest.importorskip("torch")
    spec = weights.spec
    made = (kind or torch.nn.LSTM)(
        spec.input_size, spec.hidden_size, num_layers=spec.num_layers, bias=spec.bias != "none",
        bidirectional=spec.bidirectional, proj_size=spec.proj_size, dtype=getattr(torch, weights.dtype), **options,
    )  # fmt: skip
    made.load_state_dict({name: torch.tensor(array) for name, array in weights.to_layout("torch").items()})
    return made


@pytest.mark.framework
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("batch_first", [True, False], ids=["batch-first", "time-first"])
@pytest.mark.parametrize(
    "spec",
    [PLAIN, BOTH, replace(BOTH, num_layers=3), replace(PLAIN, proj_size=2), replace(PLAIN, bias="none")],
    ids=["plain", "bi", "stack", "proj", "no-bias"],
)
def test_a_torch_module_is_its_weights(spec: LSTMSpec, batch_first: bool, dtype: str) -> None:
    weights = LSTMWeights.random(spec, seed=11, dtype=dtype)
    made = module(weights, batch_first=batch_first)
    lx.assert_equivalent(made, weights)
    lx.assert_equivalent(weights, made)


@pytest.mark.framework
def test_a_float64_module_is_compared_in_the_precision_named() -> None:
    double = module(LSTMWeights.random(PLAIN, seed=18, dtype="float64"))
    weights = LSTMWeights.random(PLAIN, seed=18, dtype="float32")
    message(double, weights)
    lx.assert_equivalent(double, weights, precision="float32")
    lx.assert_equivalent(double, oracle, precision="float32")


@pytest.mark.framework
def test_a_torch_cell_is_a_layer_of_one_step_at_a_time() -> None:
    torch = pytest.importorskip("torch")
    layer = module(LSTMWeights.random(PLAIN, seed=12))
    cell = torch.nn.LSTMCell(4, 4)
    cell.load_state_dict({name.removesuffix("_l0"): array for name, array in layer.state_dict().items()})
    lx.assert_equivalent(cell, layer)
    with torch.no_grad():
        cell.bias_hh[5] += 1
    assert "b of layer 0 (the sum of both biases), gate f: [1]" in message(cell, layer)


@pytest.mark.framework
def test_a_list_of_torch_layers_is_a_stack() -> None:
    weights, others = (LSTMWeights.random(replace(BOTH, num_layers=2), seed=seed) for seed in (13, 99))
    layers = [module(weights.layer(0)), module(weights.layer(1), batch_first=True)]
    lx.assert_equivalent(layers, module(weights))
    assert "W of layer 1, direction 0" in message([layers[0], module(others.layer(1))], module(weights))
    with pytest.raises(lx.SpecError, match="layer 1 of the stack has input_size=4, but should have 8"):
        lx.assert_equivalent([layers[1], layers[0]], module(weights))


def _swapped_gates(weights: LSTMWeights) -> LSTMWeights:
    return changed(weights, W=np.asarray(weights.layers[0][0].W)[[1, 0, 2, 3]])


def _dropped_bias(weights: LSTMWeights) -> LSTMWeights:
    return changed(weights, b_r=np.zeros((4, 4), np.float32))


def _transposed(weights: LSTMWeights) -> LSTMWeights:
    return changed(weights, U=np.swapaxes(np.asarray(weights.layers[0][0].U), 1, 2))


def _swapped_directions(weights: LSTMWeights) -> LSTMWeights:
    return replace(weights, layers=(tuple(reversed(weights.layers[0])),))


@pytest.mark.framework
@pytest.mark.parametrize(
    ("mutant", "words"),
    [
        (_swapped_gates, "W of layer 0, direction 0, gate i: [0, 0]"),
        (_dropped_bias, "b of layer 0, direction 0 (the sum of both biases), gate i: [0]"),
        (_transposed, "U of layer 0, direction 0, gate i: [0,"),
        (_swapped_directions, "W of layer 0, direction 0, gate i: [0, 0]"),
    ],
    ids=["gates", "bias", "transposed", "directions"],
)
def test_wrong_torch_weights_are_found_and_their_outputs_too(
    mutant: Callable[[LSTMWeights], LSTMWeights], words: str
) -> None:
    weights = LSTMWeights.random(BOTH, seed=14)
    text = message(weights, module(mutant(weights)))
    assert words in text
    assert "outputs of the second, y: mismatch (score" in text


@pytest.mark.framework
def test_a_module_that_computes_another_function_is_found() -> None:
    torch = pytest.importorskip("torch")

    class Swapped(torch.nn.LSTM):  # type: ignore[misc]
        def forward(self, x: Any, states: Any = None) -> Any:
            return super().forward(x, states if states is None else states[::-1])

    weights = LSTMWeights.random(PLAIN, seed=15)
    text = message(weights, module(weights, Swapped))
    assert "numbers differ" not in text
    assert "outputs of the second, c_n: mismatch" in text


@pytest.mark.framework
def test_training_mode_with_dropout_is_refused() -> None:
    weights = LSTMWeights.random(replace(PLAIN, num_layers=2), seed=16)
    random = module(weights, dropout=0.5)
    with pytest.raises(lx.UserError, match=r"call \.eval\(\) on it first"):
        lx.assert_equivalent(random, weights)
    lx.assert_equivalent(random.eval(), weights)


@pytest.mark.framework
def test_a_torch_module_that_is_no_lstm_is_refused() -> None:
    torch = pytest.importorskip("torch")
    inside = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LSTM(4, 4))
    with pytest.raises(lx.UserError, match="pass one of those inside it: 1"):
        lx.assert_equivalent(inside, inside)
    with pytest.raises(lx.UserError, match="got a torch GRU, but expected"):
        lx.assert_equivalent(torch.nn.GRU(3, 4), inside)


@pytest.mark.framework
def test_a_checkpoint_file_is_compared_with_a_module(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    made = module(LSTMWeights.random(BOTH, seed=17))
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    torch.save(made.state_dict(), one)
    torch.save({f"{a}.{name}": array for a in ("left", "right") for name, array in made.state_dict().items()}, two)
    lx.assert_equivalent(one, made)
    lx.assert_equivalent(made, str(one))
    with pytest.raises(lx.UserError, match=r"holds 2 LSTMs: left, right; pick one with lx\.load"):
        lx.assert_equivalent(two, made)


# Compiled, scripted and quantised modules


@pytest.fixture
def modules() -> Iterator[tuple[Any, Any]]:
    """Two of the same weights; PyTorch compiles them, as it does not by default."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    torch._dynamo.reset()
    own = torch.nn.LSTM(4, 5, batch_first=True).eval()
    twin = torch.nn.LSTM(4, 5, batch_first=True).eval()
    twin.load_state_dict(own.state_dict())
    with torch._dynamo.config.patch(allow_rnn=True):
        yield own, twin


@pytest.mark.framework("torch")
@pytest.mark.parametrize("wrong", [False, True])
def test_a_compiled_module_is_run_and_not_unwrapped(modules: tuple[Any, Any], wrong: bool) -> None:
    """A compiler that is 1 % off is caught, though the module that it compiled is right."""
    torch = pytest.importorskip("torch")
    own, twin = modules
    calls = []

    def backend(graph: Any, _: Any) -> Any:
        def compiled(*given: Any) -> Any:
            calls.append(1)
            return tuple(part * (1.01 if wrong else 1) for part in graph(*given))

        return compiled

    compiled = torch.compile(twin, backend=backend)
    if wrong:
        assert "compiled torch LSTM" in message(own, compiled)
    else:
        lx.assert_equivalent(own, compiled)
    assert calls


@pytest.mark.framework("torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_scripted_module_is_run_and_a_quantised_one_named(modules: tuple[Any, Any]) -> None:
    torch = pytest.importorskip("torch")
    own, twin = modules
    lx.assert_equivalent(own, torch.jit.script(twin))
    with torch.no_grad():
        twin.weight_hh_l0[0, 0] += 1
    assert "U of layer 0" in message(own, torch.jit.script(twin))
    packed = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(twin), {torch.nn.LSTM})[0]
    with pytest.raises(lx.UserError, match=r"got a quantised torch LSTM .* whose weights were rounded to qint8"):
        lx.assert_equivalent(own, packed)
