"""An LSTM in JAX: pure functions over a pytree, with one `lax.scan` body.

    params = zero_params(spec, jnp.float32)      # params[layer][direction]["W"]
    y, h_n, c_n, lower = lstm(params, x, spec)   # compiled; works under jax.grad, jax.vmap and in a larger jax.jit

Some choices are made for speed. The measured ratios of times are of jax 0.10.2 on two CPU cores, float32, both forms in
turn in one process, best of 12 rounds. Shapes are (steps, batch, input, hidden).

* x W + b is computed for all steps before the scan, while it has at most `HOIST_BELOW` numbers. Inside the scan it
  takes 1.8 times as long at a wide input (20, 8, 2308, 32), 2.4 times with gradients. At (100, 32, 64, 128), 1.6
  million numbers, both forms take the same time forward, and before the scan takes 1.6 times as long with gradients.
  Axes are exchanged after this product, which is smaller than x at a wide input; before it, 1.3 times as long.
* Inside the scan [x, h] [W; U] is one product, while [W; U] has at most `JOIN_BELOW` numbers. Two products take 1.3
  times as long with gradients at (100, 32, 64, 128). At (200, 64, 256, 256), half a million numbers, one takes 1.06
  times as long as two, 1.08 times with gradients (each form in a process of its own, seven rounds, twice).
* With x W before the scan, the textbook function takes all four gates from one tanh over (batch, 4 hidden):
  sigmoid(z) = tanh(z / 2) / 2 + 1 / 2. Halving is exact, so that the absolute error is about one rounding of 1, as with
  sigmoids. Separate sigmoids take 1.7 times as long at (30, 16, 40, 64). With x W inside the scan both take the same
  time, and with gradients one tanh takes 1.04 to 1.24 times as long at (100, 32, 64, 128).

Gradients are JAX's own. With x W before the scan, those of W, b and x are single products already, and a custom rule
would take away forward-mode and second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ...model import LSTMSpec
from ...model.spec import Activation

#: Arrays of one direction: W (input, 4 hidden), U (output, 4 hidden), b (4 hidden), optionally P (hidden, output) and
#: peephole (3 hidden); gates in the order i, f, g, o, peepholes i, f, o.
CellParams = dict[str, Array]
#: `params[layer][direction]`.
Params = list[list[CellParams]]

#: x W + b is computed before the scan when it has at most this many numbers.
HOIST_BELOW = 1_000_000

#: [x, h] [W; U] is one product when [W; U] has at most this many numbers.
JOIN_BELOW = 250_000

#: By default, accelerators round the operands to TF32 or bfloat16.
_dot = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


class Outputs(NamedTuple):
    """Outputs and final states of an LSTM.

    Attributes:
        y: top layer, all steps, shape (batch, steps, directions * output), zero where a step is not valid.
        h_n: final hidden states, shape (layers * directions, batch, output).
        c_n: final cell states, shape (layers * directions, batch, hidden).
        lower: outputs of the layers below the top, each of the shape of y.
    """

    y: Array
    h_n: Array
    c_n: Array
    lower: tuple[Array, ...]


def zero_params(spec: LSTMSpec, dtype: Any) -> Params:
    """Parameters of a spec, all zero; a split bias is one vector."""

    def cell(layer: int) -> CellParams:
        hidden, width = spec.hidden_size, spec.output_size
        shapes: dict[str, tuple[int, ...]] = {"W": (spec.layer_input_size(layer), 4 * hidden), "U": (width, 4 * hidden)}
        if spec.bias != "none":
            shapes["b"] = (4 * hidden,)
        if spec.proj_size:
            shapes["P"] = (hidden, width)
        if spec.peepholes:
            shapes["peephole"] = (3 * hidden,)
        return {name: jax.device_put(np.zeros(shape, dtype)) for name, shape in shapes.items()}

    return [[cell(layer) for _ in range(spec.num_directions)] for layer in range(spec.num_layers)]


def leaves_by_path(params: Params) -> dict[str, Array]:
    """The leaves by path; `0/1/W` is W of layer 0, direction 1."""
    return {
        f"{layer}/{direction}/{name}": leaf
        for layer, row in enumerate(params)
        for direction, arrays in enumerate(row)
        for name, leaf in arrays.items()
    }


def run_stack(
    params: Params,
    x: Array,
    spec: LSTMSpec,
    h0: Array | None = None,
    c0: Array | None = None,
    valid: Array | None = None,
) -> Outputs:
    """Run a stack; `lstm` is this function compiled.

    Args:
        params: in the form of `zero_params`.
        x: inputs, shape (batch, steps, input), of the type of the parameters.
        h0: initial hidden states, shape (layers * directions, batch, output), or None for zeros.
        c0: initial cell states, shape (layers * directions, batch, hidden), or None for zeros.
        valid: valid steps, boolean, shape (batch, steps), or None for all. At other steps, states stay and outputs are
            zero.
    """
    batch, rows = x.shape[0], spec.num_layers * spec.num_directions
    h0 = jnp.zeros((rows, batch, spec.output_size), x.dtype) if h0 is None else h0
    c0 = jnp.zeros((rows, batch, spec.hidden_size), x.dtype) if c0 is None else c0
    sequence = x
    valid = None if valid is None else jnp.swapaxes(valid, 0, 1)[..., None]
    outputs, h_n, c_n = [], [], []
    for layer, directions in enumerate(params):
        sequences = []
        for direction, cell_params in enumerate(directions):
            row = layer * spec.num_directions + direction
            backward = spec.is_backward(direction)
            y, h, c = scan_direction(cell_params, sequence, h0[row], c0[row], valid, spec, backward=backward)
            sequences.append(y)
            h_n.append(h)
            c_n.append(c)
        sequence = jnp.concatenate(sequences, axis=-1)
        outputs.append(sequence)
    return Outputs(outputs[-1], jnp.stack(h_n), jnp.stack(c_n), tuple(outputs[:-1]))


lstm = jax.jit(run_stack, static_argnames="spec")


def vjp_of_stack(params: Params, data: list[Any], cotangents: list[Any], spec: LSTMSpec, valid: Any) -> Any:
    """Outputs, and gradients of parameters and data.

    `data` are x, h0 and c0; `cotangents` those of y, h_n and c_n.
    """

    def forward(params: Params, x: Any, h0: Any, c0: Any) -> tuple[Any, Outputs]:
        outputs = run_stack(params, x, spec, h0, c0, valid)
        return tuple(outputs[:3]), outputs

    _, vjp, outputs = jax.vjp(forward, params, *data, has_aux=True)
    return outputs, vjp(tuple(cotangents))


def scan_direction(
    params: CellParams, sequence: Array, h0: Array, c0: Array, valid: Array | None, spec: LSTMSpec, *, backward: bool
) -> tuple[Array, Array, Array]:
    """One direction of one layer.

    Args:
        sequence: inputs, shape (batch, steps, input).
        h0: initial hidden state, shape (batch, output).
        c0: initial cell state, shape (batch, hidden).
        valid: boolean, shape (steps, batch, 1), or None when every step is valid.
        backward: run from the last step to the first; outputs stay aligned in time.

    Returns:
        Outputs, shape (batch, steps, output), and the final hidden and cell states.
    """
    hoist = sequence.shape[1] * c0.size * 4 <= HOIST_BELOW
    inputs, affine = _input_products(params, sequence, hoist=hoist)

    def step(state: tuple[Array, Array], at_step: tuple[Array, Array | None]) -> tuple[tuple[Array, Array], Array]:
        (h, c), (x, is_valid) = state, at_step
        new_h, new_c = cell(params, affine(x, h), c, spec, one_tanh=hoist)
        if is_valid is None:
            return (new_h, new_c), new_h
        next_state = jnp.where(is_valid, new_h, h), jnp.where(is_valid, new_c, c)
        return next_state, jnp.where(is_valid, new_h, 0)

    (h, c), y = lax.scan(step, (h0, c0), (jnp.swapaxes(inputs, 0, 1), valid), reverse=backward)
    return jnp.swapaxes(y, 0, 1), h, c


def _input_products(
    params: CellParams, sequence: Array, *, hoist: bool
) -> tuple[Array, Callable[[Array, Array], Array]]:
    """The scan's input, and a function from its step and h to pre-activations."""
    w, u, bias = params["W"], params["U"], params.get("b", 0)
    if hoist:
        return _dot(sequence, w) + bias, lambda x, h: x + _dot(h, u)
    if w.size + u.size > JOIN_BELOW:
        return sequence, lambda x, h: _dot(x, w) + _dot(h, u) + bias
    joined = jnp.concatenate([w, u])
    return sequence, lambda x, h: _dot(jnp.concatenate([x, h], axis=-1), joined) + bias


