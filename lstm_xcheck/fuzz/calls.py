"""The function `implementation` of a reproducer, as text, for each public interface.

The text uses X, H0, C0, LENGTHS, CELLS, PRECISION, HIDDEN, OUTPUT and the helpers of `script.SCRIPT`.
"""

from __future__ import annotations

_TORCH = '''
def implementation():
    """torch.nn.LSTM with these weights."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    kind = getattr(torch, PRECISION)
    lstm = torch.nn.LSTM(
        X.shape[2], HIDDEN, num_layers=len(CELLS), bias="b" in CELLS[0][0], batch_first=True,
        bidirectional=len(CELLS[0]) == 2, proj_size=OUTPUT if "projection" in CELLS[0][0] else 0, dtype=kind,
    )
    lstm.load_state_dict({name: torch.from_numpy(array) for name, array in torch_arrays().items()})
    x = torch.from_numpy(X).to(kind)
    states = None if H0 is None else tuple(torch.from_numpy(array).to(kind) for array in (H0, C0))
    with torch.no_grad():
        if LENGTHS is None:
            y, (h_n, c_n) = lstm(x, states)
        else:
            packed = pack_padded_sequence(x, torch.from_numpy(LENGTHS), batch_first=True, enforce_sorted=False)
            y, (h_n, c_n) = lstm(packed, states)
            y, _ = pad_packed_sequence(y, batch_first=True, total_length=X.shape[1])
    return {name: tensor.double().numpy() for name, tensor in {"y": y, "h_n": h_n, "c_n": c_n}.items()}
'''

_KERAS = '''
def implementation():
    """keras.layers.LSTM with these weights, one layer after the other."""
    import keras

    def tensor(array):
        return keras.ops.convert_to_tensor(array, dtype=PRECISION)

    y, states = tensor(X), []
    mask = None if LENGTHS is None else keras.ops.convert_to_tensor(np.arange(X.shape[1]) < LENGTHS[:, None])
    for layer, row in enumerate(CELLS):
        lstm = keras.layers.LSTM(
            HIDDEN, use_bias="b" in row[0], return_sequences=True, return_state=True, zero_output_for_mask=True,
            recurrent_initializer="zeros", dtype=PRECISION,
        )
        if len(row) == 2:
            lstm = keras.layers.Bidirectional(lstm, merge_mode="concat", dtype=PRECISION)
        lstm.build((None, None, y.shape[-1]))
        lstm.set_weights([array for cell in row for array in keras_arrays(cell)])
        rows = range(layer * len(row), (layer + 1) * len(row))
        initial = None if H0 is None else [tensor(array[k]) for k in rows for array in (H0, C0)]
        y, *final = lstm(y, mask=mask, initial_state=initial, training=False)
        states += final
    states = [keras.ops.convert_to_numpy(state) for state in states]
    return {"y": keras.ops.convert_to_numpy(y), "h_n": np.stack(states[0::2]), "c_n": np.stack(states[1::2])}


def keras_arrays(cell):
    """kernel, recurrent_kernel and bias: gates side by side, the two biases added."""
    arrays = [cell[name].reshape(4 * HIDDEN, -1).T for name in ("W", "U")]
    return arrays + ([(cell["b"] + cell.get("b_r", 0)).reshape(-1)] if "b" in cell else [])
'''

