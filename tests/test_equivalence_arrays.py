"""assert_equivalent on state dicts, trees and lists of arrays, and on what functions of PyTorch return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.errors import SpecError, UserError
from lstm_xcheck.model import LSTMSpec, LSTMWeights

NAMES = ("kernel", "recurrent_kernel", "bias")
#: A GRU of 4 units; its kernel alone might be that of an LSTM of 3.
GRU = [np.zeros((5, 12)), np.zeros((4, 12)), np.zeros(12)]
SPECS = [
    LSTMSpec(input_size=5, hidden_size=3, num_layers=layers, bidirectional=both, bias=bias)
    for layers, both, bias in ((1, False, "single"), (1, True, "single"), (3, False, "none"), (2, True, "single"))
]


def keras_list(weights: LSTMWeights) -> list[Any]:
    """The order of `get_weights()`, which is that of the layout's names."""
    return list(weights.to_layout("keras").values())


def spoiled(arrays: list[Any]) -> list[Any]:
    """The next float in one place of the last array."""
    last = np.array(arrays[-1])
    last.flat[0] = np.nextafter(last.flat[0], np.float32(9))
    return [*arrays[:-1], last]


@pytest.mark.parametrize("spec", SPECS, ids=["one", "both", "stack", "stack-both"])
def test_a_list_of_arrays_is_what_keras_returns(spec: LSTMSpec) -> None:
    weights = LSTMWeights.random(spec, seed=2)
    lx.assert_equivalent(weights, keras_list(weights))
    with pytest.raises(lx.DisagreementError, match=f"of layer {spec.num_layers - 1}.* 1 of .* numbers differ"):
        lx.assert_equivalent(weights, spoiled(keras_list(weights)))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ([np.zeros((3, 12)), np.zeros((3, 12)), np.zeros(12)] * 2, "which may be two layers or two directions"),
        ([np.zeros((5, 12)), np.zeros((3, 12)), np.zeros((4, 12)), np.zeros((3, 12))], "may be no LSTM of Keras"),
        ([np.zeros((5, 12))], r"shapes \(5, 12\), but should hold what get_weights\(\) of a Keras LSTM returns"),
        ({"kernel": "a"}, "holds a str as 'kernel', but should hold arrays"),
        ({"weight_ih_l0": np.zeros((6, 2)), "weight_hh_l0": np.zeros((6, 2))}, "a GRU, not an LSTM"),
        (GRU, r"shapes \(5, 12\), \(4, 12\), \(12,\), but should .* kernel \(hidden, 4 hidden\) .*; a GRU has 3"),
        (dict(zip(NAMES, GRU, strict=True)), r"bias float64\[12\] \(a GRU, not an LSTM: input weights \[5, 12\] and"),
        ({"a": dict.fromkeys(NAMES[:2], np.zeros((3, 3)))}, "an RNN, not an LSTM: input weights"),
    ],
    ids=["ambiguous", "no-stack", "alone", "text", "gru", "gru-list", "gru-names", "rnn-names"],
)
def test_arrays_that_are_no_lstm_are_refused(arrays: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        lx.assert_equivalent(LSTMWeights.random(SPECS[0]), arrays)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["torch", "flax-linen", "haiku"])
def test_a_tree_of_names_says_its_layout(layout: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(input_size=5, hidden_size=3, bias="single"), seed=2)
    tree: dict[str, Any] = {"model": {"encoder": weights.to_layout(layout)}, "step": np.int64(4)}
    lx.assert_equivalent(weights, tree)
    other = LSTMWeights.random(weights.spec, seed=3).to_layout(layout)
    with pytest.raises(lx.DisagreementError, match="W of layer 0, gate i"):
        lx.assert_equivalent(weights, {"model": {"encoder": other}})
    with pytest.raises(UserError, match=r"the second argument holds 2 LSTMs: .*; pass the arrays of one"):
        lx.assert_equivalent(weights, {"a": weights.to_layout(layout), "b": other})