def cell(params: CellParams, z: Array, c: Array, spec: LSTMSpec, *, one_tanh: bool) -> tuple[Array, Array]:
    """One step: h_t and c_t from pre-activations and c_{t-1}.

    Args:
        z: pre-activations without peepholes, shape (batch, 4 hidden).
        c: cell state, shape (batch, hidden).
        one_tanh: take the gates of the textbook function from one tanh.
    """
    if spec.is_plain and one_tanh:
        i, f, g, o = _plain_gates(z)
        c = f * c + i * g
        h = o * jnp.tanh(c)
    else:
        h, c = _general_cell(params, z, c, spec)
    if "P" in params:
        h = _clip(_dot(h, params["P"]), spec.proj_clip)
    return h, c


def _plain_gates(z: Array) -> list[Array]:
    """The gates i, f, g, o of the textbook function, from one tanh."""
    hidden = z.shape[-1] // 4
    scale = np.repeat([0.5, 0.5, 1.0, 0.5], hidden).astype(z.dtype)
    shift = np.repeat([0.5, 0.5, 0.0, 0.5], hidden).astype(z.dtype)
    return jnp.split(jnp.tanh(z * scale) * scale + shift, 4, axis=-1)


def _general_cell(params: CellParams, z: Array, c: Array, spec: LSTMSpec) -> tuple[Array, Array]:
    """A cell with peepholes, clips, coupled gates or other activations."""
    gate, candidate, output = (
        activation(name) for name in (spec.gate_activation, spec.cell_activation, spec.output_activation)
    )
    z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
    if spec.peepholes:  # zero peepholes would not do: XLA keeps the product, and 0 * inf is NaN
        p_i, p_f, p_o = jnp.split(params["peephole"], 3)
        z_i, z_f = z_i + p_i * c, z_f + p_f * c
    i, f = gate(_clip(z_i, spec.gate_clip)), gate(_clip(z_f, spec.gate_clip))
    if spec.coupling == "f=1-i":
        f = 1 - i
    elif spec.coupling == "i=1-f":
        i = 1 - f
    c = _clip(f * c + i * candidate(_clip(z_g, spec.gate_clip)), spec.cell_clip)
    if spec.peepholes:
        z_o = z_o + p_o * c
    o = gate(_clip(z_o, spec.gate_clip))
    return o * output(c), c


def activation(name: str) -> Callable[[Array], Array]:
    """The function of an activation's name in a spec."""
    parsed = Activation.parse(name)
    if parsed.kind == "hard_sigmoid":
        return lambda v: jnp.clip(parsed.alpha * v + parsed.beta, 0, 1)
    return _ACTIVATIONS[parsed.kind]


def _tanh_pade(v: Array) -> Array:
    near = jnp.clip(v, -3, 3)
    return near * (27.0 + near**2) / (27.0 + 9.0 * near**2)


_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "linear": lambda v: v,
    "softsign": jax.nn.soft_sign,
    "hard_tanh": jax.nn.hard_tanh,
    "tanh_pade": _tanh_pade,
}


def _clip(array: Array, bound: float | None) -> Array:
    return array if bound is None else jnp.clip(array, -bound, bound)
