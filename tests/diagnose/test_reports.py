"""Mistakes that people reported, made again with real modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.diagnose import Diagnosis, diagnose
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result

torch = pytest.importorskip("torch")

#: Keras on PyTorch or JAX with NumPy 2, none of our doing.
pytestmark = [pytest.mark.framework, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

Tensor = Any


def module(spec: LSTMSpec, seed: int, **options: Any) -> tuple[Any, LSTMWeights]:
    """A freshly drawn nn.LSTM and its weights."""
    torch.manual_seed(seed)
    lstm = torch.nn.LSTM(
        spec.input_size, spec.hidden_size, spec.num_layers, bidirectional=spec.bidirectional, bias=spec.bias != "none",
        **options,
    )  # fmt: skip
    arrays = {name: tensor.numpy() for name, tensor in lstm.state_dict().items()}
    return lstm, LSTMWeights.from_layout(arrays, "torch")


def data(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def run(lstm: Any, x: Tensor) -> tuple[Any, Any, Any]:
    with torch.no_grad():
        y, (h_n, c_n) = lstm(x)
    return y.numpy(), h_n.numpy(), c_n.numpy()


def is_named(found: Diagnosis, id: str) -> None:
    assert found.mistakes == (id,), (found.mistakes, found.explanation)
    assert found.evidence["residual_after"] <= 1.0


# --- the file says another activation, the defaults were computed ---

DEFAULTS = {
    "activation-tanh": [{"cell_activation": a, "output_activation": a} for a in ("relu", "linear", "sigmoid")],
    "candidate-tanh": [{"cell_activation": a} for a in ("relu", "linear", "sigmoid", "hard_tanh")],
    "output-tanh": [{"output_activation": a} for a in ("relu", "linear", "sigmoid", "softsign")],
    "gates-sigmoid": [{"gate_activation": a} for a in ("relu", "linear", "tanh", "hard_sigmoid:0.2,0.5")],
    "activations-default": [
        {"gate_activation": g, "cell_activation": a, "output_activation": a}
        for g, a in (("relu", "relu"), ("hard_sigmoid:0.2,0.5", "relu"), ("linear", "linear"), ("tanh", "sigmoid"))
    ],
}


@pytest.mark.parametrize(
    ("id", "meant_spec"),
    [(id, meant_spec) for id, choices in DEFAULTS.items() for meant_spec in choices],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
@pytest.mark.parametrize("layers", [1, 2])
def test_defaults_computed_for_other_activations_are_named(id: str, meant_spec: dict[str, str], layers: int) -> None:
    lstm, weights = module(LSTMSpec(3, 4, num_layers=layers), 0, batch_first=True)
    x = data(2, 6, 3)
    y, h_n, c_n = run(lstm, x)
    spec = LSTMSpec(3, 4, num_layers=layers, **meant_spec)  # type: ignore[arg-type]
    case = Case(weights=LSTMWeights(spec, weights.layers, weights.dtype), x=x.numpy())
    for result in (Result(y=y, h_n=h_n, c_n=c_n), Result(y=y)):
        if layers == 1 or result.h_n is not None:
            is_named(diagnose(result, case, pairs=False), id)


# --- batch_first forgotten ---


@pytest.mark.parametrize(("batch", "steps"), [(3, 7), (7, 3), (4, 4), (2, 9)])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("states", ["none", "given", "zero"])
def test_batch_first_forgotten_is_named(batch: int, steps: int, layers: int, bidirectional: bool, states: str) -> None:
    spec = LSTMSpec(3, 5, num_layers=layers, bidirectional=bidirectional)
    lstm, weights = module(spec, 0)
    x = data(batch, steps, 3)
    y, h_n, c_n = run(lstm, x)
    zeros = np.zeros((layers * (1 + bidirectional), batch, 5), np.float32)
    initial: dict[str, Any] = {"h0": zeros, "c0": zeros} if states == "zero" else {}
    case = Case(weights=weights, x=x.numpy(), **initial)
    result = Result(y=y) if states == "none" else Result(y=y, h_n=h_n, c_n=c_n)
    is_named(diagnose(result, case, pairs=False), "batch-time-exchanged")


def test_batch_first_forgotten_is_named_from_the_states_and_the_last_output() -> None:
    lstm, weights = module(LSTMSpec(3, 5), 0)
    x = data(3, 4, 3)
    y, h_n, c_n = run(lstm, x)
    case = Case(weights=weights, x=x.numpy())
    is_named(diagnose(Result(last=y[:, -1]), case, pairs=False), "batch-time-exchanged")
    found = diagnose(Result(h_n=h_n, c_n=c_n), case, pairs=False)
    reach = {id for entry in found.within_reach for id in entry["mistakes"]}
    assert (found.cause, reach) == (None, {"batch-time-exchanged", "batch-time-exchanged-input"})  # y would tell


@pytest.mark.parametrize(
    ("id", "wrong"),
    [
        ("batch-time-exchanged-output", lambda run_module, x: run_module(x).transpose(0, 1)),
        ("batch-time-exchanged-input", lambda run_module, x: run_module(x.transpose(0, 1))),
        ("output-viewed-as-time-major", lambda run_module, x: run_module(x).reshape(7, 3, 5).transpose(0, 1)),
        ("output-viewed", lambda run_module, x: run_module(x).transpose(0, 1).reshape(3, 7, 5)),
        ("output-reshaped", lambda run_module, x: run_module(x).reshape(7, 3, 5)),
        ("input-reshaped", lambda run_module, x: run_module(x.reshape(7, 3, 3))),
        ("input-viewed", lambda run_module, x: run_module(x.reshape(7, 3, 3).transpose(0, 1))),
        ("input-viewed-as-batch-first", lambda run_module, x: run_module(x.transpose(0, 1).reshape(3, 7, 3))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_axes_confused_are_named_though_y_may_have_another_shape(
    id: str, wrong: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
) -> None:
    lstm, weights = module(LSTMSpec(3, 5), 0, batch_first=True)
    x = data(3, 7, 3)
    with torch.no_grad():
        y = wrong(lambda x: lstm(x)[0], x).numpy()
    is_named(diagnose(Result(y=y), Case(weights=weights, x=x.numpy()), pairs=False), id)


def test_gates_in_another_order_and_a_forgotten_batch_first_are_named() -> None:
    lstm, weights = module(LSTMSpec(3, 5), 0)
    lstm.load_state_dict({n: t.reshape(4, 5, -1)[[0, 3, 1, 2]].reshape(t.shape) for n, t in lstm.state_dict().items()})
    x = data(3, 7, 3)
    y, h_n, c_n = run(lstm, x)
    found = diagnose(Result(y=y, h_n=h_n, c_n=c_n), Case(weights=weights, x=x.numpy()))
    assert found.mistakes == ("gates-iofg", "batch-time-exchanged")


# --- reshape instead of transpose ---


def keras_y(weights: LSTMWeights, kernels: tuple[Any, Any], x: Tensor) -> Any:
    keras = pytest.importorskip("keras")
    cell = weights.layers[0][0]
    layer = keras.layers.LSTM(cell.W.shape[1], return_sequences=True)
    layer.build((None, None, cell.W.shape[2]))
    layer.set_weights([*kernels, np.asarray(cell.total_bias, np.float32).reshape(-1)])
    return np.asarray(keras.ops.convert_to_numpy(layer(x.numpy())))


def test_kernels_reshaped_for_keras_are_named() -> None:
    lstm, weights = module(LSTMSpec(10, 20), 0, batch_first=True)
    x = data(3, 7, 10)
    W, U = (lstm.state_dict()[f"weight_{name}_l0"].numpy() for name in ("ih", "hh"))
    case = Case(weights=weights, x=x.numpy())
    for id, kernels in {
        "w-reshaped-to-columns": (W.reshape(10, 80), U.T),
        "u-reshaped-to-columns": (W.T, U.reshape(20, 80)),
        "w-u-reshaped-to-columns": (W.reshape(10, 80), U.reshape(20, 80)),
    }.items():
        is_named(diagnose(Result(y=keras_y(weights, kernels, x)), case, pairs=False), id)
    assert diagnose(Result(y=keras_y(weights, (W.T, U.T), x)), case).explanation.startswith("Nothing is wrong")


def test_each_gate_of_kernels_reshaped_is_named() -> None:
    _, weights = module(LSTMSpec(6, 5), 0)
    cell, x = weights.layers[0][0], data(3, 7, 6)
    reshaped = [np.concatenate([block.reshape(-1, 5) for block in np.asarray(a)], axis=1) for a in (cell.W, cell.U)]
    right = [np.concatenate(np.swapaxes(np.asarray(a), 1, 2), axis=1) for a in (cell.W, cell.U)]
    case = Case(weights=weights, x=x.numpy())
    for id, kernels in {
        "w-gates-reshaped-to-columns": (reshaped[0], right[1]),
        "w-u-gates-reshaped-to-columns": (reshaped[0], reshaped[1]),
        "u-transposed": (right[0], reshaped[1]),  # of square blocks the same thing, and the simpler name
    }.items():
        is_named(diagnose(Result(y=keras_y(weights, kernels, x)), case, pairs=False), id)


# --- kernels rounded, biases left alone ---


def int8(v: Tensor, dim: Any) -> Tensor:
    scale = (v.abs().max() if dim is None else v.abs().amax(dim, keepdim=True)) / 127
    return torch.round(v / scale).clamp(-128, 127) * scale


def by_observer(v: Tensor, **options: Any) -> Tensor:
    """As PyTorch's own observers quantise."""
    observer = torch.ao.quantization.MinMaxObserver(**options)
    observer(v)
    return torch.fake_quantize_per_tensor_affine(
        v, *observer.calculate_qparams(), *((-128, 127) if observer.dtype == torch.qint8 else (0, 255))
    )


ROUNDINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "float16": lambda v: v.half().float(),
    "bfloat16": lambda v: v.bfloat16().float(),
    "bfloat16-cut": lambda v: (v.contiguous().view(torch.int32) & ~0xFFFF).view(torch.float32),
    "int8": lambda v: int8(v, None),
    "int8-rows": lambda v: int8(v, 1),
    "int8-columns": lambda v: int8(v, 0),
    "int8-gates": lambda v: torch.cat([int8(block, None) for block in v.chunk(4)]),
    "int8-full": lambda v: by_observer(v, dtype=torch.qint8, qscheme=torch.per_tensor_symmetric),
    "uint8": lambda v: by_observer(v, dtype=torch.quint8, qscheme=torch.per_tensor_affine),
    "3-digits": lambda v: torch.tensor([[float(f"{n:.3g}") for n in row] for row in v.tolist()]),
    "5-digits": lambda v: torch.tensor([[float(f"{n:.5g}") for n in row] for row in v.tolist()]),
}


@pytest.mark.parametrize("name", ROUNDINGS)
@pytest.mark.parametrize("spec", [LSTMSpec(8, 12), LSTMSpec(5, 16, num_layers=2)], ids=["one", "stack"])
@pytest.mark.parametrize("seed", range(3))
def test_rounded_kernels_are_named(name: str, spec: LSTMSpec, seed: int) -> None:
    lstm, weights = module(spec, seed, batch_first=True)
    arrays = {n: ROUNDINGS[name](t) if "weight" in n else t for n, t in lstm.state_dict().items()}
    lstm.load_state_dict(arrays)
    x = data(2, 5, spec.input_size)
    y, h_n, c_n = run(lstm, x)
    is_named(
        diagnose(Result(y=y, h_n=h_n, c_n=c_n), Case(weights=weights, x=x.numpy()), pairs=False), f"kernels-{name}"
    )


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")
def test_the_float16_of_a_real_quantiser_is_named() -> None:
    lstm, weights = module(LSTMSpec(8, 12), 0, batch_first=True)
    x = data(2, 5, 8)
    quantised = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(lstm), {torch.nn.LSTM}, dtype=torch.float16)
    y = quantised[0](x)[0].detach().float().numpy()
    is_named(diagnose(Result(y=y), Case(weights=weights, x=x.numpy()), pairs=False), "kernels-float16")
