"""From a canonical result to the numbers that a source asserts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.model import Case, Result

from .corpus import Golden, Inexpressible, Quantity, dense, to_axes

Ask = Callable[[Case], Result]

_MERGES: dict[str, Callable[..., Array]] = {"sum": np.sum, "ave": np.mean, "mul": np.prod}


def answers(golden: Golden, ask: Ask) -> Iterator[tuple[Quantity, Array | Inexpressible]]:
    """Every expected quantity and the array that `ask` computes for it, in its axes.

    A quantity that is not computed by an LSTM has the reason instead.
    """
    results, case = [], golden.case
    for _ in range(golden.calls):
        result = ask(case)
        results.append(result)
        case = replace(case, h0=result.h_n, c0=result.c_n)
    for quantity in golden.quantities:
        result = results[quantity.call]
        if quantity.name in ("predict_after", "loss"):
            yield from _training(golden, quantity, result)
            continue
        try:
            yield quantity, _answer(golden, quantity, result, ask)
        except Inexpressible as reason:
            yield quantity, reason


def _answer(golden: Golden, quantity: Quantity, result: Result, ask: Ask) -> Array:
    if quantity.name == "c_all":
        return _arrange(_cells_of_all_steps(golden.case, ask), "BTDR", quantity.axes)
    if quantity.name == "y":
        return _arrange(_outputs(golden, result), "BTDR", quantity.axes)
    if quantity.name == "y_merged":
        merge = _MERGES.get(golden.options["merge_mode"])
        if merge is None:  # concatenated, like y itself
            return _arrange(_outputs(golden, result), "BTDR", quantity.axes)
        merged = merge(_outputs(golden, result), axis=2)
        return _arrange(merged, "BTR", quantity.axes)
    if quantity.name in ("h_n", "c_n"):
        return _arrange(_states(golden, getattr(result, quantity.name)), "LDBR", quantity.axes)
    if quantity.name == "y_last":
        return _arrange(_last(golden, result), "BDR", quantity.axes)
    if quantity.name in ("head", "predict_before"):
        return _prediction(golden, result)
    raise Inexpressible(f"expected {quantity.name}: a result has y, h_n, c_n and what follows from them")


def _training(golden: Golden, quantity: Quantity, result: Result) -> Iterator[tuple[Quantity, Array | Inexpressible]]:
    """The loss of the first epoch, with untrained weights; later ones need training."""
    reason = Inexpressible("training: a case is one run with fixed weights")
    training = golden.training or {}
    losses = training.get("loss") == "mse" and quantity.name == "loss"
    if not losses or len(quantity.values) != training["epochs"]:
        yield quantity, reason
        return
    targets = to_axes({"axes": "BR", **training["targets"]}, "BR")
    error = _prediction(golden, result) - targets
    yield _epochs(quantity, "loss[0]", slice(1)), np.mean(error**2, keepdims=True).reshape(1)
    if len(quantity.values) > 1:
        yield _epochs(quantity, "loss[1:]", slice(1, None)), reason


def _epochs(quantity: Quantity, label: str, which: slice) -> Quantity:
    return replace(quantity, label=label, values=quantity.values[which])


def _prediction(golden: Golden, result: Result) -> Array:
    """The prediction of a Keras model, with a dense head where present."""
    head = golden.head
    if head is not None and head.get("per_step"):
        return dense(head, _arrange(_outputs(golden, result), "BTDR", "BT(DR)"))
    last, mode = _last(golden, result), golden.options["merge_mode"]
    merged = _MERGES[mode](last, axis=1) if mode in _MERGES else _arrange(last, "BDR", "B(DR)")
    return merged if head is None else dense(head, merged)


def _outputs(golden: Golden, result: Result) -> Array:
    """y of the source's batch, (batch, steps, directions, output), with its padding."""
    case = golden.case
    assert result.y is not None, "the oracle and every adapter give y"
    y = result.y.reshape(case.batch, case.steps, case.spec.num_directions, -1)
    if golden.options["mask_output"] == "hold":
        y = _with_repeated_outputs(case, y)
    return _with_empty_rows(golden, y, 0)[:, :, golden.directions]


def _with_repeated_outputs(case: Case, y: Array) -> Array:
    """y with the last output at padding, zeros before the first valid step."""
    repeated = np.zeros_like(y)
    for direction in range(case.spec.num_directions):
        output = np.zeros_like(y[:, 0, direction])
        times = range(case.steps)
        for t in reversed(times) if case.spec.is_backward(direction) else times:
            output = np.where(case.valid[:, t, None], y[:, t, direction], output)
            repeated[:, t, direction] = output
    return repeated


def _states(golden: Golden, states: Array) -> Array:
    """States of the source's batch, (layers, directions, batch, width)."""
    spec = golden.case.spec
    apart = states.reshape(spec.num_layers, spec.num_directions, *states.shape[1:])
    return _with_empty_rows(golden, apart, 2)[:, golden.directions]


def _last(golden: Golden, result: Result) -> Array:
    """The final state of the top layer, (batch, directions, output)."""
    return np.swapaxes(_states(golden, np.asarray(result.h_n))[-1], 0, 1)


def _with_empty_rows(golden: Golden, array: Array, axis: int) -> Array:
    """The array with zeros for empty rows, as in ONNX Runtime and DL4J."""
    shape = list(array.shape)
    shape[axis] = len(golden.rows)
    padded = np.zeros(shape)
    padded[(slice(None),) * axis + (golden.rows,)] = array
    return padded


def _cells_of_all_steps(case: Case, ask: Ask) -> Array:
    """c after each step, (batch, steps, 1, hidden), from runs of every length."""
    finals = [np.asarray(ask(replace(case, x=case.x[:, : t + 1])).c_n) for t in range(case.steps)]
    return np.stack([final[0] for final in finals], axis=1)[:, :, None]


def _arrange(array: Array, given: str, wanted: str) -> Array:
    """Transpose to the wanted axes, merge bracketed and drop other ones of size 1."""
    letters = wanted.replace("(", "").replace(")", "")
    if set(letters) - set(given) or any(array.shape[k] > 1 for k, axis in enumerate(given) if axis not in letters):
        raise Inexpressible(f"axes {wanted}: the numbers have {given} of {array.shape}")
    gone = tuple(axis for axis, letter in enumerate(given) if letter not in letters)
    kept = "".join(letter for letter in given if letter in letters)
    moved = np.transpose(np.squeeze(array, axis=gone), [kept.index(letter) for letter in letters])
    sizes = dict(zip(letters, moved.shape, strict=True))
    shape: list[int] = []
    inside = False
    for letter in wanted:
        if letter in "()":
            inside = letter == "("
            shape += [1] if inside else []
        elif inside:
            shape[-1] *= sizes[letter]
        else:
            shape.append(sizes[letter])
    return moved.reshape(shape)
