"""One LSTM in a process of its own, timed on request by `kernel_speed.py`.

    python benchmarks/kernels.py NAME

It reads lines `STEPS BATCH INPUT HIDDEN MODE REPEATS` and answers each with the shortest time of a call in seconds.
MODE is `forward` or `gradient`, with respect to weights and inputs. Every LSTM gets an array (batch, steps, input) and
returns (batch, steps, hidden), which is read back as NumPy.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Shape = tuple[int, int, int, int]
Call = Callable[[], object]


@contextmanager
def quiet_stdout() -> Iterator[Any]:
    """The stdout for answers; what a framework prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    yield answers


def of_torch(shape: Shape, mode: str) -> Call:
    """`torch.nn.LSTM`."""
    import torch

    steps, batch, features, hidden = shape
    lstm = torch.nn.LSTM(features, hidden, batch_first=True)
    x = torch.from_numpy(numbers(batch, steps, features))
    if mode == "forward":

        def forward() -> object:
            with torch.no_grad():
                return lstm(x)[0].numpy()

        return forward
    x.requires_grad_()

    def gradient() -> object:
        return [g.numpy() for g in torch.autograd.grad(lstm(x)[0].sum(), [x, *lstm.parameters()])]

    return gradient


def of_torch_single(shape: Shape, mode: str) -> Call:
    """`torch.nn.LSTM` on one thread, against which the oracle is measured."""
    import torch

    torch.set_num_threads(1)
    return of_torch(shape, mode)


def of_oracle(shape: Shape, mode: str) -> Call:
    """The float64 oracle, teacher-forced, with both bounds."""
    from lstm_xcheck.compare.reference import references
    from lstm_xcheck.model import Case, LSTMSpec
    from lstm_xcheck.oracle import forward
    from lstm_xcheck.oracle.precision_profiles import profile_named

    steps, batch, features, hidden = shape
    case = Case.random(
        LSTMSpec(input_size=features, hidden_size=hidden), steps=steps, batch=batch, init="normal", states=False
    )
    observed = {0: np.asarray(forward(case).y, np.float32)}
    return lambda: references(case, observed, profile_named("float32"))


def jitted(run: Callable[..., Any], params: Any, x: Any, mode: str) -> Call:
    """A pure function `run(params, x) -> y`, compiled, forward or differentiated."""
    import jax

    if mode == "forward":
        compiled = jax.jit(run)
        return lambda: np.asarray(compiled(params, x))
    derived = jax.jit(jax.grad(lambda p, v: run(p, v).sum(), argnums=(0, 1)))
    return lambda: jax.tree.map(np.asarray, derived(params, x))


def of_jax(shape: Shape, mode: str) -> Call:
    """This project's scan."""
    import jax

    from lstm_xcheck.adapters.jax.lstm import lstm, zero_params
    from lstm_xcheck.model import LSTMSpec

    steps, batch, features, hidden = shape
    spec = LSTMSpec(input_size=features, hidden_size=hidden, bias="single")
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: rng.normal(size=leaf.shape).astype(np.float32) * 0.1, zero_params(spec, np.float32)
    )
    x = jax.device_put(numbers(batch, steps, features))
    return jitted(lambda p, v: lstm(p, v, spec).y, jax.device_put(params), x, mode)


def of_plain_scan(shape: Shape, mode: str) -> Call:
    """A plain scan: x W + h U inside, three sigmoids and a tanh."""
    import jax
    import jax.numpy as jnp

    steps, batch, features, hidden = shape
    params = [numbers(features, 4 * hidden) * 0.1, numbers(hidden, 4 * hidden) * 0.1, numbers(4 * hidden) * 0.1]

    def run(p: Any, x: Any) -> Any:
        def step(carry: Any, row: Any) -> Any:
            h, c = carry
            i, f, g, o = jnp.split(row @ p[0] + h @ p[1] + p[2], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((batch, hidden))
        return jnp.swapaxes(jax.lax.scan(step, (zeros, zeros), jnp.swapaxes(x, 0, 1))[1], 0, 1)

    return jitted(run, jax.device_put(params), jax.device_put(numbers(batch, steps, features)), mode)


def of_flax(shape: Shape, mode: str) -> Call:
    """`flax.nnx.RNN` of an OptimizedLSTMCell."""
    import jax
    from flax import nnx

    steps, batch, features, hidden = shape
    rnn = nnx.RNN(nnx.OptimizedLSTMCell(features, hidden, rngs=nnx.Rngs(0)))
    graph, params, rest = nnx.split(rnn, nnx.Param, ...)
    zeros = jax.device_put(np.zeros((batch, hidden), np.float32))
    x = jax.device_put(numbers(batch, steps, features))
    return jitted(lambda p, v: nnx.merge(graph, p, rest)(v, initial_carry=(zeros, zeros)), params, x, mode)


def of_haiku(shape: Shape, mode: str) -> Call:
    """`haiku.LSTM` in `dynamic_unroll`."""
    import haiku as hk
    import jax

    steps, batch, features, hidden = shape

    def unrolled(x: Any) -> Any:
        core = hk.LSTM(hidden)
        return hk.dynamic_unroll(core, x, core.initial_state(batch), time_major=False)[0]

    pure = hk.without_apply_rng(hk.transform(unrolled))
    x = jax.device_put(numbers(batch, steps, features))
    return jitted(pure.apply, pure.init(jax.random.PRNGKey(0), x), x, mode)


def of_equinox(shape: Shape, mode: str) -> Call:
    """`equinox.nn.LSTMCell`, mapped over the batch, in a scan."""
    import equinox
    import jax
    import jax.numpy as jnp

    steps, batch, features, hidden = shape
    cell = equinox.nn.LSTMCell(features, hidden, key=jax.random.PRNGKey(0))
    arrays, static = equinox.partition(cell, equinox.is_array)

    def run(p: Any, x: Any) -> Any:
        step = jax.vmap(equinox.combine(p, static))

        def body(carry: Any, row: Any) -> Any:
            carry = step(row, carry)
            return carry, carry[0]

        zeros = jnp.zeros((batch, hidden))
        return jnp.swapaxes(jax.lax.scan(body, (zeros, zeros), jnp.swapaxes(x, 0, 1))[1], 0, 1)

    return jitted(run, arrays, jax.device_put(numbers(batch, steps, features)), mode)


KERNELS: dict[str, Callable[[Shape, str], Call]] = {
    "torch": of_torch,
    "torch, one thread": of_torch_single,
    "oracle": of_oracle,
    "jax": of_jax,
    "plain scan": of_plain_scan,
    "flax": of_flax,
    "haiku": of_haiku,
    "equinox": of_equinox,
}


def numbers(*shape: int) -> np.ndarray:
    """Seeded float32 numbers from the normal distribution."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def main(name: str) -> None:
    """Answer until stdin ends; the call of each shape is kept for later rounds."""
    calls: dict[str, Call] = {}
    with quiet_stdout() as answers:
        for line in sys.stdin:
            *sizes, mode, repeats = line.split()
            key = " ".join([*sizes, mode])
            if key not in calls:
                steps, batch, features, hidden = map(int, sizes)
                calls[key] = KERNELS[name]((steps, batch, features, hidden), mode)
                calls[key]()
            best = min(timed(calls[key]) for _ in range(int(repeats)))
            print(best, file=answers)


def timed(call: Call) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1])
