"""What reading a file gives: LSTMs and other tensors.

A format's reader describes its tensors and hands them to a detector; it never decides by itself what an LSTM is.
Tensors are read lazily, so that a large checkpoint costs only its LSTMs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..display import Shown, Summary
from ..errors import CheckpointError, UnreadLSTMWarning
from ..layouts import explain_count
from ..model import LSTMWeights
from .codecs.limits import shortlist
from .tensor_info import TensorInfo
from .topology import ModelTopology


@dataclass(frozen=True)
class OtherTensor:
    """A tensor of no LSTM that was read.

    `note` says why where its name suggests one; `stored` gives its full name and values where the file was read whole.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    note: str = ""
    stored: TensorInfo | None = field(default=None, repr=False, compare=False)
    unread: str = ""  # the LSTM that it belongs to and that is not read
    training: bool = False  # of the training alone, such as an optimizer's moments

    def __str__(self) -> str:
        """Name, shape and type as error messages list them."""
        return f"{self.name} {self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class UnreadLSTM:
    """An LSTM that a file holds and that cannot be read."""

    name: str  # as the user knows it
    why: str

    @property
    def note(self) -> str:
        """What its tensors say of it."""
        return f"an LSTM, not read: {self.why}"

    def as_tensor(self, kind: str) -> OtherTensor:
        """The LSTM where it is an operator of a graph, of this kind."""
        return OtherTensor(self.name, (), kind, self.note, unread=self.name)


#: The note of a weight whose other form is in the file too.
REDUNDANT = "not read: a copy of what the file also holds in the form in which it was trained"
#: Why a tensor is part of no LSTM that was read.
Reason = str | UnreadLSTM


@dataclass(frozen=True)
class FoundLSTM:
    """One LSTM of a file."""

    name: str  # unique within the file; the user's own layer name where the file keeps it
    # in canonical form, every bit as stored. Where the format permits they know their spec, dtype and count at once
    # and read their numbers on first use, which may raise CheckpointError.
    weights: LSTMWeights
    layout: str  # row of `lstm_xcheck.layouts.TABLE` that the file follows
    why: str  # what made this an LSTM: names and shapes
    native_count: int | None  # numbers that the file stores for it
    source_dtype: str  # precision in the file
    tensors: tuple[str, ...] = ()  # the names used, in the file's own spelling
    notes: tuple[str, ...] = ()  # what the file leaves open or the canonical form cannot say
    # name of each array in the layout -> the tensor that holds it, where one tensor is one array
    arrays: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def explanation(self) -> str:
        """The parameter count, related to the canonical one."""
        count = self.weights.parameter_count if self.native_count is None else self.native_count
        return explain_count(self.weights.spec, count)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "spec": self.weights.spec.to_dict(),
            "dtype": self.source_dtype,
            "layout": self.layout,
            "why": self.why,
            "native_count": self.native_count,
            "canonical_count": self.weights.spec.canonical_count,
            "explanation": self.explanation,
            "tensors": list(self.tensors),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Checkpoint(Shown):
    """Everything found in one file."""

    path: Path
    format: str  # as `Format.read` names it
    lstms: tuple[FoundLSTM, ...]  # in the file's order
    other: tuple[OtherTensor, ...]  # every tensor that is part of no LSTM
    # the framework whose names other layers have, a key of `lstm_xcheck.layouts.other_layers.OTHER_LAYERS`; empty
    # for a format that carries LSTMs alone
    family: str = ""
    topology: ModelTopology = field(default_factory=ModelTopology)  # what the file says of layers and their order
    parts: tuple[Path, ...] = ()  # every file that the checkpoint consists of, where it is not `path` alone
    # sha256 of every file, as it was when it was read back; of a checkpoint that was just written
    hashes: Mapping[Path, str] = field(default_factory=dict)
    content: tuple[str, ...] = ()  # what it holds besides tensors, each with what it is

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the checkpoint consists of."""
        return self.parts or (self.path,)

    @property
    def unread(self) -> tuple[UnreadLSTM, ...]:
        """The LSTMs of the file that were not read, each once."""
        notes = {tensor.unread: tensor.note for tensor in self.other if tensor.unread}
        return tuple(UnreadLSTM(name, note.removeprefix(UnreadLSTM("", "").note)) for name, note in notes.items())

    @property
    def listed_unread(self) -> str:
        """The file with its LSTMs that were not read, as messages begin."""
        listed = "; ".join(f"{lstm.name} ({lstm.why})" for lstm in self.unread)
        return f"{self.path} holds LSTMs that are not read: {listed}"

    def warn_of_unread(self) -> None:
        """Warns the caller of the caller of LSTMs that were not read."""
        if self.unread:
            names = ", ".join(lstm.name for lstm in self.lstms)
            warnings.warn(UnreadLSTMWarning(f"{self.listed_unread}; what is read is {names}"), stacklevel=3)

    def summary(self) -> Summary:
        """A row for each LSTM, and what else the file holds."""
        rows = []
        for lstm in self.lstms:
            spec = lstm.weights.spec
            sizes = (spec.input_size, spec.hidden_size, spec.num_layers, lstm.native_count, spec.canonical_count)
            counts = ("" if size is None else f"{size:,}" for size in sizes)
            rows.append((lstm.name, spec.kind, lstm.source_dtype, lstm.layout, *counts))
        headings = ("LSTM", "kind", "type", "layout", "input", "hidden", "layers", "stored", "canonical")
        notes = [f"{lstm.name}: {lstm.note}" for lstm in self.unread]
        notes += [f"other tensors: {len(self.other)}"] if self.other else []
        notes += [f"other content: {len(self.content)}"] if self.content else []
        return Summary(f"{self.path}: {self.format}", headings, tuple(rows), tuple(notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "file": str(self.path),
            "format": self.format,
            "lstms": [lstm.to_dict() for lstm in self.lstms],
            "unread": [{"name": lstm.name, "why": lstm.why} for lstm in self.unread],
            "other": [
                {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype, "note": tensor.note}
                for tensor in self.other
            ],
            "content": list(self.content),
        }

    def require_lstms(self) -> tuple[FoundLSTM, ...]:
        """The LSTMs, at least one."""
        if self.lstms:
            return self.lstms
        if self.unread:
            listed = shortlist([f"{lstm.name} is {lstm.note}" for lstm in self.unread])
            raise CheckpointError(f"{self.path} holds no LSTM that can be read; {listed}")
        if not self.other:
            raise CheckpointError(f"{self.path} holds no LSTM; it holds no tensor at all")
        raise CheckpointError(f"{self.path} holds no LSTM; its {len(self.other)} tensors are {self.listed_tensors()}")

    def listed_tensors(self) -> str:
        """The first few other tensors with their notes."""
        # What nearly was an LSTM comes first: its note is what the user needs.
        by_note: dict[str, list[str]] = {}
        for tensor in sorted(self.other, key=lambda tensor: not tensor.note):
            by_note.setdefault(tensor.note, []).append(str(tensor))
        texts = ([f"{shortlist(names)} ({note})"] if note else names for note, names in by_note.items())
        return shortlist([text for group in texts for text in group])
