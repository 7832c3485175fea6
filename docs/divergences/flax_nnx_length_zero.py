"""flax.nnx.RNN gives a row of length 0 the state after all steps; it should stay as it is."""

import jax.numpy as jnp
from flax import nnx

layer = nnx.RNN(nnx.OptimizedLSTMCell(1, 1, rngs=nnx.Rngs(0)), return_carry=True)
x, given = jnp.ones((2, 3, 1)), (jnp.full((2, 1), 0.5), jnp.full((2, 1), 0.5))
(c, _), _ = layer(x, initial_carry=given, seq_lengths=jnp.array([3, 0]))
found, full = c[1].item(), c[0].item()
print("found: c", found, " right: c", 0.5)
assert found == full != 0.5, "the divergence is gone"
