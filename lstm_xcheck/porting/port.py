"""Ports a checkpoint to another framework, with a certificate."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..atomic_files import files_in, write_atomically
from ..checkpoints import Checkpoint, FoundLSTM, read_checkpoint, write_checkpoint
from ..checkpoints.formats import Format, format_for_writing
from ..checkpoints.layout_arrays import chain_of
from ..checkpoints.loading_code import loading_code
from ..checkpoints.options import KerasOptions
from ..checkpoints.other_layers.copied import entries as copied_entries
from ..checkpoints.other_layers.model import OtherLayers
from ..checkpoints.publish import port_folder, refuse_existing
from ..checkpoints.read_back import matched
from ..checkpoints.torch.names import refuse_odd_names
from ..errors import CheckpointError, DisagreementError, UserError
from ..model import LSTMWeights
from ..recordings.model import made_by
from . import other_layers
from .certificate import Certificate, CertificateContent, Ported, fingerprints, joined, losses
from .clips import left_out_clips, without_clips
from .leave_out import left_out
from .manifest import described, hashed, named, recorded

#: What a certificate's name ends in.
SUFFIX = ".xcheck.json"


@dataclass(frozen=True)
class _Selection:
    """What is ported of a checkpoint."""

    lstms: tuple[FoundLSTM, ...]  # those of the source, clips and stacks as asked for
    others: OtherLayers  # the other layers under the source's names
    renamed: OtherLayers  # the other layers under their new names
    names: dict[str, str]  # new names of LSTMs by their old ones
    left_out: list[str]  # LSTMs and tensors that nobody asked for


def port(
    src: str | PathLike[str],
    dst: str | PathLike[str],
    *,
    to: str | None = None,
    layer: str | None = None,
    rename: Mapping[str, str] | None = None,
    like: str | PathLike[str] | None = None,
    force: bool = False,
    lstm_only: bool = False,
    without: Sequence[str] = (),
    layout: str | None = None,
    keras_config: str | PathLike[str] | None = None,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    go_backwards: bool = False,
    accept_class: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> CertificateContent:
    """Writes a checkpoint as another framework's and verifies it.

    The file is read back and compared bit for bit before it gets its name; then source and destination are run, by
    their own frameworks where installed and by the float64 oracle, and judged. `DST.xcheck.json` says all of it.

    Args:
        src: any checkpoint that `load` reads.
        dst: what to write; its suffix decides the format.
        to: the format, where the suffix is not enough: torch, safetensors, keras, keras-weights, npz.
        layer: the one LSTM to port; the rest of the file is then left out on purpose.
        rename: new names of layers by their old ones; "" puts a PyTorch LSTM at the top of the state dict, and
            `{"lstm,lstm_1": "lstm"}` makes one stack of two LSTMs.
        like: an existing file of the destination's format; its keys and other tensors are kept, its LSTMs filled.
        force: whether an existing destination may be replaced.
        lstm_only: leave all other layers out, those that could be carried over too.
        without: clips to leave out, gate_clip, cell_clip or proj_clip, where the destination cannot say them.
        layout: a name of `lstm-xcheck layouts`, where the source's own names do not say whose they are.
        keras_config: the JSON of `model.to_json()`, for a Keras file without a config.
        activation: of Keras LSTMs whose file does not say it.
        recurrent_activation: the same of their gates.
        go_backwards: whether those LSTMs read backward.
        accept_class: classes that are not Keras' own and compute what its LSTM does.
        leave_out: names of LSTMs, tensors and other layers to leave behind. From state dict to state dict, tensors of
            no known layer are copied bit for bit; elsewhere they must be left out. Without the further weights of its
            module, such as an adapter's, an LSTM is read as a plain one.

    Returns:
        The certificate, a dict that prints as a few lines: `verdict` (agree, disagree or error), `rows`, `losses`,
        `left_out` and the hashes.

    Raises:
        CheckpointError: for a source that cannot be read or a destination that cannot be written.
        DisagreementError: for a source with an LSTM that is not read, unless `layer` leaves it out, and with other
            layers that cannot be carried over, unless `lstm_only` or `layer` leaves them out.

    >>> port("model.keras", "model.pt")["verdict"]  # doctest: +SKIP
    'agree'
    """
    source, target = Path(src), Path(dst)
    certificate_path = target.with_name(target.name + SUFFIX)
    format = format_for_writing(target, to)
    refuse_odd_names(format.family, (rename or {}).values())
    destination = (*format.parts(target), certificate_path)
    for part in destination:
        refuse_existing(part, force, format if part == target else None)
    alone = lstm_only or layer is not None
    keras = KerasOptions.of(keras_config, activation, recurrent_activation, go_backwards, accept_class)
    checkpoint = read_checkpoint(source, layout, load_other_tensors=not alone, keras=keras, leave_out=leave_out)
    checkpoint, gone = left_out(checkpoint, leave_out)
    checkpoint.require_lstms()
    _refuse_own_source(checkpoint, destination)
    if layer is None:
        _refuse_unread(checkpoint)
    clipped = _chosen(checkpoint, layer)
    selection = _select(checkpoint, clipped, format, layer, rename or {}, without, alone=alone, copies=like is None)
    with port_folder(target, format, certificate_path), ThreadPoolExecutor() as pool:
        hashing = pool.submit(hashed, checkpoint.path, checkpoint.files)
        for lstm in selection.lstms:
            _ = lstm.weights.layers  # reads them now, and once
        printing = [pool.submit(fingerprints, lstm.weights) for lstm in selection.lstms]
        others = [layer.name for layer in selection.others.layers]
        lstms = _renamed(selection.lstms, selection.names, others, chained=like is not None and not format.stacks)
        back = write_checkpoint(target, lstms, format.id, force, like, selection.renamed)
        ported = _pairs(target, format, selection.lstms, lstms, back, exact=like is None)
        layers = other_layers.entries(selection.others, selection.renamed, back, format)
        for made in printing:
            made.result()  # which the weights keep
        source_hashes = hashing.result()
    lstm_entries = [lstm.to_dict() for lstm in ported]
    notes = other_layers.notes(selection.others, format, layers)
    certificate = Certificate(
        source={
            **described(checkpoint.path, target.parent, checkpoint.format, source_hashes),
            "layout": layout,
            **recorded(keras, target.parent),
            "leave_out": list(leave_out),
        },
        destination=described(target, target.parent, back.format, named(target, back.hashes)),
        lstms=lstm_entries,
        losses=[loss for lstm in ported for loss in losses(lstm)],
        layers=layers,
        copied=copied_entries(selection.others),
        left_out=[
            *gone,
            *(selection.left_out or other_layers.left_out(selection.others, layers)),
            *left_out_clips(clipped, without),
            *checkpoint.content,
        ],
        without=sorted(set(without)),
        training=[str(tensor) for tensor in selection.others.training],
        notes={**{lstm.name: list(lstm.notes) for lstm in selection.lstms if lstm.notes}, **notes},
        **_verified(ported),
        versions=made_by(),
        code=loading_code(format, target, back.lstms, chain=len(ported) == 1, whole=bool(layers) or like is not None),
    ).to_dict()
    _write(certificate_path, certificate)
    return certificate


def _refuse_own_source(checkpoint: Checkpoint, destination: Sequence[Path]) -> None:
    """Refuse to replace any file of the source, whatever its name there."""
    own = {_identity(file) for file in (checkpoint.path, *checkpoint.files) if file.exists()}
    for part in destination:
        replaced = [file for file in (part, *files_in(part)) if file.exists() and _identity(file) in own]
        if replaced:
            itself = _identity(replaced[0]) == _identity(checkpoint.path)
            raise CheckpointError(
                f"{replaced[0]} is {'the source itself' if itself else 'a part of the source'}, without which its "
                "certificate would prove nothing; name another file"
            )


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _refuse_unread(checkpoint: Checkpoint) -> None:
    """Refuse to leave an LSTM behind that could not be read."""
    if checkpoint.unread:
        raise DisagreementError(
            f"{checkpoint.listed_unread}; nothing was written; leave them out with "
            f"--leave-out {shlex.quote(checkpoint.unread[0].name)}, or port another alone with --layer"
        )


def _select(
    checkpoint: Checkpoint,
    clipped: tuple[FoundLSTM, ...],
    format: Format,
    layer: str | None,
    rename: Mapping[str, str],
    without: Sequence[str],
    *,
    alone: bool,
    copies: bool,
) -> _Selection:
    """What is ported, and what is left out on purpose."""
    others = OtherLayers() if alone else other_layers.carried(checkpoint, format, rename, copies=copies)
    lstms, others = other_layers.stacked(without_clips(clipped, without), others, rename)
    layers = {other.name for other in others.layers}
    names = {old: new for old, new in rename.items() if old not in layers}
    left_out = [lstm.name for lstm in checkpoint.lstms if layer not in (None, lstm.name)]
    left_out += map(str, checkpoint.other) if alone else []
    return _Selection(lstms, others, other_layers.renamed(others, rename), names, left_out)


def _verified(ported: Sequence[Ported]) -> dict[str, Any]:
    """Verdicts on both sides, and what they would have caught."""
    from .verification import detection_power, prove  # a third of a port's imports, needed only here

    proof = prove(ported)
    return {**proof, "power": detection_power(ported, proof["rows"])}


def _chosen(checkpoint: Checkpoint, layer: str | None) -> tuple[FoundLSTM, ...]:
    lstms = checkpoint.require_lstms()
    if layer is None:
        return lstms
    chosen = tuple(lstm for lstm in lstms if lstm.name == layer)
    if not chosen:
        raise CheckpointError(f"{checkpoint.path} has no LSTM {layer!r}, but {', '.join(lstm.name for lstm in lstms)}")
    return chosen


def _renamed(
    chosen: tuple[FoundLSTM, ...], rename: Mapping[str, str], others: Sequence[str], *, chained: bool
) -> dict[str, LSTMWeights]:
    """The LSTMs under their new names, chained if asked.

    `others` are the layers that can be renamed too.
    """
    named = {lstm.name: lstm.weights for lstm in chosen}
    if chained:
        named = chain_of(named)
    unknown = [old for old in rename if old not in named]
    if unknown:
        raise UserError(
            f"--rename: there is no layer {', '.join(map(repr, unknown))}, but {', '.join([*named, *others])}"
        )
    result: dict[str, LSTMWeights] = {}
    for old, weights in named.items():
        new = rename.get(old, old)
        if new in result:
            raise UserError(f"--rename: two LSTMs would be named {new!r}; give each its own name")
        result[new] = weights
    return result


def _pairs(
    target: Path,
    format: Format,
    chosen: tuple[FoundLSTM, ...],
    lstms: Mapping[str, LSTMWeights],
    back: Checkpoint,
    *, exact: bool,
) -> list[Ported]:  # fmt: skip
    """Each LSTM of the source with its counterpart, in order."""
    chain = dict(lstms) if format.stacks else chain_of(lstms)
    found = list(matched(target, back, chain, exact=exact).values())
    pairs = []
    for lstm in chosen:
        count = 1 if format.stacks else lstm.weights.spec.num_layers
        mine, found = found[:count], found[count:]
        written = joined([part.weights for part in mine]) if count > 1 else mine[0].weights
        names = tuple(part.name for part in mine)
        pairs.append(Ported.of(lstm.name, lstm.weights, lstm.layout, names, written, mine[0].layout))
    return pairs


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; the ported file itself is complete") from error
