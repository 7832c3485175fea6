"""LSTMs on JAX: the project's own `lax.scan`, and those of libraries."""
