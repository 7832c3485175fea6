"""Flax, Orbax and Equinox checkpoints."""
