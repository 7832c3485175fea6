"""Reads TensorFlow checkpoints and SavedModel variables without TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...atomic_files import files_in
from ...errors import CheckpointError
from ..codecs.limits import escape
from ..detect.assemble import others
from ..detect.layout_names import detect_layout_names
from ..detect.user_layout import detect
from ..keras.by_hand import read_architecture
from ..keras.config import described
from ..model import Checkpoint, FoundLSTM, UnreadLSTM
from ..options import KerasOptions, ReadOptions
from .bundle import Bundle, read_bundle
from .names import GRAPH, full_names, layer_names, model_names
from .saved_model import by_name, keras2_layers, with_function

#: Keras and Sonnet before TF1, whose single kernel is the least particular.
_ROWS = ("keras", "sonnet", "tf1")
_INDEX = ".index"
#: TF1's cell without a forget bias that is added as the network runs.
_UNLIKE = "cudnn_compatible_lstm_cell/"
#: Variables of TensorFlow's and TensorFlow Addons' cells with peepholes or normalisation.
_BEYOND = re.compile(
    r"(?P<cell>.*)/(?:(?:input|forget|output)_gate_peephole_weights|(?:kernel|recurrent|state)_norm/[^/]+)", re.DOTALL
)
_WHY_UNLIKE = "this cell has TF1's names, but adds nothing to its forget gate"


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM of a checkpoint's `.index` or a SavedModel's folder."""
    bundle = read_bundle(path, _prefix(path))
    full = _full_names(bundle)
    names = model_names(bundle.entries, {key: entry.shape for key, entry in bundle.entries.items()}, full)
    keys = {name: key for key, name in names.items()}
    if len(keys) != len(names):
        raise CheckpointError(f"{path} names two variables alike; save the model's variables under names of their own")
    tensors = [replace(bundle.tensor(key), name=name) for key, name in names.items()]
    unlike = [tensor for tensor in tensors if _UNLIKE in tensor.name]
    rest = [tensor for tensor in tensors if tensor not in unlike]
    lstms, other = detect(path, rest, partial(detect_layout_names, rows=_ROWS), options)
    reasons = {t.name: UnreadLSTM(escape(t.name.rpartition("/")[0], 200), _WHY_UNLIKE) for t in unlike}
    other += others(unlike, reasons, options)
    beyond = {match["cell"]: tensor.name for tensor in rest if (match := _BEYOND.fullmatch(tensor.name))}
    extended = {lstm.name: reason for lstm in lstms if (reason := _extended(lstm, beyond))}
    left = {name: extended[lstm.name] for lstm in lstms if lstm.name in extended for name in lstm.tensors}
    other += others((tensor for tensor in rest if tensor.name in left), left, options)
    lstms = tuple(lstm for lstm in lstms if lstm.name not in extended)
    found = {lstm.name: tuple(keys[name] for name in lstm.tensors) for lstm in lstms}
    places = layer_names(found, full)
    lstms = tuple(_in_file(lstm, found[lstm.name], escape(places[lstm.name], 200)) for lstm in lstms)
    lstms, unread = _with_functions(path, lstms, full, options.keras)
    other += others((bundle.tensor(key) for key in unread), unread, options)
    parts = files_in(path) if path.is_dir() else (path, *bundle.data_files().values())
    return Checkpoint(path, "tensorflow", lstms, other, parts=parts)


def _prefix(path: Path) -> Path:
    if path.is_dir():
        return path / "variables" / "variables"
    if not path.name.endswith(_INDEX):
        raise CheckpointError(f"{path} is an index of TensorFlow's; name it PREFIX{_INDEX}, so that its data is found")
    return path.with_name(path.name.removesuffix(_INDEX))


def _full_names(bundle: Bundle) -> dict[str, str]:
    """The variables' own names; none in TF1, whose keys they are."""
    if GRAPH not in bundle.entries:
        return {}
    try:
        return full_names(bundle.text(GRAPH))
    except ValueError as error:
        raise CheckpointError(f"{bundle.path}: its object graph is damaged ({escape(error)}); copy it again") from error


def _with_functions(
    path: Path, lstms: tuple[FoundLSTM, ...], full: Mapping[str, str], options: KerasOptions
) -> tuple[tuple[FoundLSTM, ...], dict[str, UnreadLSTM]]:
    """The LSTMs with their Keras 2 config; unread ones by tensor."""
    if options != KerasOptions() and not any(lstm.layout == "keras" for lstm in lstms):
        raise CheckpointError(f"{path} holds no LSTM of Keras, so leave the options that say something of one out")
    layers = keras2_layers(path) if path.is_dir() else {}
    given = read_architecture(options.config)
    if given is not None:
        if layers:
            raise CheckpointError(f"{path} has a config of its own, so leave --keras-config out")
        layers = by_name(described(path, given).layers)
    outcomes = [with_function(lstm, full.get(lstm.tensors[0], lstm.tensors[0]), layers, options) for lstm in lstms]
    pairs = list(zip(lstms, outcomes, strict=True))
    unread = {key: outcome for lstm, outcome in pairs if isinstance(outcome, UnreadLSTM) for key in lstm.tensors}
    return tuple(outcome for outcome in outcomes if isinstance(outcome, FoundLSTM)), unread


def _extended(lstm: FoundLSTM, beyond: Mapping[str, str]) -> UnreadLSTM | None:
    """Why a Keras cell with peepholes or the like is not read."""
    cells = [name.rpartition("/")[0] for name in lstm.tensors] if lstm.layout == "keras" else []
    own = next((beyond[cell] for cell in cells if cell in beyond), "")
    why = f"its cell has variables of its own beside kernel and bias ({escape(own)})"
    return UnreadLSTM(lstm.name, why) if own else None


def _in_file(lstm: FoundLSTM, keys: tuple[str, ...], name: str) -> FoundLSTM:
    """The LSTM under the user's name, tensors by file names."""
    notes = lstm.notes
    if lstm.layout == "tf1":
        notes += ("forget_bias, a constant that no checkpoint of TensorFlow 1 holds, is taken to be 1, its default",)
    arrays = dict(zip(lstm.arrays, keys, strict=True))
    return replace(lstm, name=name, tensors=keys, notes=notes, arrays=arrays)
