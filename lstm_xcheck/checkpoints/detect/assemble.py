"""Assembles LSTMs from the tensors that a detector puts together."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...arrays import Array
from ...errors import CheckpointError, SpecError
from ...layouts import from_layout, read_cell, spec_of
from ...layouts.table import Layout
from ...model import CellWeights, DeferredWeights, LSTMSpec, LSTMWeights
from ...model.weights import ReadCell, checked_cell
from ..codecs.lazy_bytes import file_version, refuse_changed
from ..codecs.limits import FLOAT_SIZES, escape
from ..model import FoundLSTM, OtherTensor, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo

#: The LSTMs of a file, and every tensor that belongs to none.
Detected = tuple[tuple[FoundLSTM, ...], tuple[OtherTensor, ...]]
#: Finds the LSTMs among the tensors of a file.
Detector = Callable[[Path, Sequence[TensorInfo], ReadOptions], Detected]


def others(
    tensors: Iterable[TensorInfo], reasons: Mapping[str, Reason], options: ReadOptions
) -> tuple[OtherTensor, ...]:
    """Lists the tensors of no LSTM with reasons, loaded on request."""
    return tuple(_other(tensor, reasons.get(tensor.name, ""), options) for tensor in tensors)


def _other(tensor: TensorInfo, reason: Reason, options: ReadOptions) -> OtherTensor:
    values = _loaded(tensor, options) if options.load_other_tensors else None
    note, unread = (reason.note, reason.name) if isinstance(reason, UnreadLSTM) else (reason, "")
    name, training = escape(tensor.name, 200), is_training_state(tensor)
    return OtherTensor(name, tensor.shape, tensor.dtype, note, values, unread, training)


def names_of(full: str, scope: str) -> Iterator[str]:
    """A tensor's own names and those of the modules that it is in."""
    for name in {full, full[len(scope) :]}:
        yield name
        yield from (name[: match.start()] for match in re.finditer(r"[./]", name))


def unread_state(state: str, name: str) -> UnreadLSTM:
    """An initial state that is stored and is not zero."""
    return UnreadLSTM(f"{state} of {name}", f"a state that {name} begins with is not zero")


#: Types of quantised PyTorch tensors.
_QUANTISED = frozenset({"qint8", "quint8", "qint32"})


def why_unsupported(dtypes: Iterable[str]) -> str:
    """Why weights of these types are not read; empty if they are."""
    unsupported = [dtype for dtype in dtypes if dtype not in FLOAT_SIZES]
    if _QUANTISED & set(unsupported):
        return f"stored as {unsupported[0]}, a quantised weight (save the model before it is quantised)"
    return f"stored as {unsupported[0]}, expected one of {', '.join(FLOAT_SIZES)}" if unsupported else ""


def why_unreadable(tensors: Iterable[TensorInfo]) -> str:
    """Why no LSTM is made of these weights; empty if one is."""
    listed = list(tensors)
    owners = sorted({tensor.owner for tensor in listed if tensor.owner})
    if owners:
        advice = "save the parameters alone, as model.state_dict(), and read that"
        return f"part of an object of {owners[0]}, a class that may compute anything; {advice}"
    unread = [tensor.unread for tensor in listed if tensor.unread]
    return unread[0] if unread else why_unsupported(tensor.dtype for tensor in listed)


def _loaded(tensor: TensorInfo, options: ReadOptions) -> TensorInfo:
    """The tensor with its values; training state and unknown types keep none."""
    is_scalar = tensor.dtype == "int64" and tensor.shape == ()
    if is_training_state(tensor):
        return tensor
    if options.count_loaded:
        size = math.prod(tensor.shape) * FLOAT_SIZES.get(tensor.dtype, 1)
        options.count_loaded(size, "its other tensors")
    if tensor.dtype not in FLOAT_SIZES and not is_scalar:
        with suppress(CheckpointError):  # finds where it lies, for who loads it later
            _ = tensor.check and tensor.check()
        return tensor
    values = tensor.load()
    return replace(tensor, load=lambda: values)


def unique_names(path: Path, found: Sequence[tuple[FoundLSTM, str]]) -> tuple[FoundLSTM, ...]:
    """LSTMs under short names where unique, else full ones."""
    shorts = Counter(lstm.name for lstm, _ in found)
    lstms = tuple(
        lstm if shorts[lstm.name] == 1 else replace(lstm, name=place.rstrip("./") or "(top)") for lstm, place in found
    )
    twice = [name for name, times in Counter(lstm.name for lstm in lstms).items() if times > 1]
    if twice:
        raise CheckpointError(
            f"{path} has several LSTMs named {escape(twice[0])}; rename all but one and save it again"
        )
    return lstms


