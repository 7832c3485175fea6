"""Proves an LSTM the same LSTM in every framework, and names the mistake when it is not."""
