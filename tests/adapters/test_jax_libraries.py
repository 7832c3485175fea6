"""Flax, Equinox and Haiku against the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters import entry_named
from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import load_adapter
from lstm_xcheck.arrays import Array, to_numpy
from lstm_xcheck.compare import judge
from lstm_xcheck.errors import SpecError, Unsupported
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result

jax = pytest.importorskip("jax")

pytestmark = [pytest.mark.framework, pytest.mark.usefixtures("jax_float64")]

FLAX = ("flax-linen", "flax-nnx", "flax-nnx-optimized")
LIBRARIES = (*FLAX, "equinox", "haiku")

STACK = LSTMSpec(5, 4, num_layers=2, bidirectional=True)


@pytest.fixture(scope="module")
def sessions() -> dict[str, Session]:
    return {}


@pytest.fixture(params=LIBRARIES)
def session(request: pytest.FixtureRequest, sessions: dict[str, Session]) -> Session:
    """One session for each adapter, so that tests share its programs."""
    name = str(request.param)
    entry = entry_named(name)
    for module in entry.requires:
        pytest.importorskip(module)
    if name not in sessions:
        sessions[name] = Session(load_adapter(entry.target, name))
    return sessions[name]


def only(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("session", names, indirect=True)


def verdict(session: Session, case: Case, result: Result | None = None) -> Any:
    adapter = session.adapter
    return judge(result or session.execute(case), case, layout=adapter.layout, adapter=adapter.name)


CASES = {
    "stack": (STACK, {"returns": "last"}),
    "without-states": (LSTMSpec(5, 4, bias="single"), {"states": False, "precision": "float64"}),
    "reverse": (LSTMSpec(3, 4, reverse=True), {}),
    "bfloat16": (LSTMSpec(3, 4), {"precision": "bfloat16"}),
    "float16": (LSTMSpec(3, 4), {"precision": "float16"}),
    "gradients": (LSTMSpec(5, 4, bidirectional=True), {"gradients": True, "precision": "float64"}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_library_agrees_with_the_oracle(session: Session, name: str) -> None:
    spec, options = CASES[name]
    ragged = session.adapter.name in FLAX and name != "float16"
    case = Case.random(spec, ragged=ragged, **options)
    result = session.execute(case)
    judged = verdict(session, case, result)
    assert judged.verdict == "match", judged.rows
    quantities = {row.quantity for row in judged.rows}
    assert {"y", "h_n", "c_n", "weights", "parameters"} <= quantities
    assert len(result.layer_outputs) == spec.num_layers - 1
    assert result.computed_in == case.precision
    if case.gradients:
        assert {"x", "h0", "c0", "0.1.W", "0.1.U", "0.1.b"} <= set(result.gradients)


@only("equinox")
def test_equinox_has_cells_without_bias(session: Session) -> None:
    case = Case.random(LSTMSpec(3, 4, bias="none"))
    assert verdict(session, case).verdict == "match"
    assert session.execute(case).parameter_count == 4 * (3 + 4) * 4


UNSUPPORTED = {
    "projection": Case.random(LSTMSpec(3, 4, proj_size=2)),
    "peepholes": Case.random(LSTMSpec(3, 4, peepholes=True)),
    "activations": Case.random(LSTMSpec(3, 4, cell_activation="relu")),
    "mask": replace(Case.random(LSTMSpec(3, 4), steps=2, batch=1), mask=np.array([[False, True]]), id=""),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_what_a_library_lacks_has_a_reason(session: Session, what: str) -> None:
    with pytest.raises(Unsupported, match=f"^{what}"):
        session.execute(UNSUPPORTED[what])


@only(*FLAX, "haiku")
def test_cells_that_always_have_a_bias_refuse_to_be_without(session: Session) -> None:
    with pytest.raises(Unsupported, match=r"^bias: .* always has one"):
        session.execute(Case.random(LSTMSpec(3, 4, bias="none")))


@only("equinox", "haiku")
def test_libraries_without_lengths_refuse_them(session: Session) -> None:
    with pytest.raises(Unsupported, match=r"^lengths: .* knows neither"):
        session.execute(Case.random(LSTMSpec(3, 4), ragged=True))


def test_weights_of_another_seed_are_a_mismatch(session: Session) -> None:
    case = Case.random(LSTMSpec(5, 4, bias="single"), seed=1)
    other = replace(case, weights=LSTMWeights.random(case.spec, seed=2), id="")
    judged = verdict(session, case, session.execute(other))
    assert {row.quantity for row in judged.rows if row.verdict == "mismatch"} >= {"y", "h_n", "c_n", "weights"}


def test_two_gates_exchanged_are_named(session: Session) -> None:
    """The arrays of f and g change places inside the model, in every kind of layout."""
    case = Case.random(LSTMSpec(5, 4, bias="single"))
    cell = case.weights.layers[0][0]
    swapped = replace(cell, **{name: np.asarray(array)[[0, 2, 1, 3]] for name, array in cell.items()})
    wrong = LSTMWeights(case.spec, ((swapped,),), "float32")
    session.execute(case)
    model = session.adapter.build(case.spec, case.precision)
    session.adapter.load(model, to_layout(wrong, session.adapter.layout))
    result = session.adapter.run(model, case)
    assert verdict(session, case, result).verdict == "mismatch"
    assert "gate" in str(lx.diagnose(result, case))


def test_arrays_of_another_model_are_refused(session: Session) -> None:
    adapter = session.adapter
    arrays = to_layout(LSTMWeights.random(LSTMSpec(3, 4)), adapter.layout)
    model = adapter.build(LSTMSpec(3, 5), "float32")
    with pytest.raises(SpecError, match="but should be"):
        adapter.load(model, arrays)


def test_float64_without_x64_is_reported_as_float32(session: Session) -> None:
    jax.config.update("jax_enable_x64", False)
    case = Case.random(LSTMSpec(2, 3), precision="float64")
    result = Session(type(session.adapter)(session.adapter.name)).execute(case)
    assert result.computed_in == "float32" and "JAX_ENABLE_X64" in result.note


def test_the_environment_names_library_and_options(session: Session) -> None:
    adapter: Any = session.adapter
    assert {adapter.library, "jax", "jaxlib", "device", "xla"} <= set(session.environment)


def padded(session: Session, case: Case, lengths: list[int]) -> Result:
    """The adapter's answer for any lengths; those of 0 are no `Case` of their own."""
    adapter: Any = session.adapter
    model = adapter.build(case.spec, case.precision)
    adapter.load(model, to_layout(case.weights, adapter.layout))
    found = adapter._forward(model.cells, case.x, case.h0, case.c0, np.array(lengths, np.int32), spec=model.spec)
    stacked: list[Array] = [np.stack([to_numpy(state) for state in states]) for states in (found.h_n, found.c_n)]
    return Result(y=to_numpy(found.layers[-1]), h_n=stacked[0], c_n=stacked[1])


