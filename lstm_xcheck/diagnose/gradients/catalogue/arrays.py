"""Finished gradients in the wrong place or order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

import numpy as np

from ....arrays import Array
from ....model import GATES, Case
from ..mistake import Arrays, ArraysChange, GradientMistake
from .gates import order_words

#: Suffix of an id -> the arrays in words and by kind.
_KINDS = {
    "": ("W, U and the bias", ("W", "U", "b", "b_r")),
    "-W": ("W", ("W",)),
    "-U": ("U", ("U",)),
    "-b": ("the bias", ("b", "b_r")),
    "-WU": ("W and U", ("W", "U")),
}


def _each(change: Callable[[Array], Array], kinds: Sequence[str]) -> ArraysChange:
    """Change every array of these kinds, where its shape stays."""

    def changed(name: str, array: Array) -> Array:
        if name.rpartition(".")[2] not in kinds:
            return array
        new = change(array)
        return new if new.shape == array.shape else array

    return lambda arrays: {name: changed(name, array) for name, array in arrays.items()}


def _renamed(new_name: Callable[[str], str]) -> ArraysChange:
    """Give each array the numbers of another one of its shape."""

    def change(arrays: Arrays) -> Arrays:
        moved = {name: arrays.get(new_name(name), array) for name, array in arrays.items()}
        return {name: moved[name] if moved[name].shape == array.shape else array for name, array in arrays.items()}

    return change


def _gates(kinds: tuple[str, ...], index: list[int]) -> ArraysChange:
    return _each(lambda array: array[index], kinds)


def _reshaped_blocks(array: Array) -> Array:
    """Each gate stored transposed and viewed as if it were not."""
    return np.stack([gate.T.reshape(gate.shape) for gate in array])


def _reshaped(array: Array) -> Array:
    """All gates stored as (columns, 4 * hidden), and viewed without a transpose."""
    return array.reshape(-1, array.shape[-1]).T.reshape(array.shape)


def _reshaped_other_way(array: Array) -> Array:
    """The inverse of the same."""
    return array.reshape(array.shape[-1], -1).T.reshape(array.shape)


#: Id -> in words, the change, and how to undo it.
_SHAPES: dict[str, tuple[str, Callable[[Array], Array], str]] = {
    "transposed": ("transposed in each gate", lambda a: a.swapaxes(-1, -2), "g.swapaxes(-1, -2)"),
    "reshaped": (
        "stored as (columns, 4 hidden) and reshaped, not transposed", _reshaped,
        "g.reshape(g.shape[-1], -1).T.reshape(g.shape)",
    ),
    "reshaped-other-way": (
        "reshaped to (columns, 4 hidden), not transposed", _reshaped_other_way,
        "g.reshape(-1, g.shape[-1]).T.reshape(g.shape)",
    ),
    "reshaped-gates": ("of each gate reshaped, not transposed", _reshaped_blocks, ""),
    "units-reversed": ("with the units in reverse order", lambda a: a[:, ::-1], "g[:, ::-1]"),
    "columns-reversed": ("with the columns in reverse order", lambda a: a[..., ::-1], "g[..., ::-1]"),
    "gates-interleaved": (
        "with the gates interleaved unit by unit, read as blocks",
        lambda a: a.swapaxes(0, 1).reshape(a.shape), "g.reshape(g.shape[1], 4, -1).swapaxes(0, 1).reshape(g.shape)",
    ),
}  # fmt: skip

#: Id -> in words, and the change of x's gradient.
_X: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "x-reversed": ("the gradient of x is reversed in time", lambda a: a[:, ::-1]),
    "x-batch-and-steps-exchanged": ("the gradient of x has batch and steps exchanged", lambda a: a.swapaxes(0, 1)),
    "x-viewed-batch-first": (
        "the gradient of x, time-major, was reshaped, not transposed",
        lambda a: a.swapaxes(0, 1).reshape(a.shape),
    ),
    "x-rows-reversed": ("the gradient of x has its rows in reverse order", lambda a: a[::-1]),
    "x-shifted-later": ("the gradient of x is one step late", lambda a: np.roll(a, 1, axis=1)),
    "x-shifted-earlier": ("the gradient of x is one step early", lambda a: np.roll(a, -1, axis=1)),
}


def _state_rows(case: Case) -> Iterator[tuple[str, str, list[int]]]:
    layers, directions = case.spec.num_layers, case.spec.num_directions
    rows = np.arange(layers * directions).reshape(layers, directions)
    if layers > 1:
        yield "layers-exchanged", "of layers in reverse order", rows[::-1].ravel().tolist()
    if directions > 1:
        yield "directions-exchanged", "of the two directions exchanged", rows[:, ::-1].ravel().tolist()
    if layers > 1 and directions > 1:
        yield "direction-major", "stacked by direction, not by layer", rows.T.ravel().tolist()


def _of_cells(case: Case) -> Iterator[GradientMistake]:
    """Gradients of directions, layers and states that stand in each other's place."""
    layers, directions = case.spec.num_layers, case.spec.num_directions

    def other(name: str, kinds: Sequence[str], exchange: str) -> str:
        layer, _, rest = name.partition(".")
        direction, _, kind = rest.partition(".")
        if kind not in kinds:
            return name
        if exchange == "directions":
            return f"{layer}.{1 - int(direction)}.{kind}"
        return f"{layers - 1 - int(layer)}.{direction}.{kind}"

    for exchange in ["directions"] * (directions == 2) + ["layers"] * (layers > 1):
        for suffix, (words, kinds) in _KINDS.items():
            for states in (False, True) if suffix == "" else (False,):
                cells = np.arange(layers * directions).reshape(layers, directions)
                order = (cells[:, ::-1] if exchange == "directions" else cells[::-1]).ravel()
                change = _renamed(lambda name, k=kinds, e=exchange: other(name, k, e))  # type: ignore[misc]
                rows = _each(lambda array, o=order: array[o], ("h0", "c0"))  # type: ignore[misc]
                yield GradientMistake(
                    id=f"gradient-{exchange}-exchanged{suffix.lower()}{'-and-states' if states else ''}",
                    title=f"gradients of {words}{' and of the initial states' if states else ''} exchanged between "
                    + ("the two directions" if exchange == "directions" else "layers (first for last)"),
                    explanation=f"Each gradient is right but in another's place: {exchange} are exchanged.",
                    fix="Assign each gradient to the parameter it belongs to.",
                    arrays=(lambda a, c=change, r=rows: r(c(a))) if states else change,  # type: ignore[misc]
                )
    for name, words, index in _state_rows(case):
        for kinds in (("h0", "c0"), ("h0",), ("c0",)):
            yield GradientMistake(
                id=f"gradient-{'-and-'.join(kinds)}-{name}",
                title=f"gradients of {' and '.join(kinds)} {words}",
                explanation="The rows of initial states are numbered layer by layer, in each layer by direction.",
                fix="Stack the gradients of initial states as the states are: layer 0 forward, layer 0 backward, ...",
                arrays=_each(lambda array, i=index: array[i], kinds),  # type: ignore[misc]
            )
    if case.spec.output_size == case.spec.hidden_size:
        yield GradientMistake(
            id="gradient-h0-c0-exchanged",
            title="gradients of h0 and c0 exchanged",
            explanation="The gradient of h0 is given as that of c0, and the other way round.",
            fix="Return the gradients of the states in the order h, c.",
            arrays=_renamed(lambda name: {"h0": "c0", "c0": "h0"}.get(name, name)),
        )


