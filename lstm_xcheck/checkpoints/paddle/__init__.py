"""Pickles of arrays: Paddle `.pdparams` and Haiku parameters."""
