"""Compares live layers and modules with files, weights and functions."""
