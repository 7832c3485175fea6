"""OpenVINO ignores the lengths of LSTMSequence wherever the batch or the number of steps is not known."""

import numpy as np
import openvino as ov
import openvino.opset13 as op


def last_state(batch, steps, lengths):
    """The h of two rows of five steps of ones, in a model of known or unknown (-1) sizes."""
    x, h, c = (op.parameter(shape, np.float32) for shape in ([batch, steps, 1], [batch, 1, 1], [batch, 1, 1]))
    given = op.parameter([batch], np.int32)
    weights = (op.constant(np.ones(shape, np.float32)) for shape in ((1, 4, 1), (1, 4, 1), (1, 4)))
    layer = op.lstm_sequence(x, h, c, given, *weights, 1, "forward")
    model = ov.Model([layer.output(1)], [x, h, c, given])
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([np.ones((2, 5, 1), "f"), *[np.zeros((2, 1, 1), "f")] * 2, np.int32(lengths)])[0].ravel()


found, right = last_state(-1, 5, [5, 1]), last_state(2, 5, [5, 1])
print("found:", found.round(3), " right:", right.round(3))
assert (found == last_state(2, 5, [5, 5])).all(), "the divergence is gone"
assert (found == last_state(2, -1, [5, 1])).all(), "the divergence is gone where steps are not known"
