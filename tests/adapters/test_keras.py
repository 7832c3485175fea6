"""Keras's LSTM on each backend against the equations, one process per backend.

Run as a script, `test_keras.py ADAPTER FILE`, this file is that process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck
from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import entry_named, load_adapter
from lstm_xcheck.arrays import Array
from lstm_xcheck.errors import UserError
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec

pytestmark = pytest.mark.framework

ADAPTERS = ("keras-tensorflow", "keras-jax", "keras-torch")
#: Suffix of an adapter's name for runs in which it compiles.
COMPILED = " in graphs"
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
HOLES = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=bool)
EMPTY_ROW = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]], dtype=bool)
PLAIN = LSTMSpec(3, 4, bias="single")
RELU = replace(PLAIN, gate_activation="hard_sigmoid:0.2,0.5", cell_activation="relu", output_activation="relu")
KERAS3_HARD = replace(PLAIN, gate_activation=f"hard_sigmoid:{1 / 6!r},0.5", bidirectional=True)

UNSUPPORTED = {
    "projection": replace(PLAIN, proj_size=2),
    "peepholes": replace(PLAIN, peepholes=True),
    "gate clip": replace(PLAIN, gate_clip=1.0),
    "cell clip": replace(PLAIN, cell_clip=1.0),
    "coupled gates": replace(PLAIN, coupling="f=1-i"),
    "activations": replace(PLAIN, cell_activation="relu"),
}


def cases() -> list[Case]:
    """Cases of one spec and precision are neighbours, so that they share a model."""

    def case(id: str, spec: LSTMSpec, precision: str = "float64", seed: int = 1, **options: Any) -> Case:
        mask = options.pop("mask", None)
        made = Case.random(spec, id=id, precision=precision, seed=seed, **{"steps": 5, "batch": 3, **options})
        return replace(made, mask=mask)

    deep = LSTMSpec(3, 4, num_layers=2, bidirectional=True)
    back = LSTMSpec(3, 4, num_layers=2, bias="none", reverse=True)
    return [
        case("states", PLAIN, returns="last"),
        case("other-sizes", PLAIN, seed=2, steps=3, batch=1, states=False),
        case("holes", PLAIN, seed=3, mask=HOLES),
        case("deep-ragged", deep, ragged=True, returns="last"),
        case("reverse-holes", back, mask=HOLES, returns="last"),
        case("empty-row", back, mask=EMPTY_ROW, seed=4),
        case("relu", RELU, init="keras"),
        case("keras3-hard-sigmoid", KERAS3_HARD, "float32", states=False),
        case("half", PLAIN, "float16", ragged=True),
        case("brain", PLAIN, "bfloat16"),
    ]


BY_ID = {case.id: case for case in cases()}


def reference(case: Case) -> dict[str, Array]:
    """The equations in float64: outputs of each layer, final states, and the last output."""
    functions: dict[str, Callable[[Array], Array]] = {
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "tanh": np.tanh,
        "relu": lambda v: np.maximum(v, 0),
        RELU.gate_activation: lambda v: np.clip(0.2 * v + 0.5, 0, 1),
        KERAS3_HARD.gate_activation: lambda v: np.clip(v / 6 + 0.5, 0, 1),
    }
    spec, below = case.spec, np.asarray(case.x, dtype=np.float64)
    gate, squash = functions[spec.gate_activation], functions[spec.cell_activation]
    answers: dict[str, Array] = {}
    finals_h, finals_c = [], []
    for k, row in enumerate(case.weights.layers):
        outputs = np.zeros((case.batch, case.steps, spec.num_directions, spec.hidden_size))
        for d, cell in enumerate(row):
            W, U = np.asarray(cell.W, dtype=np.float64), np.asarray(cell.U, dtype=np.float64)
            h, c = case.initial("h0", k, d), case.initial("c0", k, d)
            for t in sorted(range(case.steps), reverse=spec.is_backward(d)):
                i, f, g, o = below[:, t] @ W.transpose(0, 2, 1) + h @ U.transpose(0, 2, 1) + cell.total_bias[:, None]
                new_c = gate(f) * c + gate(i) * squash(g)
                new_h = gate(o) * squash(new_c)
                valid = case.valid[:, t, None]
                h, c, outputs[:, t, d] = np.where(valid, new_h, h), np.where(valid, new_c, c), np.where(valid, new_h, 0)
            finals_h.append(h)
            finals_c.append(c)
        below = outputs.reshape(case.batch, case.steps, -1)
        answers["y" if k == spec.num_layers - 1 else f"layer{k}"] = below
    answers |= {"h_n": np.stack(finals_h), "c_n": np.stack(finals_c)}
    if case.returns == "last":
        answers["last"] = np.concatenate(finals_h[-spec.num_directions :], axis=-1)
    return answers


def main(name: str, file: str) -> None:
    """Run every case with one adapter and write the results to a file."""
    entry = entry_named(name)
    if "tensorflow" not in entry.requires:
        # Bidirectional imports it wherever it is installed, only to ask whether something is a TensorShape.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    session = Session(load_adapter(entry.target, name))
    arrays: dict[str, Array] = {}
    facts: dict[str, Any] = {"cases": {}, "environment": session.adapter.environment()}
    for case in cases():
        result = session.execute(case)
        found = {**{f"layer{k}": a for k, a in enumerate(result.layer_outputs)}, "y": result.y, "h_n": result.h_n}
        found |= {"c_n": result.c_n} | ({} if result.last is None else {"last": result.last})
        found |= {f"native:{key}": array for key, array in result.native.items()}
        arrays |= {f"{case.id}|{key}": array for key, array in found.items()}
        facts["cases"][case.id] = [result.computed_in, result.note, result.parameter_count]
    facts["again"] = again(session)
    facts["refused"] = {what: session.adapter.unsupported(Case.random(spec)) for what, spec in UNSUPPORTED.items()}
    no_last = replace(BY_ID["empty-row"], returns="last")
    facts["refused"]["mask"] = session.adapter.unsupported(no_last)
    facts["misnamed"] = message(lambda: session.adapter.load(session.adapter.build(PLAIN, "float32"), {}))
    other = ADAPTERS[ADAPTERS.index(name) - 1]
    facts["other backend"] = message(lambda: load_adapter(entry.target, other))
    np.savez(file, facts=np.array(json.dumps(facts)), **arrays)


def again(session: Session) -> bool:
    """Whether a model repeats its result to the bit after another case."""
    first, between = BY_ID["states"], BY_ID["holes"]
    answers = []
    for case in (first, between, first):
        answers.append(session.execute(case).y)
    return bool(np.array_equal(answers[0], answers[2]) and not np.array_equal(answers[0], answers[1]))


def message(call: Callable[[], object]) -> str:
    """The error message of a call."""
    try:
        call()
    except UserError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


@pytest.fixture(scope="module", params=[*ADAPTERS, "keras-tensorflow" + COMPILED])
def answers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one adapter answered: arrays by `case|name`, facts under `facts`, and the adapter's name."""
    name: str = request.param.removesuffix(COMPILED)
    entry = entry_named(name)
    for module in entry.requires:
        pytest.importorskip(module)
    file = tmp_path_factory.mktemp(name) / "answers.npz"
    package = str(Path(lstm_xcheck.__file__).parent.parent)
    environment = {**os.environ, **entry.variables, "PYTHONPATH": package}
    if request.param.endswith(COMPILED):
        assert entry.when_repeated
        environment |= entry.when_repeated
    command = [sys.executable, "-W", "error::UserWarning", __file__, name, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(file) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return {**arrays, "facts": json.loads(str(arrays["facts"])), "name": name, "asked": request.param}


@pytest.mark.parametrize("id", BY_ID)
def test_answers_are_the_equations(answers: dict[str, Any], id: str) -> None:
    expected = reference(BY_ID[id])
    bound = 16 * EPSILON[answers["facts"]["cases"][id][0]]
    found = {key.partition("|")[2] for key in answers if key.startswith(f"{id}|") and "native:" not in key}
    assert found == set(expected)
    for name, value in expected.items():
        error = np.abs(answers[f"{id}|{name}"] - value).max() / max(1.0, np.abs(value).max())
        assert error <= bound, f"{name}: {error:.1e}"


@pytest.mark.parametrize("id", BY_ID)
def test_weights_read_back_to_the_bit_and_are_counted(answers: dict[str, Any], id: str) -> None:
    case = BY_ID[id]
    prefix = f"{id}|native:"
    native = {key.removeprefix(prefix): array for key, array in answers.items() if key.startswith(prefix)}
    expected = to_layout(case.weights, "keras")
    assert set(native) == set(expected)
    assert all(native[name].tobytes() == array.tobytes() for name, array in expected.items())
    assert answers["facts"]["cases"][id][2] == case.spec.canonical_count


@pytest.mark.parametrize("id", ["holes", "deep-ragged", "reverse-holes", "empty-row", "half"])
def test_padding_is_zero(answers: dict[str, Any], id: str) -> None:
    padding = answers[f"{id}|y"][~BY_ID[id].valid]
    assert padding.size
    assert not padding.any()


def test_a_float64_layer_reports_where_it_computes_in_float32(answers: dict[str, Any]) -> None:
    wide = [id for id, case in BY_ID.items() if case.precision == "float64"]
    narrow = {
        "keras-tensorflow": set(),
        "keras-jax": set(wide) - {"relu"},  # only its tanh narrows
        "keras-torch": {id for id in wide if not BY_ID[id].valid.all()},
    }[answers["name"]]
    stated = {id: answers["facts"]["cases"][id][:2] for id in wide}
    assert {id for id, (precision, _) in stated.items() if precision == "float32"} == narrow
    assert all(bool(note) == (id in narrow) for id, (_, note) in stated.items())
    for id in narrow:
        error = np.abs(answers[f"{id}|c_n"] - reference(BY_ID[id])["c_n"]).max()
        assert error > 1000 * EPSILON["float64"], f"{id} is more precise than stated"


def test_a_model_serves_many_cases(answers: dict[str, Any]) -> None:
    assert answers["facts"]["again"] is True


@pytest.mark.parametrize("what", [*UNSUPPORTED, "mask"])
def test_unsupported_cases_have_a_reason(answers: dict[str, Any], what: str) -> None:
    assert answers["facts"]["refused"][what].startswith(f"{what}: ")


def test_mistakes_are_reported(answers: dict[str, Any]) -> None:
    facts = answers["facts"]
    assert facts["misnamed"].startswith("SpecError: the arrays are named [], but this Keras model needs ['bias'")
    wrong = ADAPTERS[ADAPTERS.index(answers["name"]) - 1].removeprefix("keras-")
    assert f"should have {wrong}; set KERAS_BACKEND={wrong}" in facts["other backend"]


def test_environment_names_keras_and_its_backend(answers: dict[str, Any]) -> None:
    environment = answers["facts"]["environment"]
    assert {"keras", answers["name"].removeprefix("keras-")} <= set(environment)
    assert ("tf.function" in environment.get("runs", "")) == answers["asked"].endswith(COMPILED)


@pytest.mark.parametrize("id", ["states", "deep-ragged"])
def test_results_agree_with_torch(answers: dict[str, Any], id: str) -> None:
    pytest.importorskip("torch")
    case = BY_ID[id]
    bound = 16 * EPSILON[answers["facts"]["cases"][id][0]]
    result = Session(load_adapter(entry_named("torch").target, "torch")).execute(case)
    for name, value in (("y", result.y), ("h_n", result.h_n), ("c_n", result.c_n), ("last", result.last)):
        assert value is not None
        error = np.abs(answers[f"{id}|{name}"] - value).max() / max(1.0, float(np.abs(value).max()))
        assert error <= bound, f"{name}: {error:.1e}"


if __name__ == "__main__":
    main(*sys.argv[1:])
