"""The folders of `lstm-xcheck vectors --format onnx` in ONNX' own backend runner, on ONNX Runtime."""

import os
from pathlib import Path
from unittest import mock

from onnx.backend.test import loader, runner
from onnxruntime.backend.backend import OnnxRuntimeBackend

#: Where the folders are.
FOLDERS = "ONNX_FOLDERS"

with mock.patch.object(runner, "load_model_tests", return_value=[]):  # those that onnx ships
    tests = runner.Runner(OnnxRuntimeBackend, __name__)
for kind in sorted(Path(os.environ[FOLDERS]).rglob("lstm_xcheck")):
    for test in loader.load_model_tests(data_dir=str(kind.parent), kind=kind.name):
        tests._add_model_test(test, kind.parent.name)
globals().update(tests.test_cases)
