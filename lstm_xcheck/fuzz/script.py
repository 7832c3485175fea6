"""The constant text of every reproducer: the equations in float64, and the test."""

from __future__ import annotations

#: The name of the test, which is also run once the file is written.
TEST = "test_it_computes_the_equations"

SCRIPT = '''
HIDDEN, OUTPUT, DIRECTIONS = CELLS[0][0]["W"].shape[1], CELLS[0][0]["U"].shape[2], len(CELLS[0])


def initial_states(index):
    """h0 and c0 of one row of (layers * directions); zeros where none are given."""
    if H0 is None:
        return tuple(np.zeros((X.shape[0], width), X.dtype) for width in (OUTPUT, HIDDEN))
    return H0[index], C0[index]


def sigmoid(z):
    """1 / (1 + e^-z) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def direction(cell, x, h, c, backward, observed):
    """One direction of one layer in float64; each step starts from the h observed before it, where it was."""
    W, U = np.asarray(cell["W"], float), np.asarray(cell["U"], float)
    b = np.asarray(cell.get("b", 0), float) + np.asarray(cell.get("b_r", np.zeros((4, HIDDEN))), float)
    y, last = np.zeros((*x.shape[:2], OUTPUT)), h
    for t in sorted(range(x.shape[1]), reverse=backward):
        z = np.einsum("ghx,bx->gbh", W, x[:, t]) + np.einsum("ghr,br->gbh", U, h) + b[:, None]
        new_c = sigmoid(z[1]) * c + sigmoid(z[0]) * np.tanh(z[2])
        new_h = sigmoid(z[3]) * np.tanh(new_c)
        if "projection" in cell:
            new_h = new_h @ np.asarray(cell["projection"], float).T
        keep = np.ones((len(x), 1), bool) if LENGTHS is None else (t < LENGTHS)[:, None]
        y[:, t], last, c = np.where(keep, new_h, 0.0), np.where(keep, new_h, last), np.where(keep, new_c, c)
        h = np.where(keep, new_h if observed is None else observed[:, t], h)
    return y, last, c


def reference(observed):
    """What y, h_n and c_n should be, given the outputs (batch, steps, directions * output) that were observed."""
    x, h_n, c_n = np.asarray(X, float), [], []
    for layer, row in enumerate(CELLS):
        halves = np.split(observed, DIRECTIONS, axis=-1) if layer == len(CELLS) - 1 else [None] * DIRECTIONS
        outputs = []
        for k, cell in enumerate(row):
            h, c = (np.asarray(state, float) for state in initial_states(layer * DIRECTIONS + k))
            y, h, c = direction(cell, x, h, c, k == 1, halves[k])
            outputs.append(y)
            h_n.append(h)
            c_n.append(c)
        x = np.concatenate(outputs, axis=-1)
    return {"y": x, "h_n": np.stack(h_n), "c_n": np.stack(c_n)}


def torch_arrays():
    """The weights as PyTorch names them: its gates, too, are in the order i, f, g, o."""
    names = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "b_r": "bias_hh", "projection": "weight_hr"}
    arrays = {}
    for layer, row in enumerate(CELLS):
        for suffix, cell in zip(("", "_reverse"), row):
            cell = {"b_r": np.zeros_like(cell["b"]), **cell} if "b" in cell else cell
            for name, array in cell.items():
                flat = array if name == "projection" else array.reshape(4 * HIDDEN, *array.shape[2:])
                arrays[f"{names[name]}_l{layer}{suffix}"] = flat
    return arrays
'''

CHECK = f'''
def {TEST}():
    """Every number is what the float64 equations give, up to the rounding that is allowed."""
    for _ in range(CALLS):
        check(implementation())


def check(got):
    """Judge one answer."""
    assert got["y"].shape == (*X.shape[:2], DIRECTIONS * OUTPUT)
    expected = reference(np.asarray(got["y"], float))
    for name, array in got.items():
        assert array.shape == expected[name].shape, name
        error = np.abs(np.asarray(array, float) - expected[name])
        wrong = ~(error <= BOUND[name])
        where = tuple(int(k) for k in np.argwhere(wrong)[0]) if wrong.any() else ()
        assert not wrong.any(), (
            f"{{name}}{{list(where)}} = {{array[where]}}, but should be {{expected[name][where]}} "
            f"+/- {{BOUND[name][where]:.2g}}; {{int(wrong.sum())}} of {{wrong.size}} elements are wrong"
        )
'''
