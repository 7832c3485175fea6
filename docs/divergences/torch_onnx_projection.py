"""torch.onnx.export(dynamo=True) of an LSTM with proj_size writes weights of wrong shapes, and succeeds."""

import logging
import warnings

import torch

warnings.simplefilter("ignore")
logging.disable()
layer = torch.nn.LSTM(3, 4, proj_size=2, batch_first=True).eval()
model = torch.onnx.export(layer, (torch.randn(2, 5, 3),), dynamo=True, verbose=False).model_proto
(node,) = (node for node in model.graph.node if node.op_type == "LSTM")
(found,) = (tuple(tensor.dims) for tensor in model.graph.initializer if tensor.name == node.input[1])
right = (1, *layer.weight_ih_l0.shape)
print("found: W", found, " right:", right)
assert found != right, "the divergence is gone"
