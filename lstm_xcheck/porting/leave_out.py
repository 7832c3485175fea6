"""What `--leave-out` leaves behind, by the names of tensors and layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..checkpoints import Checkpoint, OtherTensor
from ..checkpoints.codecs.limits import shortlist
from ..checkpoints.detect.assemble import names_of
from ..checkpoints.model import REDUNDANT
from ..errors import CheckpointError, UserError


def left_out(checkpoint: Checkpoint, names: Sequence[str]) -> tuple[Checkpoint, list[str]]:
    """The checkpoint without what is named, and what that was.

    A name is that of an LSTM, a tensor, or a module whose tensors all are meant. Copies of what an LSTM was read from
    are left out in any case.

    Raises:
        UserError: for a name of nothing.
        CheckpointError: when every LSTM is left out.
    """
    lstms = tuple(lstm for lstm in checkpoint.lstms if lstm.name not in names)
    meant = {id(tensor) for name in names for tensor in checkpoint.other if _is_meant(checkpoint, tensor, name)}
    unknown = [
        name
        for name in names
        if not any(_is_meant(checkpoint, tensor, name) for tensor in checkpoint.other)
        and name not in {lstm.name for lstm in checkpoint.lstms}
    ]
    if unknown:
        choices = [lstm.name for lstm in checkpoint.lstms] + [tensor.name for tensor in checkpoint.other]
        raise UserError(f"--leave-out: {checkpoint.path} has no {unknown[0]!r}, but {shortlist(choices, 20)}")
    gone = [tensor for tensor in checkpoint.other if id(tensor) in meant or tensor.note == REDUNDANT]
    listed = [lstm.name for lstm in checkpoint.lstms if lstm not in lstms]
    listed += [f"{tensor}, of the unread {tensor.unread}" if tensor.unread else str(tensor) for tensor in gone]
    kept = tuple(tensor for tensor in checkpoint.other if tensor not in gone)
    rest = replace(checkpoint, lstms=lstms, other=kept)
    if names and (checkpoint.lstms or checkpoint.unread) and not (rest.lstms or rest.unread):
        raise CheckpointError(
            f"{checkpoint.path} holds no LSTM but what --leave-out names, {shortlist(list(names))}: "
            "every LSTM was left out, so name fewer"
        )
    return rest, listed


def _is_meant(checkpoint: Checkpoint, tensor: OtherTensor, name: str) -> bool:
    return name in (tensor.unread, *_names(checkpoint, tensor))


def _names(checkpoint: Checkpoint, tensor: OtherTensor) -> Iterator[str]:
    """A tensor's own names and those of the modules that it is in."""
    full = tensor.stored.name if tensor.stored else tensor.name
    scope = tensor.stored.scope if tensor.stored else ""
    yield from names_of(full, scope)
    yield from names_of(tensor.name, "")
    group = checkpoint.topology.groups.get(full.rpartition("/")[0].removesuffix("/vars"))
    if group:
        yield group.name
