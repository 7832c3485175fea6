"""A comparison by hand: LSTMs in Keras, PyTorch and JAX with np.allclose.

python benchmarks/naive.py CASES SEEDS
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import torch
from shapes import shapes


def main(cases: int, seeds: int) -> None:
    """Run every case in every framework and compare."""
    different = 0
    for hidden, features, steps, batch in shapes(cases):
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            kernel, recurrent, bias, x = (
                rng.normal(size=shape).astype(np.float32) * 0.3
                for shape in ((features, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,), (batch, steps, features))
            )
            answers = [run(kernel, recurrent, bias, x) for run in (in_keras, in_torch, in_jax)]
            different += not all(np.allclose(answers[0], other, rtol=1e-4, atol=1e-5) for other in answers[1:])
    print(f"{cases * seeds} cases, {different} differ")


def in_keras(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A fresh model and `predict`."""
    model = keras.Sequential(
        [keras.layers.Input(x.shape[1:]), keras.layers.LSTM(recurrent.shape[0], return_sequences=True)]
    )
    model.layers[0].set_weights([kernel, recurrent, bias])
    return model.predict(x, verbose=0)


def in_torch(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """nn.LSTM with the second bias at zero."""
    lstm = torch.nn.LSTM(kernel.shape[0], recurrent.shape[0], batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.from_numpy(kernel.T.copy()))
        lstm.weight_hh_l0.copy_(torch.from_numpy(recurrent.T.copy()))
        lstm.bias_ih_l0.copy_(torch.from_numpy(bias))
        lstm.bias_hh_l0.zero_()
        return lstm(torch.from_numpy(x))[0].numpy()


def in_jax(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A jitted scan."""

    def step(carry: tuple[jax.Array, jax.Array], row: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        h, c = carry
        i, f, g, o = jnp.split(row @ kernel + h @ recurrent + bias, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[0], recurrent.shape[0]))
    run = jax.jit(lambda rows: jax.lax.scan(step, (zeros, zeros), rows)[1])
    return np.asarray(run(jnp.swapaxes(x, 0, 1))).swapaxes(0, 1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
