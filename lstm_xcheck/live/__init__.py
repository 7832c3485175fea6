"""Layers and modules of a running program, compared with files, weights and functions."""
