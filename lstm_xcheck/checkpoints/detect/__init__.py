"""Which tensors of a file make an LSTM, by names, shapes or the layout that the user gives."""
