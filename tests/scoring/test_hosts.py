"""Each framework, with a mistake planted, gives the mistaken outputs, through the worker of its own adapter."""

from __future__ import annotations

import json

import pytest

from ..helpers import keras_backend, run_python

pytestmark = pytest.mark.framework

CODE = """
import json, sys
import numpy as np
import lstm_xcheck as lx
from lstm_xcheck.adapters.registry import attribute_at, entry_named
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.mistake import run_mistakes
from lstm_xcheck.scoring import HOSTS
from lstm_xcheck.scoring.local_workers import install
from lstm_xcheck.scoring.plant import OUTPUTS, Plant
from lstm_xcheck.workers.process import Worker

host, plans = json.loads(sys.argv[1])
plant, errors = Plant(), {}
install()
attribute_at(HOSTS[host].target)(plant)
for adapter, id, spec, data in plans:
    worker = Worker(entry_named(adapter))
    case = lx.Case.random(lx.LSTMSpec(**spec), **data)
    plant.set(None, loud=False)
    right = worker.run(case)
    assert lx.judge(right, case).verdict == "match", (adapter, id)
    assert plant.calls > plant.unknown == 0, (adapter, id)
    plant.set(mistake_named(id), loud=False)
    found, mistaken = worker.run(case), run_mistakes([mistake_named(id)], case)
    errors[f"{adapter} {id}"] = [
        max(float(np.abs(getattr(one, name) - mistaken[name]).max()) for name in OUTPUTS) for one in (found, right)
    ]
print("ERRORS" + json.dumps(errors))
"""
ONE = {"input_size": 4, "hidden_size": 4}
SINGLE, BOTH = {**ONE, "bias": "single"}, {**ONE, "bidirectional": True}
SHORT, RAGGED = {"steps": 3, "batch": 3, "seed": 1}, {"steps": 5, "batch": 3, "seed": 1, "ragged": True}
KEPT = {**RAGGED, "padding": "held"}

PLANS = {
    "torch": [
        ("torch", "bias-hh-dropped", ONE, SHORT), ("torch", "states-batch-reversed", ONE, RAGGED),
        ("torch", "halves-exchanged", BOTH, SHORT), ("torch", "lengths-one-short", BOTH, RAGGED),
        ("torch-cell", "gates-iofg", ONE, SHORT), ("torch-cell", "u-transposed", ONE, SHORT),
    ],
    "onnx": [
        ("onnx-reference", "h0-c0-exchanged", BOTH, SHORT), ("onnx-reference", "backward-missing", BOTH, SHORT),
        ("onnx-reference", "peepholes-dropped", {**ONE, "peepholes": True}, SHORT),
        ("onnxruntime", "lengths-one-short", BOTH, RAGGED), ("onnxruntime", "gates-iofg", BOTH, SHORT),
    ],
    "jax": [(name, "gates-igfo", SINGLE, SHORT) for name in ("flax-linen", "flax-nnx", "haiku", "equinox")],
}  # fmt: skip
KERAS = [("gates-igfo", SINGLE, SHORT), ("h0-c0-exchanged", SINGLE, SHORT), ("lengths-one-short", SINGLE, KEPT)]


def check(host: str, plans: list[tuple[str, str, object, object]], **environment: str) -> None:
    """The planted outputs are the mistaken ones, but for the rounding of float32; the right ones are not."""
    errors = json.loads(run_python(CODE, json.dumps([host, plans]), **environment).rpartition("ERRORS")[2])
    assert len(errors) == len(plans)
    assert {name: planted for name, (planted, _) in errors.items() if planted > 2e-5} == {}
    assert {name: right for name, (_, right) in errors.items() if right < 2e-2} == {}


@pytest.mark.parametrize("host", PLANS)
def test_a_planted_mistake_is_what_the_framework_then_makes(host: str) -> None:
    for module in ("flax", "haiku", "equinox") if host == "jax" else (host,):
        pytest.importorskip(module)
    check(host, PLANS[host])


@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_keras_makes_it_on_every_backend(backend: str) -> None:
    pytest.importorskip("keras")
    name = f"keras-{keras_backend(backend)}"
    plans = [(name, *plan) for plan in (KERAS if backend == "torch" else KERAS[-1:])]
    check("keras", plans, KERAS_BACKEND=backend)