def entries(case: Case) -> Iterator[GradientMistake]:
    """Gates in another order, transposed kernels, exchanged arrays."""
    for suffix, (words, kinds) in _KINDS.items():
        for letters in permutations(GATES):
            if letters != GATES:
                order, index = "".join(letters), [GATES.index(gate) for gate in letters]
                back = [letters.index(gate) for gate in GATES]
                yield GradientMistake(
                    id=f"gradient-gates-{order}{suffix.lower()}",
                    title=f"{order_words(order)} in the gradients of {words}",
                    explanation=f"The gradients of {words} have the gates in the order {', '.join(letters)}.",
                    fix=f"Put the four blocks of the gradients of {words} into the order of the weights.",
                    code="\n".join(_code(kind, f"g[{back}]") for kind in kinds),
                    arrays=_gates(kinds, index),
                )
    for kind in ("W", "U"):
        for name, (words, change, undo) in _SHAPES.items():
            yield GradientMistake(
                id=f"gradient-{kind.lower()}-{name}",
                title=f"the gradient of {kind} {words}",
                explanation=f"The numbers are right, but the gradient of {kind} is {words}.",
                fix=f"Give the gradient of {kind} in the layout of {kind} itself.",
                code=_code(kind, undo) if undo else "",
                arrays=_each(change, (kind,)),
            )
    for name, (words, change) in _X.items():
        yield GradientMistake(
            id=f"gradient-{name}",
            title=words,
            explanation=f"The numbers are right, but {words}.",
            fix="Give the gradient of x as (batch, steps, input), in the order of x.",
            arrays=_each(change, ("x",)),
        )
    yield from _of_cells(case)


def _code(kind: str, expression: str) -> str:
    """A line that undoes a change in every cell."""
    return f'gradients |= {{n: {expression} for n, g in gradients.items() if n.endswith(".{kind}")}}'
