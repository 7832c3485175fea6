"""Layers other than LSTMs: grouped, classified, ordered and written."""
