"""The adapters of TensorFlow's family against the oracle, all in one process.

Run as a script, `test_tensorflow.py FILE`, this file is that process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import entry_named, load_adapter
from lstm_xcheck.compare.judge import judge
from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec, Result

pytestmark = pytest.mark.framework("tensorflow")

ADAPTERS = ("sonnet", "tf-keras", "keras-cell", "tf1-cell", "tf-block", "litert", "keras-litert")
PLAIN = LSTMSpec(3, 4, bias="single")
DEEP = LSTMSpec(3, 4, num_layers=2)
HOLES = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=bool)

#: Cell states below LiteRT's bound, so that every adapter can agree.
SMALL = {"steps": 5, "seed": 3, "states": False}
CASES = {
    "single": Case.random(PLAIN, **SMALL, returns="last"),
    "split": Case.random(replace(PLAIN, bias="split"), **SMALL),
    "no bias": Case.random(replace(PLAIN, bias="none"), **SMALL),
    "both directions": Case.random(replace(DEEP, bidirectional=True), **SMALL, returns="last"),
    "one direction": Case.random(DEEP, **SMALL),
    "backward": Case.random(replace(PLAIN, reverse=True), **SMALL),
    "states": Case.random(PLAIN, steps=5),
    "ragged": Case.random(replace(DEEP, bidirectional=True), steps=5, ragged=True, returns="last"),
    "ragged stack": Case.random(DEEP, steps=5, ragged=True, precision="float64"),
    "holes": replace(Case.random(PLAIN, steps=5), mask=HOLES),
    "double": Case.random(PLAIN, steps=5, precision="float64"),
    "half": Case.random(PLAIN, steps=5, precision="float16"),
    "brain": Case.random(PLAIN, steps=5, precision="bfloat16"),
    "projection": Case.random(replace(DEEP, proj_size=2), steps=5),
    "projection clip": Case.random(replace(PLAIN, proj_size=2, proj_clip=0.25), steps=5),
    "peepholes": Case.random(replace(PLAIN, peepholes=True), steps=5),
    "cell clip": Case.random(replace(PLAIN, cell_clip=1.0, peepholes=True), steps=5),
    "cell clip 10": Case.random(replace(PLAIN, cell_clip=10.0), steps=5),
    "gate clip": Case.random(replace(PLAIN, gate_clip=1.0), steps=5),
    "relu": Case.random(replace(PLAIN, cell_activation="relu", output_activation="relu"), steps=5, init="keras"),
    "coupled": Case.random(replace(PLAIN, coupling="f=1-i"), steps=5),
    "gradients": Case.random(replace(DEEP, bidirectional=True), steps=4, gradients=True),
    "gradients of a clip": Case.random(replace(PLAIN, cell_clip=1.0), steps=4, gradients=True),
    "gradients of a stack": Case.random(DEEP, steps=4, ragged=True, gradients=True),
}

KERAS = {
    "projection": "projection", "projection clip": "projection", "peepholes": "peepholes", "cell clip": "peepholes",
    "cell clip 10": "cell clip", "gradients of a clip": "cell clip", "gate clip": "gate clip",
    "coupled": "coupled gates",
}  # fmt: skip
SINGLE_PRECISION = dict.fromkeys(("double", "half", "brain", "ragged stack"), "precision")
NO_LENGTHS = dict.fromkeys(("ragged", "ragged stack", "holes", "gradients of a stack"), "lengths")

#: How the reasons begin for which an adapter refuses a case; all others match.
REFUSED: dict[str, dict[str, str]] = {
    "sonnet": {
        "no bias": "bias", "holes": "mask", "peepholes": "peepholes", "cell clip": "peepholes",
        **dict.fromkeys(("projection clip", "cell clip 10", "gradients of a clip", "gate clip"), "activations, clips"),
        "relu": "activations, clips", "coupled": "activations, clips",
    },
    "tf-keras": KERAS,
    "keras-cell": KERAS,
    "keras-litert": {**KERAS, **SINGLE_PRECISION, "gradients": "gradients", "gradients of a stack": "gradients"},
    "tf1-cell": {
        "no bias": "bias", "holes": "mask", "backward": "reverse", "gate clip": "gate clip", "coupled": "gate clip",
    },
    "tf-block": {
        **NO_LENGTHS, "no bias": "bias", "double": "precision", "brain": "precision", "relu": "activations",
        **dict.fromkeys(("projection", "projection clip", "gate clip", "coupled"), "projection, gate clip"),
    },
    "litert": {
        **SINGLE_PRECISION, **NO_LENGTHS, "no bias": "bias", "projection": "projection",
        "projection clip": "projection", "peepholes": "peepholes", "cell clip": "peepholes", "gate clip": "activations",
        "relu": "activations", "coupled": "activations", "gradients": "gradients", "gradients of a clip": "activations",
    },
}  # fmt: skip

#: Cases that would take seconds, and show what others show.
SLOW = {("keras-litert", "both directions"), ("keras-litert", "states"), ("tf1-cell", "both directions")}

#: LiteRT's converter bounds cell states to 10. The gradient of BlockLSTM takes no account of its cell clip. The
#: adapters pass on what comes of it.
DIVERGES = {("litert", "states"), ("tf-block", "gradients of a clip")}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What every installed adapter answers, from one process."""
    file = tmp_path_factory.mktemp("tensorflow") / "answers.json"
    command = [sys.executable, "-W", "ignore", __file__, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(params=ADAPTERS)
def name(request: pytest.FixtureRequest) -> str:
    """An adapter whose packages are there."""
    missing = entry_named(request.param).missing()
    if missing:
        pytest.skip(f"needs {missing[0]}")
    return str(request.param)


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_oracle_or_says_what_it_cannot(answers: Any, name: str, case: str) -> None:
    if (name, case) in SLOW:
        pytest.skip("the case ragged has both directions, too")
    refused = REFUSED[name].get(case)
    answer = answers[name][case]
    if refused:
        assert answer.startswith(f"unsupported {refused}"), answer
    else:
        assert answer.startswith("mismatch" if (name, case) in DIVERGES else "match"), answer


def test_other_weights_are_a_mismatch(answers: Any, name: str) -> None:
    assert answers[name]["other weights"].startswith("mismatch")


def test_the_bound_of_litert_is_named(answers: Any) -> None:
    if "litert" not in answers:
        pytest.skip("needs ai_edge_litert")
    assert "cell state clipped to +/-10" in answers["litert"]["diagnosis"]
    assert answers["litert"]["second run"] == "match"


def test_the_default_bound_of_the_block_operator_is_a_mismatch(answers: Any) -> None:
    assert answers["raw"]["default clip"] == "mismatch"
    assert answers["raw"]["no clip"] == "match"


def test_the_second_block_operator_has_another_order_of_gates(answers: Any) -> None:
    assert answers["raw"]["second operator"] == "match"
    assert answers["raw"]["second operator, order of the first"] == "mismatch"


def _answer(session: Session, layout: str, case: Case) -> str:
    try:
        verdict = judge(session.execute(case), case, layout=layout)
    except Unsupported as refusal:
        return f"unsupported {refusal}"
    return f"{verdict.verdict} {[row.reason for row in verdict.rows if row.verdict != 'match']}"


def _of_other_weights(session: Session, case: Case) -> str:
    adapter = session.adapter
    model = adapter.build(case.spec, case.precision)
    other = Case.random(case.spec, **{**SMALL, "seed": 4})
    adapter.load(model, to_layout(other.weights, adapter.layout))
    return judge(adapter.run(model, case), case).verdict


def _raw_operators() -> dict[str, str]:
    """`BlockLSTM` as it is called by default, and `BlockLSTMV2`, which has the gates in the order i, f, g, o."""
    import tensorflow as tf

    case = CASES["states"]
    stored = to_layout(case.weights, "tf1")
    assert case.h0 is not None and case.c0 is not None
    nothing = tf.zeros([4])
    given = {
        "seq_len_max": tf.constant(case.steps, tf.int64), "x": case.x.swapaxes(0, 1), "cs_prev": case.c0[0],
        "h_prev": case.h0[0], "wci": nothing, "wcf": nothing, "wco": nothing,
    }  # fmt: skip

    def verdict(found: Any) -> str:
        y = found.h.numpy().swapaxes(0, 1)
        return judge(Result(y=y, h_n=y[None, :, -1], c_n=found.cs[-1:].numpy()), case).verdict

    first = {**given, "w": stored["kernel"], "b": stored["bias"]}
    cell = case.weights.layers[0][0]
    kernel = np.concatenate([np.asarray(cell.W), np.asarray(cell.U)], axis=-1).reshape(16, -1).T
    second = {**given, "w": kernel, "b": np.asarray(cell.b).reshape(-1), "cell_clip": -1.0}
    return {
        "default clip": verdict(tf.raw_ops.BlockLSTM(**first)),
        "no clip": verdict(tf.raw_ops.BlockLSTM(**first, cell_clip=-1.0)),
        "second operator": verdict(tf.raw_ops.BlockLSTMV2(**second)),
        "second operator, order of the first": verdict(tf.raw_ops.BlockLSTMV2(**{**first, "cell_clip": -1.0})),
    }


def _main(file: str) -> None:
    import os

    found: dict[str, dict[str, str]] = {}
    for name in ADAPTERS:
        entry = entry_named(name)
        if not entry.missing():
            os.environ.update(entry.variables)
    for name in ADAPTERS:
        entry = entry_named(name)
        if entry.missing():
            continue
        session = Session(load_adapter(entry.target, name))
        found[name] = {
            key: _answer(session, entry.layout, case) for key, case in CASES.items() if (name, key) not in SLOW
        }
        found[name]["other weights"] = _of_other_weights(session, CASES["single"])
        if name == "litert":
            result = session.execute(CASES["states"])
            found[name]["diagnosis"] = str(diagnose(result, CASES["states"]))
            session.execute(CASES["single"])
            again = session.adapter.run(session._model, CASES["single"])
            found[name]["second run"] = judge(again, CASES["single"]).verdict
    found["raw"] = _raw_operators()
    Path(file).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1])
