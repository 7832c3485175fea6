"""The `jax` adapter against `nn.LSTM` and against a loop in NumPy."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array, round_to
from lstm_xcheck.errors import SpecError
from lstm_xcheck.layouts import count_parameters, to_layout
from lstm_xcheck.model import QUANTITIES, Case, LSTMSpec, LSTMWeights, Result

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from lstm_xcheck.adapters.jax import lstm  # noqa: E402
from lstm_xcheck.adapters.jax.scan import JaxScan  # noqa: E402
from lstm_xcheck.adapters.protocol import Session  # noqa: E402

from .reference_loop import reference  # noqa: E402

pytestmark = [pytest.mark.framework, pytest.mark.usefixtures("jax_float64")]

#: Unit roundoff; a result may be off by this many of them, relative to 1 or the largest number, whichever is larger.
#: No case here asks for merged halves.
OBSERVED = tuple(name for name in QUANTITIES if name != "merged")
UNITS = 32
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def run(case: Case) -> Result:
    return Session(JaxScan("jax")).execute(case)


def assert_close(actual: Array, expected: Array, precision: str, what: str) -> None:
    assert actual.shape == expected.shape, f"{what} has shape {actual.shape}, but should be {expected.shape}"
    error = np.abs(actual.astype(np.float64) - expected).max()
    allowed = UNITS * ROUNDOFF[precision] * max(1.0, np.abs(expected).max())
    assert error <= allowed, f"{what} is off by {error}, but should be within {allowed}"


def holes(batch: int, steps: int) -> Array:
    """A mask with holes, whose first row has no valid step."""
    mask: Array = np.random.default_rng(5).random((batch, steps)) < 0.6
    mask[0] = False
    return mask


def assert_same(actual: Result, expected: Result, precision: str) -> None:
    for name in OBSERVED:
        assert_close(getattr(actual, name), getattr(expected, name), precision, name)
    assert len(actual.layer_outputs) == len(expected.layer_outputs)
    for index, (mine, theirs) in enumerate(zip(actual.layer_outputs, expected.layer_outputs, strict=True)):
        assert_close(mine, theirs, precision, f"output of layer {index}")


# --- values ---

PLAIN = {
    "single": LSTMSpec(5, 4, bias="single"),
    "one-unit": LSTMSpec(1, 1),
    "no-bias-stack": LSTMSpec(5, 4, num_layers=2, bias="none"),
    "bidirectional-stack": LSTMSpec(5, 4, num_layers=2, bidirectional=True),
    "projected-stack": LSTMSpec(5, 4, num_layers=2, bidirectional=True, proj_size=3),
}

EXOTIC = {
    "reverse": LSTMSpec(3, 4, reverse=True),
    "peepholes": LSTMSpec(3, 4, peepholes=True, bidirectional=True),
    "gate-clip-after-peepholes": LSTMSpec(3, 4, peepholes=True, gate_clip=0.6),
    "cell-clip-before-output-peephole": LSTMSpec(3, 4, peepholes=True, cell_clip=0.5),
    "projection-clipped": LSTMSpec(3, 4, num_layers=2, proj_size=2, proj_clip=0.2),
    "forget-coupled-to-input": LSTMSpec(3, 4, coupling="f=1-i", peepholes=True),
    "input-coupled-to-forget": LSTMSpec(3, 4, coupling="i=1-f", num_layers=2),
    "hard-sigmoid": LSTMSpec(3, 4, gate_activation="hard_sigmoid:0.2,0.5", output_activation="linear"),
    "relu-and-linear": LSTMSpec(3, 4, cell_activation="relu", output_activation="relu", cell_clip=4.0),
    "everything": LSTMSpec(
        3, 5, 2, True, "split", 3, True, gate_activation="hard_sigmoid:0.25,0.4", cell_activation="sigmoid",
        output_activation="linear", gate_clip=1.5, cell_clip=1.0, proj_clip=0.7, coupling="i=1-f",
    ),
}  # fmt: skip

AGREEMENTS = [
    *((name, valid) for name in PLAIN for valid in ("full", "ragged", "holes")),
    *((name, "holes") for name in EXOTIC),
    ("peepholes", "full"),
]


def _case(spec: LSTMSpec, valid: str, precision: str = "float64", **options: Any) -> Case:
    case = Case.random(spec, steps=6, batch=3, ragged=valid == "ragged", precision=precision, returns="last", **options)
    return replace(case, mask=holes(3, 6), id="") if valid == "holes" else case


@pytest.mark.parametrize(("name", "valid"), AGREEMENTS)
def test_float64_agrees_with_the_definition(name: str, valid: str) -> None:
    case = _case({**PLAIN, **EXOTIC}[name], valid)
    assert_same(run(case), reference(case), "float64")


@pytest.mark.parametrize("valid", ["full", "ragged"])
@pytest.mark.parametrize("spec", PLAIN.values(), ids=PLAIN.keys())
def test_float64_agrees_with_torch(spec: LSTMSpec, valid: str) -> None:
    pytest.importorskip("torch")
    from lstm_xcheck.adapters.torch.nn import TorchNN

    case = _case(spec, valid)
    assert_same(run(case), Session(TorchNN("torch")).execute(case), "float64")


OPTIONS = [
    (name, field.name)
    for name, spec in EXOTIC.items()
    for field in fields(LSTMSpec)
    if field.name not in ("input_size", "hidden_size", "num_layers", "bidirectional", "bias", "proj_size", "reverse")
    and getattr(spec, field.name) != field.default
]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_changes_the_outputs_of_its_case(name: str, option: str) -> None:
    """Otherwise agreement with the definition would say nothing about it."""
    case = _case(EXOTIC[name], "holes")
    default: dict[str, Any] = {option: LSTMSpec.__dataclass_fields__[option].default}
    without = replace(case.spec, **default)
    cells = tuple(
        tuple(replace(cell, peephole=cell.peephole if without.peepholes else None) for cell in row)
        for row in case.weights.layers
    )
    changed = replace(case, weights=LSTMWeights(without, cells, "float64"), id="")
    assert np.abs(np.asarray(reference(changed).y) - np.asarray(reference(case).y)).max() > 1e-3


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["projected-stack", "gate-clip-after-peepholes"])
def test_lower_precisions_differ_by_their_rounding(name: str, precision: str) -> None:
    case = _case({**PLAIN, **EXOTIC}[name], "ragged", precision)
    result = run(case)
    assert_same(result, reference(case), precision)
    for quantity in OBSERVED:
        array = getattr(result, quantity)
        assert array.dtype == (np.float32 if precision == "bfloat16" else precision)
        assert np.array_equal(round_to(array, precision), array)
    assert result.computed_in == precision


def test_without_states_they_start_at_zero() -> None:
    case = Case.random(LSTMSpec(3, 4, 2, True), states=False, precision="float64", returns="last")
    assert_same(run(case), reference(case), "float64")


def test_a_row_without_valid_steps_keeps_its_initial_state() -> None:
    case = _case(LSTMSpec(3, 4, bidirectional=True), "holes")
    result = run(case)
    for name in ("h", "c"):
        assert np.array_equal(getattr(result, f"{name}_n")[:, 0], getattr(case, f"{name}0")[:, 0])
    assert not np.asarray(result.y)[~case.valid].any()


def test_the_last_output_is_that_of_the_step_each_direction_read_last() -> None:
    case = _case(LSTMSpec(3, 4, bidirectional=True), "ragged")
    result = run(case)
    y, lengths = np.asarray(result.y), np.asarray(case.lengths)
    ends = y[np.arange(case.batch), lengths - 1, :4]
    assert np.array_equal(np.concatenate([ends, y[:, 0, 4:]], axis=-1), np.asarray(result.last))
    assert run(replace(case, returns="sequence", id="")).last is None


@pytest.mark.parametrize("join_below", [0, 1_000], ids=["two-products", "one-product"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_multiplying_inputs_inside_the_scan_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, backward: bool, join_below: int
) -> None:
    case = _case(PLAIN["single"], "holes")
    params = JaxScan("jax").build(case.spec, "float64").params[0][0]
    loaded = {name.rpartition("/")[2]: jnp.asarray(array) for name, array in to_layout(case.weights, "jax").items()}
    assert loaded.keys() == params.keys()
    valid = jnp.asarray(case.valid.T[..., None])
    h0, c0 = (jnp.asarray(case.initial(name, 0, 0)) for name in ("h0", "c0"))
    inputs = (loaded, jnp.asarray(case.x), h0, c0, valid)
    before = lstm.scan_direction(*inputs, case.spec, backward=backward)
    monkeypatch.setattr(lstm, "HOIST_BELOW", 0)
    monkeypatch.setattr(lstm, "JOIN_BELOW", join_below)
    inside = lstm.scan_direction(*inputs, case.spec, backward=backward)
    for name, one, other in zip(("y", "h", "c"), before, inside, strict=True):
        assert_close(np.asarray(one), np.asarray(other), "float64", name)


# --- parameters ---


@pytest.mark.parametrize("precision", ROUNDOFF)
@pytest.mark.parametrize("name", ["bidirectional-stack", "no-bias-stack", "everything"])
def test_weights_come_back_bit_for_bit_and_are_counted(name: str, precision: str) -> None:
    adapter, spec = JaxScan("jax"), {**PLAIN, **EXOTIC}[name]
    expected = to_layout(LSTMWeights.random(spec, dtype=precision), "jax")
    model = adapter.build(spec, precision)
    adapter.load(model, expected)
    found = adapter.read_back(model)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].dtype == array.dtype and np.array_equal(found[key], array), key
    assert adapter.count_parameters(model) == count_parameters(spec, "jax").total


def test_leaves_are_named_by_layer_direction_and_array() -> None:
    params = lstm.zero_params(EXOTIC["everything"], jnp.float32)
    shapes = {name: leaf.shape for name, leaf in lstm.leaves_by_path(params).items() if name.startswith("1/1/")}
    assert shapes == {"1/1/W": (6, 20), "1/1/U": (3, 20), "1/1/b": (20,), "1/1/P": (5, 3), "1/1/peephole": (15,)}


def test_arrays_of_another_model_are_refused() -> None:
    adapter, weights = JaxScan("jax"), LSTMWeights.random(LSTMSpec(3, 4))
    model = adapter.build(weights.spec, "float32")
    arrays = to_layout(weights, "jax")
    for wrong in ({**arrays, "0/0/P": arrays["0/0/U"]}, {"0/0/W": arrays["0/0/W"]}, {**arrays, "0/0/b": np.zeros(3)}):
        with pytest.raises(SpecError, match="but should be"):
            adapter.load(model, wrong)


# --- differentiation, compilation, settings ---


@pytest.mark.parametrize(("name", "valid"), [("single", "full"), ("projected-stack", "ragged")])
def test_gradients_agree_with_torch(name: str, valid: str) -> None:
    torch = pytest.importorskip("torch")
    case = _case(PLAIN[name], valid, scale=0.5, init="torch")
    cotangents = _cotangents(case)
    mine = _jax_gradients(case, cotangents)
    theirs = _torch_gradients(torch, case, cotangents)
    assert mine.keys() == theirs.keys()
    for key, expected in theirs.items():
        assert np.abs(mine[key] - expected).max() <= 1e-12 * np.abs(expected).max(), key


def _cotangents(case: Case) -> list[Array]:
    """Random weights for y, h_n and c_n in a loss."""
    rng, spec = np.random.default_rng(7), case.spec
    rows = spec.num_layers * spec.num_directions
    widths = spec.output_size, spec.hidden_size
    y = rng.standard_normal((case.batch, case.steps, spec.num_directions * spec.output_size))
    return [y, *(rng.standard_normal((rows, case.batch, width)) for width in widths)]


def _jax_gradients(case: Case, cotangents: list[Array]) -> dict[str, Array]:
    adapter = JaxScan("jax")
    model = adapter.build(case.spec, "float64")
    adapter.load(model, to_layout(case.weights, "jax"))
    valid = None if case.valid.all() else jnp.asarray(case.valid)

    def loss(params: lstm.Params, x: Any, h0: Any, c0: Any) -> Any:
        outputs = lstm.lstm(params, x, model.spec, h0, c0, valid)
        return sum((output * weight).sum() for output, weight in zip(outputs[:3], cotangents, strict=True))

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(model.params, case.x, case.h0, case.c0)
    by_name = {**lstm.leaves_by_path(gradients[0]), **dict(zip(("x", "h0", "c0"), gradients[1:], strict=True))}
    return {name: np.asarray(array) for name, array in by_name.items()}


def _torch_gradients(torch: Any, case: Case, cotangents: list[Array]) -> dict[str, Array]:
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from lstm_xcheck.adapters.torch.nn import TorchNN

    adapter = TorchNN("torch")
    module = adapter.build(case.spec, "float64")
    adapter.load(module, to_layout(case.weights, "torch"))
    leaves = {name: torch.tensor(getattr(case, name), requires_grad=True) for name in ("x", "h0", "c0")}
    lengths = torch.tensor(case.valid.sum(1))
    packed = pack_padded_sequence(leaves["x"], lengths, batch_first=True, enforce_sorted=False)
    y, (h_n, c_n) = module(packed, (leaves["h0"], leaves["c0"]))
    y, _ = pad_packed_sequence(y, batch_first=True, total_length=case.steps)
    sum((output * torch.tensor(w)).sum() for output, w in zip((y, h_n, c_n), cotangents, strict=True)).backward()
    found = {name: leaf.grad.numpy() for name, leaf in leaves.items()}
    stems = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "P": "weight_hr"}
    for name in to_layout(case.weights, "jax"):
        layer, direction, array = name.split("/")
        suffix = f"_l{layer}" + ("_reverse" if direction == "1" else "")
        found[name] = getattr(module, stems[array] + suffix).grad.numpy().T
    return found


def test_masked_steps_leave_no_trace_in_gradients() -> None:
    """Gradients equal those of the sequence without its masked steps."""
    mask = np.array([[False, True, True, False, True, False]])
    spec = LSTMSpec(3, 4, reverse=True, peepholes=True)
    case = replace(Case.random(spec, steps=6, batch=1, precision="float64"), mask=mask, id="")
    kept = mask[0]
    short = replace(case, x=case.x[:, kept], mask=None, id="")
    cotangents = _cotangents(case)
    masked = _jax_gradients(case, cotangents)
    plain = _jax_gradients(short, [cotangents[0][:, kept], *cotangents[1:]])
    assert not masked["x"][:, ~kept].any()
    masked["x"] = masked["x"][:, kept]
    for key, expected in plain.items():
        assert_close(masked[key], expected, "float64", key)


def test_seeds_of_one_shape_share_a_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[int] = []
    original = lstm.cell

    def counted(*arguments: Any, **named: Any) -> Any:
        traced.append(1)
        return original(*arguments, **named)

    monkeypatch.setattr(lstm, "cell", counted)
    spec = LSTMSpec(2, 3)
    run(Case.random(spec, steps=11, seed=0))
    first = len(traced)
    run(Case.random(spec, steps=11, seed=1))
    run(Case.random(replace(spec, bias="single"), steps=11, seed=2))
    assert first > 0 and len(traced) == first
    run(Case.random(spec, steps=12, seed=0))
    assert len(traced) > first


def test_float64_without_x64_is_reported_as_float32() -> None:
    case = _case(PLAIN["single"], "full")
    jax.config.update("jax_enable_x64", False)
    result = run(case)
    assert result.computed_in == "float32" and "JAX_ENABLE_X64" in result.note
    assert np.asarray(result.y).dtype == np.float32
    jax.config.update("jax_enable_x64", True)
    assert run(case).computed_in == "float64"


def test_the_environment_names_versions_and_device() -> None:
    environment = JaxScan("jax").environment()
    assert environment["jax"] == jax.__version__
    assert environment["device"].startswith(jax.default_backend())
