"""Tests of the engine, with adapters that fail in every way."""
