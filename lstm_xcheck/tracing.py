"""`lx.trace`: gates and states of an LSTM on an input of one's choice."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array, to_numpy
from .checkpoints.codecs.limits import escape, shortlist
from .checkpoints.formats import load
from .errors import SpecError, UserError
from .model import Case, LSTMSpec, LSTMWeights
from .oracle.trace import Trace
from .oracle.trace import trace as trace_case

#: Larger random LSTMs would fill the memory with numbers that nobody reads.
_MAX_PARAMETERS = 100_000_000
#: The first bytes of every .npy file.
_NPY = b"\x93NUMPY"
_DEFAULT_STEPS = 5


def trace(
    lstm: str | PathLike[str] | LSTMWeights | LSTMSpec | Case,
    x: Any = None,
    *,
    layer_name: str | None = None,
    one_hot: Sequence[int] | None = None,
    depth: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    init: str = "probe",
) -> Trace:
    """Gates i, f, g, o and states c, h of every step, in float64.

    Args:
        lstm: a checkpoint file; or weights; or a spec, for random weights; or a case with its own input and states.
        x: the input, shape (batch, steps, input), (steps, input) or (steps,) for one feature; or a `.npy` file of it.
            Random by default.
        layer_name: which LSTM of a file, where it holds several.
        one_hot: instead of `x`, the index of each one-hot step.
        depth: the width of a one-hot step.
        steps: of a random input, 5 by default.
        seed: of random weights and of a random input.
        init: how to draw random weights: probe, keras, torch, ...

    Returns:
        The trace: `.cells[layer][direction]` with arrays i, f, g, o, c of shape (batch, steps, hidden) and h of shape
        (batch, steps, output), `.result` with the outputs, and `.plot()`. It prints as a table.

    Raises:
        CheckpointError: for a file that cannot be read.
        UserError: for an input that is none, or of another width than the LSTM reads.

    >>> run = trace(LSTMSpec(input_size=1, hidden_size=2), [1.0, 2.0, 3.0])
    >>> run.cells[0][0].f.shape
    (1, 3, 2)
    """
    if isinstance(lstm, Case):
        if x is not None or one_hot is not None or steps is not None:
            raise UserError("a Case has an input of its own; pass its weights to trace another one")
        return trace_case(lstm)
    if isinstance(lstm, (str, PathLike)):
        lstm, _ = load_lstm(Path(lstm), layer_name)
    elif isinstance(lstm, LSTMSpec):
        if lstm.parameter_count > _MAX_PARAMETERS:
            raise UserError(
                f"this LSTM has {lstm.parameter_count:,} parameters; trace one of {_MAX_PARAMETERS:,} or fewer"
            )
        lstm = LSTMWeights.random(lstm, seed=seed, init=init)
    elif not isinstance(lstm, LSTMWeights):
        raise SpecError(f"got a {type(lstm).__name__}, but this should be a file, LSTMWeights, an LSTMSpec or a Case")
    return trace_case(Case(weights=lstm, x=_input_of(lstm.spec, x, one_hot, depth, steps, seed)))


def load_lstm(file: Path, name: str | None) -> tuple[LSTMWeights, str]:
    """The LSTM of this name, or the only one, and its origin in words."""
    found = load(file)
    names = shortlist([escape(key) for key in found])
    if name is None and len(found) == 1:
        name = next(iter(found))
    if name is None:
        raise UserError(f"{file} holds {len(found)} LSTMs; choose one by --layer-name: {names}")
    if name not in found:
        raise UserError(f"{file} has no LSTM named {name!r}; it has {names}")
    return found[name], f"{escape(name) or 'the LSTM'} of {file}"


def _input_of(
    spec: LSTMSpec, given: Any, indices: Sequence[int] | None, depth: int | None, steps: int | None, seed: int
) -> Array:
    """The input that is given, one-hot or random, shape (batch, steps, features)."""
    choices = {"an input": given, "--one-hot": indices, "--steps": steps}
    names = [name for name, choice in choices.items() if choice is not None]
    if len(names) > 1:
        raise UserError(f"{' and '.join(names)} are both inputs; give one")
    if depth is not None and indices is None:
        raise UserError(f"--depth {depth} belongs to --one-hot, which is missing")
    if indices is not None:
        x = _one_hot(indices, depth)
    elif given is None:
        plain = LSTMSpec(input_size=spec.input_size, hidden_size=1)
        x = Case.random(plain, steps=steps or _DEFAULT_STEPS, batch=1, seed=seed).x
    else:
        x = read_npy(Path(given)) if isinstance(given, (str, PathLike)) else _batch(to_numpy(given), "the input")
    if x.shape[2] != spec.input_size:
        raise UserError(f"the input has {x.shape[2]} features per step, but the LSTM reads {spec.input_size}")
    return x


def _one_hot(indices: Sequence[int], depth: int | None) -> Array:
    """One-hot rows from their indices."""
    if depth is None:
        raise UserError("--one-hot needs --depth, the width of a step, such as --depth 10")
    if not 1 <= depth <= 1_000_000:
        raise UserError(f"--depth is {depth}, but should be from 1 to 1,000,000")
    for index in indices:
        if not 0 <= index < depth:
            raise UserError(f"--one-hot: index {index} should be from 0 to {depth - 1}, since --depth is {depth}")
    x = np.zeros((1, len(indices), depth))
    x[0, np.arange(len(indices)), np.asarray(indices, int)] = 1.0
    return x


def read_npy(path: Path) -> Array:
    """The numbers of a file, with shape (batch, steps, features); never unpickles."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "missing"
        raise UserError(f"--input {path}: is {found}, but should be a .npy file")
    with path.open("rb") as file:
        start = file.read(len(_NPY))
    if start != _NPY:
        raise UserError(f"--input {path}: is no .npy file; write it with numpy.save")
    try:
        # Mapped, not read: a header that promises more than the file holds fails before anything is allocated.
        array = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:
        raise UserError(
            f"--input {path}: is damaged or holds Python objects ({error}); save an array of numbers"
        ) from error
    if array.ndim == 1:
        raise UserError(_no_input(f"--input {path}:", array))
    return _batch(array, f"--input {path}:")


def _batch(array: Array, name: str) -> Array:
    """The numbers as float64 with axes (batch, steps, features)."""
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2, 3) or 0 in array.shape:
        raise UserError(_no_input(name, array))
    missing: dict[int, tuple[int, ...]] = {1: (0, 2), 2: (0,), 3: ()}
    return np.expand_dims(np.asarray(array, dtype=np.float64), missing[array.ndim])


def _no_input(name: str, array: Array) -> str:
    return (
        f"{name} has shape {array.shape} and type {array.dtype}, but should be numbers of shape "
        "(steps, features) or (batch, steps, features)"
    )
