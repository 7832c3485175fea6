"""flax.linen.RNN gives a row of length 0 the state after all steps; it should stay as it is."""

import jax
import jax.numpy as jnp
from flax import linen

layer = linen.RNN(linen.OptimizedLSTMCell(1), return_carry=True)
x, given = jnp.ones((2, 3, 1)), (jnp.full((2, 1), 0.5), jnp.full((2, 1), 0.5))
variables = layer.init(jax.random.key(0), x)
(c, _), _ = layer.apply(variables, x, initial_carry=given, seq_lengths=jnp.array([3, 0]))
found, full = c[1].item(), c[0].item()
print("found: c", found, " right: c", 0.5)
assert found == full != 0.5, "the divergence is gone"
