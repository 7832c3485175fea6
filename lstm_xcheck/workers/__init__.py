"""Subprocesses that run one adapter each, and their protocol."""