_JAX = '''
def implementation():
    """The equations as a jax.lax.scan, all gates from one tanh."""
    import jax
    import jax.numpy as jnp

    x = jnp.swapaxes(jnp.asarray(X, PRECISION), 0, 1)
    keep = None if LENGTHS is None else (np.arange(X.shape[1])[:, None] < LENGTHS)[..., None]
    finals = []
    for layer, row in enumerate(CELLS):
        halves = []
        for direction, cell in enumerate(row):
            y, *final = jax_direction(cell, x, keep, layer * len(row) + direction, direction == 1)
            halves.append(y)
            finals.append(final)
        x = jnp.concatenate(halves, axis=-1)
    h_n, c_n = (np.stack([np.asarray(final[k]) for final in finals]) for k in (0, 1))
    return {"y": np.asarray(jnp.swapaxes(x, 0, 1)), "h_n": h_n, "c_n": c_n}


def jax_direction(cell, x, keep, index, backward):
    """One direction of one layer over x (steps, batch, input)."""
    import jax
    import jax.numpy as jnp

    W, U = (jnp.asarray(cell[name].reshape(4 * HIDDEN, -1).T, PRECISION) for name in ("W", "U"))
    b = jnp.asarray(cell["b"] + cell.get("b_r", 0), PRECISION).reshape(-1) if "b" in cell else 0
    scale = np.repeat([0.5, 0.5, 1.0, 0.5], HIDDEN).astype(x.dtype)
    shift = np.repeat([0.5, 0.5, 0.0, 0.5], HIDDEN).astype(x.dtype)

    def step(state, inputs):
        (h, c), (z, now) = state, inputs
        z = z + jnp.matmul(h, U, precision="highest")
        i, f, g, o = jnp.split(jnp.tanh(z * scale) * scale + shift, 4, axis=-1)
        new_c = f * c + i * g
        new_h = o * jnp.tanh(new_c)
        if "projection" in cell:
            new_h = jnp.matmul(new_h, jnp.asarray(cell["projection"].T, PRECISION), precision="highest")
        if now is None:
            return (new_h, new_c), new_h
        return (jnp.where(now, new_h, h), jnp.where(now, new_c, c)), jnp.where(now, new_h, 0)

    h0, c0 = (jnp.asarray(array, PRECISION) for array in initial_states(index))
    (h, c), y = jax.lax.scan(step, (h0, c0), (jnp.matmul(x, W, precision="highest") + b, keep), reverse=backward)
    return y, h, c
'''

#: By the column `call` of the adapters' registry.
CALLS = {"torch.nn.LSTM": _TORCH, "keras.layers.LSTM": _KERAS, "jax.lax.scan": _JAX}

#: Follows the line `from package.module import function as own_function`.
OWN_FUNCTION = '''
class Gates(np.ndarray):
    """An array whose first axis is the gates; gates["f"] is the forget gate's slice."""

    def __getitem__(self, key):
        return np.asarray(self)["ifgo".index(key)] if isinstance(key, str) else super().__getitem__(key)


def weights():
    """What the function reads of the weights: spec, and W, U, b, b_r of layers[layer][direction]."""

    def cell(arrays):
        gates = {name: arrays[name].view(Gates) if name in arrays else None for name in ("W", "U", "b", "b_r")}
        total = sum((arrays[name].astype(float) for name in ("b", "b_r") if name in arrays), np.zeros((4, HIDDEN)))
        return SimpleNamespace(**gates, peephole=None, projection=arrays.get("projection"), total_bias=total)

    layers = tuple(tuple(cell(arrays) for arrays in row) for row in CELLS)
    return SimpleNamespace(spec=SimpleNamespace(**SPEC), layers=layers, dtype=PRECISION, to_layout=to_layout)


def to_layout(name):
    """The arrays as PyTorch names them; other layouts need lstm-xcheck."""
    if name != "torch":
        raise NotImplementedError(f"layout {name}: take the arrays from lstm_xcheck instead")
    return torch_arrays()


def implementation():
    """The function itself, called as lstm-xcheck calls it."""
    states = [np.stack(arrays) for arrays in zip(*map(initial_states, range(len(CELLS) * len(CELLS[0]))))]
    answer = own_function(weights(), X, *states, LENGTHS)
    if hasattr(answer, "h_n"):
        answer = answer.y, answer.h_n, answer.c_n
    elif not isinstance(answer, (tuple, list)):
        answer = (answer,)
    got = {name: np.asarray(part) for name, part in zip(("y", "h_n", "c_n"), answer) if part is not None}
    return {name: array[None] if name != "y" and array.ndim == 2 else array for name, array in got.items()}
'''
