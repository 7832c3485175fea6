"""PyTorch: its LSTM, its cell, and what exports and compilers make of them."""
