"""PyTorch `.pt` and TorchScript files."""
