"""jax.experimental.rnn.lstm_ref gives a row of length 0 the state after all steps."""

import jax.numpy as jnp
from jax.experimental import rnn

weights = rnn.unpack_lstm_weights(jnp.ones(rnn.get_num_params_in_lstm(1, 1, 1, False)), 1, 1, 1, False)
given = jnp.full((1, 2, 1), 0.5)
x, lengths = jnp.ones((2, 3, 1)), jnp.array([3, 0], jnp.int32)
_, _, c = rnn.lstm_ref(x, given, given, *weights, lengths, 1, 1, 1, 0.0, False)
found, full = c[0, 1].item(), c[0, 0].item()
print("found: c", found, " right: c", 0.5)
assert found == full != 0.5, "the divergence is gone"
