"""The LSTM of this project on JAX, one `lax.scan`."""
