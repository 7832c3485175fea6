"""Mistakes in real frameworks are caught and named."""
