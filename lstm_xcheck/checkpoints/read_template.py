"""Reads the file of `--like` and matches new numbers to it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ..errors import CheckpointError
from ..model import LSTMSpec, LSTMWeights
from .codecs.limits import escape, shortlist
from .formats import Format, read_checkpoint
from .layout_arrays import Typed, layout_arrays, spec_as_stored
from .model import FoundLSTM
from .other_layers.model import OtherLayers
from .other_layers.renames import Rename, layer_renames, renames_by_shape
from .other_layers.store import template_arrays
from .template import Template


def read_template(path: Path, format: Format, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> Template:
    """The file that `--like` names, unless it cannot take these layers."""
    checkpoint = read_checkpoint(path, load_other_tensors=bool(other_layers.layers))
    path = checkpoint.path
    if format.folder != path.is_dir() or not format.sniff(path):
        raise CheckpointError(f"--like {path} is no {format.name} file, but should be of the format that is written")
    found = {lstm.name: lstm for lstm in checkpoint.require_lstms()}
    _refuse_other_names(path, lstms, found, layer_renames(checkpoint, other_layers))
    values: dict[str, Typed] = {}
    for name, weights in lstms.items():
        if name not in found:
            raise CheckpointError(
                f"--like {path} has no LSTM {escape(name)}, but {shortlist(sorted(found))}; "
                f"add --rename {escape(name)}=NEW with the one that is meant"
            )
        _refuse_other_shape(path, name, weights, found[name])
        if found[name].arrays:
            values.update(_lstm_values(path, name, weights, found[name]))
    values.update(template_arrays(checkpoint, other_layers, format.family))
    return Template(path, checkpoint, lstms, values)


#: What an LSTM of a template must have in common with the one that fills it.
_FIELDS = ("input_size", "hidden_size", "num_layers", "bidirectional", "proj_size", "bias")


def _refuse_other_names(
    path: Path, lstms: Mapping[str, LSTMWeights], found: Mapping[str, FoundLSTM], layers: Mapping[str, Rename]
) -> None:
    """Refuses layers under other names, with all renames at once where they are certain."""
    layout = next(iter(found.values())).layout
    ours = {name: _shape(spec_as_stored(weights, layout), weights.dtype) for name, weights in lstms.items()}
    theirs = {name: _shape(lstm.weights.spec, lstm.weights.dtype) for name, lstm in found.items()}
    renames = {**renames_by_shape("LSTM", ours, theirs), **layers}
    if renames:
        missing = ", ".join(f"{one.kind} {escape(old)}" for old, one in renames.items())
        hint = ",".join(f"{escape(old)}={escape(one.new)}" for old, one in renames.items())
        raise CheckpointError(
            f"--like {path} has no {missing}{' of this shape' if set(renames) & set(found) else ''}, "
            f"but {', '.join(escape(one.new) for one in renames.values())}; add --rename {shlex.quote(hint)}"
        )


def _shape(spec: LSTMSpec, dtype: str) -> tuple[object, ...]:
    return (*(getattr(spec, field) for field in _FIELDS), dtype)


def _refuse_other_shape(path: Path, name: str, weights: LSTMWeights, found: FoundLSTM) -> None:
    """Refuses an LSTM of another shape or precision."""
    spec, theirs = spec_as_stored(weights, found.layout), found.weights
    for field in _FIELDS:
        if getattr(spec, field) != getattr(theirs.spec, field):
            raise CheckpointError(
                f"--like {path}: {field} of {escape(name)} is {getattr(theirs.spec, field)!r}, "
                f"but should be {getattr(spec, field)!r} as in the source"
            )
    if weights.dtype != theirs.dtype:
        raise CheckpointError(f"--like {path}: {escape(name)} is {theirs.dtype}, but the source is {weights.dtype}")


def _lstm_values(path: Path, name: str, weights: LSTMWeights, found: FoundLSTM) -> dict[str, Typed]:
    """New arrays of one LSTM by the file's names."""
    arrays = layout_arrays(name, weights, found.layout)
    missing = [key for key in arrays if key not in found.arrays]
    if missing:
        raise CheckpointError(
            f"--like {path} stores no {escape(missing[0])} beside {escape(found.tensors[0])}; leave --like out"
        )
    return {found.arrays[key]: (array, weights.dtype) for key, array in arrays.items()}
