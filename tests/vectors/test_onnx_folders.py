"""The folders pass ONNX' own backend runner on ONNX Runtime, which refuses every planted mistake."""

from __future__ import annotations

import json
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.vectors import Vector
from lstm_xcheck.vectors.expected import OUTPUTS
from lstm_xcheck.vectors.formats import FORMATS

from .sets import Answer, honest_answers, planted_answers, vectors_named

pytestmark = [
    pytest.mark.framework("onnx", "onnxruntime"),
    pytest.mark.filterwarnings("ignore:onnx.version is deprecated"),  # onnxruntime 1.32.0, backend/backend.py
]


@pytest.fixture(params=["onnx", "onnx stack"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for name, data in FORMATS["onnx"].files(vectors_named(request.param)).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def runner_tests(folder: Path, backend: Any) -> list[unittest.TestCase]:
    """The runner's tests on the CPU; its public class loads onnx' own folders only."""
    from onnx.backend.test import loader
    from onnx.backend.test import runner as own

    with mock.patch.object(own, "load_model_tests", return_value=[]):
        runner = own.Runner(backend, __name__)
    for test in loader.load_model_tests(data_dir=str(folder), kind="lstm_xcheck"):
        runner._add_model_test(test, "Lstm")
    return [test for test in _flat(runner.test_suite) if "cpu" in test.id()]


def _flat(suite: Any) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


def run(tests: list[unittest.TestCase]) -> tuple[int, int, int]:
    """Tests that ran, failed and could not be run."""
    result = unittest.TestResult()
    for test in tests:
        test.run(result)
    return result.testsRun, len(result.failures), len(result.errors)


def test_onnxruntime_passes(folder: Path) -> None:
    from onnxruntime.backend.backend import OnnxRuntimeBackend

    count = len(list((folder / "lstm_xcheck").iterdir()))
    assert run(runner_tests(folder, OnnxRuntimeBackend)) == (count, 0, 0)


def test_a_changed_number_fails(folder: Path) -> None:
    from onnxruntime.backend.backend import OnnxRuntimeBackend

    for path in (folder / "lstm_xcheck").glob("*/data.json"):
        tolerance = json.loads(path.read_text())
        assert tolerance["rtol"] == 0.0
        path.write_text(json.dumps({"rtol": 0.0, "atol": 1e-12}))
    ran, failed, errors = run(runner_tests(folder, OnnxRuntimeBackend))
    assert (ran > 0, failed > 0, errors) == (True, True, 0)


def test_every_planted_mistake_fails_in_the_runner(folder: Path, request: pytest.FixtureRequest) -> None:
    from onnx.backend.base import Backend, BackendRep

    answer: list[Array] = []

    class Planted(BackendRep):
        def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
            return tuple(answer)

    class PlantedBackend(Backend):
        @classmethod
        def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> BackendRep:
            return Planted()

        @classmethod
        def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
            return True

        @classmethod
        def supports_device(cls, device: str) -> bool:
            return device == "CPU"

    vectors = vectors_named(request.node.callspec.params["folder"])
    tests = runner_tests(folder, PlantedBackend)
    for vector in vectors.vectors:
        test = [t for t in tests if vector.case.id.replace("-", "_") + "_cpu" in t.id()]
        for honest in honest_answers(vector):
            answer[:] = as_outputs(vector, honest)
            assert run(test) == (1, 0, 0)
        passed = []
        for key, planted in planted_answers(vectors, vector):
            answer[:] = as_outputs(vector, planted)
            passed += [key] if run(test) == (1, 0, 0) else []
        assert passed == []


def as_outputs(vector: Vector, answer: Answer) -> list[Array]:
    """y, h and c of each layer as the model gives them; lower layers' y are right."""
    spec, width = vector.case.spec, vector.case.spec.num_directions
    found = []
    for layer in range(spec.num_layers):
        top = layer == spec.num_layers - 1
        y = answer["y"] if top else vector.expected[f"layer{layer}.y"].value
        rows = slice(layer * width, (layer + 1) * width)
        found += [np.swapaxes(y, 0, 1), answer["h_n"][rows], answer["c_n"][rows]]
    assert set(answer) == set(OUTPUTS)
    return found