@pytest.mark.framework("torch")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_state_dict_is_its_module(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.LSTM(5, 3, num_layers=2, dtype=getattr(torch, dtype))
    lx.assert_equivalent(module.state_dict(), dict(module.named_parameters()))
    lx.assert_equivalent(module, module.state_dict())
    with torch.no_grad():
        changed = {**module.state_dict(), "bias_hh_l1": module.bias_hh_l1.flip(0)}
    with pytest.raises(lx.DisagreementError, match="b of layer 1"):
        lx.assert_equivalent(module, changed)


@pytest.mark.framework("torch")
@pytest.mark.parametrize("factor", [1.0, 1.001], ids=["right", "wrong"])
def test_a_function_may_return_what_pytorch_does(factor: float) -> None:
    torch = pytest.importorskip("torch")

    def run(weights: LSTMWeights, x: Any, h0: Any, c0: Any, _: Any) -> Any:
        module = torch.nn.LSTM(5, 3, batch_first=True)
        module.load_state_dict({name: torch.tensor(a) for name, a in weights.to_layout("torch").items()})
        y, states = module(torch.tensor(x), (torch.tensor(h0), torch.tensor(c0)))
        assert y.requires_grad
        return y * factor, states

    weights = LSTMWeights.random(LSTMSpec(input_size=5, hidden_size=3), seed=2)
    if factor == 1.0:
        lx.assert_equivalent(weights, run)
        return
    with pytest.raises(lx.DisagreementError, match="outputs of the second, y: mismatch"):
        lx.assert_equivalent(weights, run)


def test_two_things_that_are_no_states_are_refused() -> None:
    with pytest.raises(SpecError, match="the function returned 2 things"):
        lx.assert_equivalent(LSTMWeights.random(SPECS[0]), lambda w, x, h, c, _: (x, h))


@pytest.mark.parametrize(
    ("arrays", "layout", "options", "words"),
    [
        ([1], "keras", {}, "got a list, but should get a dict of arrays by name"),
        (None, "keras", {}, "got a NoneType"),
        ({1: np.zeros(1)}, "keras", {}, "an array is named 1, but names should be text"),
        ({}, 5, {}, "unknown layout 5; expected one of torch, keras"),
        ({"kernel": "abc", "recurrent_kernel": None}, "keras", {}, r"kernel has shape \(\)"),
        ({}, "keras", {"spec": 3}, "spec is a int, but should be an LSTMSpec"),
        (dict(zip(NAMES, GRU, strict=True)), "keras", {}, r": recurrent_kernel has shape \(4, 12\), but should have 3"),
        ({"kernel": GRU[0][:, :9], "recurrent_kernel": GRU[1]}, "keras", {}, r": kernel has shape \(5, 9\), but"),
        (
            dict(zip(NAMES, (GRU[0], GRU[1][:3], GRU[2][1:]), strict=True)), "keras", {},
            r": bias has shape \(11,\), but should have 4 x hidden = 12 numbers where it has 11",
        ),
    ],
    ids=["list", "none", "number", "layout", "text", "spec", "gru", "kernel", "bias"],
)  # fmt: skip
def test_from_layout_refuses_other_types(arrays: Any, layout: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        LSTMWeights.from_layout(arrays, layout, **options)


@pytest.mark.framework("torch")
def test_a_result_takes_tensors_that_need_gradients() -> None:
    torch = pytest.importorskip("torch")
    y = torch.ones(1, 2, 3, requires_grad=True)
    np.testing.assert_array_equal(lx.Result(y=y).y, np.ones((1, 2, 3)))


def test_the_reader_of_lists_can_fail() -> None:
    """The arrays of another LSTM of the same shapes."""
    weights = LSTMWeights.random(SPECS[1], seed=2)
    with pytest.raises(lx.DisagreementError):
        lx.assert_equivalent(weights, keras_list(LSTMWeights.random(SPECS[1], seed=3)))


def exchanged(array: Any) -> Any:
    """Gates f and g of a PyTorch array in each other's place."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, g, f, o])


@pytest.mark.parametrize("bias", ["split", "none"])
def test_every_array_that_differs_is_listed_and_the_mistake_named(bias: Any) -> None:
    weights = LSTMWeights.random(LSTMSpec(input_size=5, hidden_size=3, bias=bias), seed=2)
    mine = weights.to_layout("torch")
    with pytest.raises(lx.DisagreementError) as caught:
        lx.assert_equivalent(mine, {name: exchanged(array) for name, array in mine.items()})
    lines = str(caught.value).splitlines()
    listed = [line.split()[1] for line in lines if "of layer 0" in line]
    assert listed == (["W", "U"] if bias == "none" else ["W", "U", "b"])
    assert [line for line in lines if "best explanation of the weights of the second: gates f and g exchanged" in line]
    assert "they are exactly those of the first with it" in str(caught.value)


def test_weights_that_no_mistake_makes_have_no_cause() -> None:
    first, second = (LSTMWeights.random(SPECS[0], seed=seed) for seed in (2, 3))
    with pytest.raises(lx.DisagreementError, match="no cause found for the weights of the second: ") as caught:
        lx.assert_equivalent(first, second)
    assert "best explanation" not in str(caught.value)


def test_a_zero_of_the_other_sign_is_another_number() -> None:
    first, second = (LSTMWeights.random(SPECS[0], seed=2).to_layout("keras") for _ in range(2))
    for arrays, zero in ((first, 0.0), (second, -0.0)):
        arrays["kernel"] = np.array(arrays["kernel"])
        arrays["kernel"][0, 0] = zero
    with pytest.raises(lx.DisagreementError, match=r"W of layer 0, gate i: .* 1 of 60 numbers differ"):
        lx.assert_equivalent(first, second)
