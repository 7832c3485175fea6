"""What reading a file gives: the LSTMs in it, and everything else by name.

A format file turns its bytes into `TensorInfo`s and hands them to `detect`; it never decides by itself what an
LSTM is. Tensors are read lazily, so that a large checkpoint costs only its LSTMs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..arrays import Array
from ..errors import CheckpointError
from ..model import LSTMWeights
from .codecs.limits import shortlist
from .keras.config import KerasConfig
from .topology import GraphModel


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file, described but not read yet.

    Attributes:
        name: full name in the file, such as `state_dict.encoder.weight_ih_l0`.
        shape: as stored.
        dtype: `float32`, `bfloat16`, `int64`, ...
        load: reads the values; bfloat16 comes widened, exactly, to float32. Raises CheckpointError.
        scope: leading part of the name that is only a container of the file, such as `state_dict.`.
        check: for a tensor that may be loaded long after the reader has returned, which is what makes an LSTM's
            weights lazy: raises CheckpointError when the file cannot hold what it claims, without reading a value.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], Array]
    scope: str = ""
    check: Callable[[], None] | None = None


@dataclass(frozen=True)
class OtherTensor:
    """A tensor that is part of no LSTM; `note` says why where its name suggests one.

    `stored` gives its full name and values where the file was read whole.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    note: str = ""
    stored: TensorInfo | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """Name, shape and type as error messages list them."""
        return f"{self.name} {self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class FoundLSTM:
    """One LSTM of a file.

    Attributes:
        name: unique within the file; the user's own layer name where the file keeps it.
        weights: in canonical form, every bit as stored. Where the format permits they know their spec, dtype and
            count at once and read their numbers on first use, which may raise CheckpointError.
        layout: row of `lstm_xcheck.layouts.TABLE` that the file follows.
        why: what made this an LSTM: names and shapes.
        native_count: numbers that the file stores for it.
        source_dtype: precision in the file.
        tensors: the names used, in the file's own spelling.
        notes: what the file leaves open or the canonical form cannot say.
    """

    name: str
    weights: LSTMWeights
    layout: str
    why: str
    native_count: int | None
    source_dtype: str
    tensors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KerasModel:
    """What a Keras file says of its layers: the user's names by place, and the config where there is one."""

    names: Mapping[str, str]
    config: KerasConfig | None


@dataclass(frozen=True)
class Checkpoint:
    """Everything found in one file.

    Attributes:
        path: the file.
        format: as `Format.read` names it.
        lstms: in the file's order.
        other: every tensor that is part of no LSTM.
        order: names of all tensors, where their order in the file is that of the layers.
        keras: what a Keras file adds.
        graph: what a graph of operators adds, where it was read whole.
        parts: every file that the checkpoint consists of, where it is not `path` alone.
        hashes: sha256 of every file, as it was when it was read back; of a checkpoint that was just written.
    """

    path: Path
    format: str
    lstms: tuple[FoundLSTM, ...]
    other: tuple[OtherTensor, ...]
    order: tuple[str, ...] = ()
    keras: KerasModel | None = None
    graph: GraphModel | None = None
    parts: tuple[Path, ...] = ()
    hashes: Mapping[Path, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the checkpoint consists of; a changed byte in any of them may change what is read."""
        return self.parts or (self.path,)

    def require_lstms(self) -> tuple[FoundLSTM, ...]:
        """The LSTMs, at least one.

        Raises:
            CheckpointError: when there is none; the message says what the file holds instead.
        """
        if self.lstms:
            return self.lstms
        # What nearly was an LSTM comes first: its note is what the user needs.
        other = sorted(self.other, key=lambda tensor: not tensor.note)
        if not other:
            raise CheckpointError(f"{self.path} holds no LSTM; it holds no tensor at all")
        listed = [str(tensor) + (f" ({tensor.note})" if tensor.note else "") for tensor in other]
        raise CheckpointError(f"{self.path} holds no LSTM; its {len(other)} tensors are {shortlist(listed)}")


class Reader(Protocol):
    """One file format that can be read."""

    def sniff(self, path: Path) -> bool:
        """Whether the content, not the name, is of this format. Must not raise on any readable file."""

    def read(self, path: Path) -> Checkpoint:
        """Every LSTM in the file.

        Raises:
            CheckpointError: for a file that is damaged, hostile or ambiguous; nothing else.
        """


class Writer(Protocol):
    """One file format that can be written: a module with this function.

    The registry does all the rest: it refuses to overwrite, splits stacks for formats that have none, gives a temporary
    path with the format's suffix in the folder of the destination, reads the file back, compares every bit and renames.
    """

    def write(self, path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None) -> None:
        """Write the LSTMs, and nothing else, to a path that does not exist yet.

        A writer of a format that `beside_write.FAMILIES` names takes `other_layers` too: the layers to write with them.

        Args:
            path: where to; one file, no other is touched.
            lstms: by the name each is to be found under when the file is read again, in their order. The weights'
                dtype is kept; a bias scheme that the format lacks is adapted by `to_layout`.
            like: a file of the same format: its keys, its other tensors and its structure are kept, and its LSTMs of
                these names, all present and of the same shapes, get the new values.

        Raises:
            CheckpointError: when the format cannot say what a spec or a name says; nothing else but OSError.
        """
