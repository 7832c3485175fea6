"""A small LSTM in NumPy: the framework that an adapter is written for."""

from .layer import TinyLSTM as TinyLSTM

__version__ = "1.0"
