"""One ONNX model of the operator LSTM, run by several runtimes."""
