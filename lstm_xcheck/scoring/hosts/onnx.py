"""The LSTM of ONNX' reference evaluator that makes mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference.ops.op_lstm import CommonLSTM

from ...layouts import from_layout
from ...model import Case, LSTMSpec
from ..plant import Plant


def install(plant: Plant) -> None:
    """Let every node ask what to add to its outputs."""
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


def _case(
    node: Any, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h0: Any = None, c0: Any = None, p: Any = None
) -> Case:
    arrays = {name: array for name, array in {"W": w, "R": r, "B": b, "P": p}.items() if array is not None}
    spec = LSTMSpec(
        w.shape[2], r.shape[2], bidirectional=node.direction == "bidirectional", reverse=node.direction == "reverse",
        bias="none" if b is None else "split", peepholes=p is not None,
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
