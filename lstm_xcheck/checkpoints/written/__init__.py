"""LSTMs that a graph writes out by operators."""