@only(*FLAX)
def test_flax_at_length_zero_returns_the_states_after_all_steps(session: Session) -> None:
    """A divergence: an empty row should keep its initial states."""
    case = Case.random(LSTMSpec(5, 4, bias="single"))
    result, full = padded(session, case, [7, 0, 2]), session.execute(case)
    assert np.allclose(np.asarray(result.h_n)[:, 1], np.asarray(full.h_n)[:, 1], atol=1e-6)
    assert not np.asarray(result.y)[1].any()
    valid = np.arange(7) < np.array([7, 0, 2])[:, None]
    judged = verdict(session, replace(case, mask=valid, id=""), result)
    assert {row.quantity for row in judged.rows if row.verdict == "mismatch"} == {"h_n", "c_n"}
    assert verdict(session, replace(case, lengths=np.array([7, 3, 2]), id="")).verdict == "match"


@only("flax-linen")
def test_both_linen_cells_compute_the_same_from_the_same_parameters(session: Session) -> None:
    from flax import linen as nn

    case = Case.random(LSTMSpec(3, 4), ragged=True)
    expected = session.execute(case)
    adapter: Any = session.adapter
    model = adapter.build(case.spec, "float32")
    adapter.load(model, to_layout(case.weights, adapter.layout))
    rnn = nn.RNN(nn.LSTMCell(4), return_carry=True)
    variables = {"params": {"cell": model.cells[0][0]}}
    carry = (case.c0[0], case.h0[0])
    (_, h), _ = rnn.apply(variables, case.x, initial_carry=carry, seq_lengths=case.lengths)
    assert np.allclose(h, np.asarray(expected.h_n)[0], atol=1e-6)
