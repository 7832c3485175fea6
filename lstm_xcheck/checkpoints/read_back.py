"""Reads a written file back and compares every bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import CheckpointError, SpecError
from ..model import LSTMSpec, LSTMWeights
from ..model.weights import owned_cell, same_cell
from .codecs.limits import escape, shortlist
from .formats import Format
from .layout_arrays import cell_as_stored, keras_name, spec_as_stored
from .model import Checkpoint, FoundLSTM
from .options import ReadOptions


def read_back(format: Format, temporary: Path, target: Path, options: ReadOptions) -> Checkpoint:
    """What a file holds that was just written."""
    try:
        return format.read(temporary, options)
    except CheckpointError as error:
        raise CheckpointError(f"{target} was not written: it could not be read back: {escape(error, 300)}") from error


def compare_lstms(
    target: Path, back: Checkpoint, written: Mapping[str, LSTMWeights], *, exact: bool
) -> dict[str, LSTMWeights]:
    """Refuses a file that differs in any bit; returns its LSTMs by name.

    One cell is read at a time, and arrays that are the same as those written are not kept twice.
    """
    result: dict[str, LSTMWeights] = {}
    for name, found in matched(target, back, written, exact=exact).items():
        ours = written[name]
        try:
            spec = spec_as_stored(ours, found.layout)
        except SpecError as error:
            raise CheckpointError(f"{target} was not written: {escape(error, 300)}") from error
        differing = [
            f"{field} {getattr(spec, field)!r}"
            for field in spec.to_dict()
            if getattr(spec, field) != getattr(found.weights.spec, field)
        ]
        if differing:
            raise CheckpointError(
                f"{target} was not written: the format cannot say {', '.join(differing)} of {escape(name)}; "
                f"choose another with --to{_or_without(differing)}"
            )
        kept = _same_numbers(ours, spec, found)
        if kept is None:
            raise CheckpointError(
                f"{target} was not written: the numbers of {escape(name)} read back are not those written; report this"
            )
        result[found.name] = kept
    return result


def _or_without(differing: list[str]) -> str:
    """The hint to leave clips out, if only they differ."""
    names = [text.partition(" ")[0] for text in differing]
    clips = all(name.endswith("_clip") for name in names)
    return ", or leave it out with " + " ".join(f"--without {name}" for name in names) if clips else ""


def _same_numbers(ours: LSTMWeights, spec: LSTMSpec, found: FoundLSTM) -> LSTMWeights | None:
    """The written arrays, if the file has the same bits; else None."""
    if found.weights.dtype != ours.dtype:
        return None
    rows = []
    for layer in range(spec.num_layers):
        row = []
        for direction in range(spec.num_directions):
            cell = cell_as_stored(ours.cell(layer, direction), found.layout, ours.dtype)
            expected = owned_cell(cell, ours.dtype)
            if not same_cell(expected, found.weights.cell(layer, direction)):
                return None  # what was read is checked, and so is what has the same bits
            row.append(expected)
        rows.append(tuple(row))
    return LSTMWeights.of_checked(spec, tuple(rows), ours.dtype)


def matched(
    target: Path, back: Checkpoint, written: Mapping[str, LSTMWeights], *, exact: bool = True
) -> dict[str, FoundLSTM]:
    """The LSTM read back for each written one, by name or order."""
    found = {lstm.name: lstm for lstm in back.lstms}
    names = shortlist(sorted(found)) or "none"
    spelled = {name: name if name in found else keras_name(name) for name in written}
    unique = len(set(spelled.values())) == len(written)
    if unique and set(spelled.values()) <= set(found) and (not exact or len(found) == len(written)):
        return {name: found[label] for name, label in spelled.items()}
    if len(found) != len(written) or not exact:
        raise CheckpointError(f"{target} was not written: {len(written)} LSTMs were written, but {names} read")
    return dict(zip(written, back.lstms, strict=True))
