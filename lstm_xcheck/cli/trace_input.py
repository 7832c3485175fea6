"""The input of `trace`: a .npy file, indices, numbers or random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import UserError
from ..model import Case, LSTMSpec
from .parsed_options import TraceOptions

#: The first bytes of every .npy file.
_NPY = b"\x93NUMPY"
_CHOICES = ("input_file", "one_hot", "values", "steps")
_DEFAULT_STEPS = 5


def read_input(spec: LSTMSpec, options: TraceOptions) -> tuple[Array, str]:
    """The input, shape (batch, steps, features), and its description in words."""
    given = [name for name in _CHOICES if getattr(options, name) is not None]
    if len(given) > 1:
        names = " and ".join("--" + name.replace("_file", "").replace("_", "-") for name in given)
        raise UserError(f"{names} are both inputs; give one")
    if options.depth is not None and options.one_hot is None:
        raise UserError(f"--depth {options.depth} belongs to --one-hot, which is missing")
    if options.input_file is not None:
        x, content = read_npy(options.input_file), str(options.input_file)
    elif options.one_hot is not None:
        x, content = one_hot(options.one_hot, options.depth), f"one-hot {options.one_hot}"
    elif options.values is not None:
        x, content = numbers(options.values), "the values given"
    else:
        plain = LSTMSpec(input_size=spec.input_size, hidden_size=1)
        x = Case.random(plain, steps=options.steps or _DEFAULT_STEPS, batch=1, seed=options.seed).x
        content = f"random (seed {options.seed})"
    if x.shape[2] != spec.input_size:
        raise UserError(f"the input has {x.shape[2]} features per step, but the LSTM reads {spec.input_size}")
    return x, content


def one_hot(text: str, depth: int | None) -> Array:
    """One-hot rows from their indices, such as `4,7`.

    >>> one_hot("2,0", depth=3).tolist()
    [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
    """
    if depth is None:
        raise UserError(f"--one-hot {text} needs --depth, the width of a step, such as --depth 10")
    if not 1 <= depth <= 1_000_000:
        raise UserError(f"--depth is {depth}, but should be from 1 to 1,000,000")
    indices = _parsed("--one-hot", text, int, "whole numbers such as 4,7,8,4")
    for index in indices:
        if not 0 <= index < depth:
            raise UserError(f"--one-hot: index {index} should be from 0 to {depth - 1}, since --depth is {depth}")
    x = np.zeros((1, len(indices), depth))
    x[0, np.arange(len(indices)), indices] = 1.0
    return x


def numbers(text: str) -> Array:
    """Steps of one feature by commas, or of several by semicolons.

    >>> numbers("1,2,3,4").tolist()
    [[[1.0], [2.0], [3.0], [4.0]]]
    """
    wanted = "numbers such as 1,2,3,4, or 1,2;3,4 for two features"
    if ";" not in text:
        text = text.replace(",", ";")
    steps = [_parsed("--values", step, float, wanted) for step in text.split(";")]
    if len({len(step) for step in steps}) != 1:
        raise UserError(
            f"--values: the steps have {', '.join(str(len(step)) for step in steps)} features; make them equal"
        )
    return np.array([steps])


def _parsed(option: str, text: str, kind: Callable[[str], Any], wanted: str) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option}: {text!r} should be {wanted}") from None


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
    if array.dtype.kind not in "fiub" or array.ndim not in (2, 3) or 0 in array.shape:
        raise UserError(
            f"--input {path}: has shape {array.shape} and type {array.dtype}, but should be numbers of shape "
            "(steps, features) or (batch, steps, features)"
        )
    return np.asarray(array if array.ndim == 3 else array[None], dtype=np.float64)