def build(
    path: Path, name: str, layout: Layout, tensors: Mapping[str, TensorInfo], spec: LSTMSpec | None = None
) -> LSTMWeights:
    """Canonical weights from tensors under the layout's own names.

    The values are read at once unless every tensor has a `check`; then on first use, from the file as it is now.
    """
    types = sorted({tensor.dtype for tensor in tensors.values()})
    if len(types) != 1:
        raise CheckpointError(
            f"{path}: LSTM {escape(name)} mixes {' and '.join(types)}, but should be of one type; convert it first"
        )
    checks = [tensor.check for tensor in tensors.values() if tensor.check]
    with _as_checkpoint_error(path, name):
        if len(checks) < len(tensors):
            arrays: dict[str, Array] = {key: tensor.load() for key, tensor in tensors.items()}
            return from_layout(arrays, layout, spec=spec, dtype=types[0])
        for check in checks:
            check()
        known = spec_of({key: tensor.shape for key, tensor in tensors.items()}, layout, spec)
    return deferred(path, name, known, types[0], partial(_read_cell, tensors, layout))


def deferred(path: Path, name: str, spec: LSTMSpec, dtype: str, read: ReadCell) -> LSTMWeights:
    """Weights that are read from the file on first use."""
    then = file_version(path)

    def checked(layer: int, direction: int) -> CellWeights:
        refuse_changed(path, then)
        with _as_checkpoint_error(path, name):
            return checked_cell(spec, layer, direction, read(layer, direction), dtype)

    return DeferredWeights.of(spec, dtype, checked)


def _read_cell(tensors: Mapping[str, TensorInfo], layout: Layout, layer: int, direction: int) -> CellWeights:
    shapes = {key: tensor.shape for key, tensor in tensors.items()}
    return read_cell(shapes, lambda key: tensors[key].load(), layout, layer, direction)


@contextmanager
def _as_checkpoint_error(path: Path, name: str) -> Iterator[None]:
    """Re-raises SpecError and OSError as CheckpointError."""
    try:
        yield
    except SpecError as error:
        raise CheckpointError(f"{path}: LSTM {escape(name)} cannot be read: {escape(error, 400)}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {escape(error.strerror or error)}") from error


#: What training leaves in a file beside the model: optimizers' slots, learning rates, states of random generators.
#: As the first part of a name in a tree; a state dict that is no container has layers of such names.
_STATE_FIRST = re.compile(r"(?:optim|optimizer|opt_state|lr_scheduler|rngs?)(?:_[a-z]+)*")
_STATE_ANYWHERE = re.compile(r"seed_generator(_state)?|rngs")
#: The same as entries of a checkpoint that is a dict of containers, by the names that people and trainers give them.
_CONTAINER = re.compile(
    r"(?:\w*_)?(?:optimi[sz]er\w*|optims?(?:_\w+)?|scheduler\w*"
    r"|(?:opt|sched|rng|amp|scaler|grad_?scaler|scaling|callback|loop|hparam|hyper_?parameter|metric)s?"
    r"(?:_?states?)?(?:_dicts?)?)",
    re.IGNORECASE,
)
#: Single numbers beside them: how long was trained, and how well.
_COUNTER = re.compile(
    r"best_\w+|(?:\w+_)?(?:epochs?|steps?|iters?|iterations?|loss|acc|accuracy|score|lr|learning_rate)", re.IGNORECASE
)


def is_training_state(tensor: TensorInfo) -> bool:
    """Whether a tensor belongs to training alone.

    `optimizer/vars/3` does, and `state.0.exp_avg` within `optim_state_dict`; `layers/dense/vars/0` does not, nor does
    the layer of a state dict that is called `scaler`.
    """
    parts = re.split(r"[./]", tensor.name)
    if _COUNTER.fullmatch(tensor.name) and tensor.shape == ():
        return True
    if _CONTAINER.fullmatch(re.split(r"[./]", tensor.scope)[0]):
        return True
    return bool(_STATE_FIRST.fullmatch(parts[0])) or any(_STATE_ANYWHERE.fullmatch(part) for part in parts[:-1])
