"""The project's own LSTM on JAX: a `lax.scan`."""
