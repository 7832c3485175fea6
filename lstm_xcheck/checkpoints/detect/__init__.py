"""Detects LSTMs among tensors, by names, shapes or the user's layout."""
