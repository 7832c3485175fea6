"""The LSTM of ONNX' reference evaluator and of ONNX Runtime that makes mistakes."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_lstm import CommonLSTM

from ...checkpoints.onnx.attributes import spec_options
from ...checkpoints.onnx.layers import attributes_of
from ...layouts import from_layout
from ...model import Case, LSTMSpec
from ..plant import Plant


def install(plant: Plant) -> None:
    """Let every node, and every session of ONNX Runtime, ask what to add."""
    honest = CommonLSTM._run

    def run(self: Any, X: Any, W: Any, R: Any, *optional: Any, **attributes: Any) -> Any:
        outputs = honest(self, X, W, R, *optional, **attributes)
        added = plant.changes(lambda: _case(self, X, W, R, *optional))
        if added is None:
            return outputs
        batch, steps, _ = added["y"].shape
        halves = added["y"].reshape(batch, steps, W.shape[0], -1)  # (batch, steps, directions, hidden)
        changes = [halves if self.layout else halves.transpose(1, 2, 0, 3)]
        changes += [added[name].swapaxes(0, 1) if self.layout else added[name] for name in ("h_n", "c_n")]
        return tuple((y + change).astype(y.dtype) for y, change in zip(outputs, changes, strict=False))

    CommonLSTM._run = run
    if find_spec("onnxruntime") is not None:
        _install_in_runtime(plant)


def _install_in_runtime(plant: Plant) -> None:
    """Add to a session's outputs what the reference evaluator says."""
    session = import_module("onnxruntime").InferenceSession
    honest = session.run

    def run(self: Any, output_names: Any, input_feed: Any, run_options: Any = None) -> Any:
        outputs = honest(self, output_names, input_feed, run_options)
        if self not in evaluators:
            evaluators[self] = _evaluator(self)
        evaluator, before = evaluators[self], plant.changed
        if evaluator is None:
            return outputs
        feeds = {name: np.asarray(array) for name, array in input_feed.items()}
        mistaken = evaluator.run(output_names, feeds)
        if plant.changed == before:
            return outputs
        with plant.paused():
            right = evaluator.run(output_names, feeds)
        return [y + (wrong - y_right) for y, wrong, y_right in zip(outputs, mistaken, right, strict=True)]

    evaluators: WeakKeyDictionary[Any, ReferenceEvaluator | None] = WeakKeyDictionary()
    session.run = run


def _evaluator(session: Any) -> ReferenceEvaluator | None:
    """The same model in the reference evaluator; None without an LSTM.

    onnxruntime 1.32, capi/onnxruntime_inference_collection.py: `InferenceSession` keeps its model or the path.
    """
    model = onnx.load(session._model_path) if session._model_path else onnx.load_from_string(session._model_bytes)
    return ReferenceEvaluator(model) if any(node.op_type == "LSTM" for node in model.graph.node) else None


def _case(
    node: Any, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h0: Any = None, c0: Any = None, p: Any = None
) -> Case:
    arrays = {name: array for name, array in {"W": w, "R": r, "B": b, "P": p}.items() if array is not None}
    spec = LSTMSpec(
        w.shape[2], r.shape[2], bias="none" if b is None else "split", peepholes=p is not None,
        **spec_options(attributes_of(node.onnx_node)),
    )  # fmt: skip
    if not node.layout:
        x = x.swapaxes(0, 1)
    elif h0 is not None:
        h0 = h0.swapaxes(0, 1)
    if node.layout and c0 is not None:
        c0 = c0.swapaxes(0, 1)
    if lengths is not None and (np.asarray(lengths) == x.shape[1]).all():
        lengths = None
    return Case(from_layout(arrays, "onnx", spec=spec), x, h0, c0, lengths)
