"""Subprocesses that run one adapter each, and the frames exchanged with them."""
