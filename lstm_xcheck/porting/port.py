"""From a checkpoint of one framework to one of another, with a certificate; and the certificate checked again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from ..atomic_files import write_atomically
from ..checkpoints import Checkpoint, FoundLSTM, read_checkpoint, write_checkpoint
from ..checkpoints.detect.training_state import reading_whole
from ..checkpoints.formats import Format, format_for_writing
from ..checkpoints.other_layers.model import OtherLayers
from ..checkpoints.write import chain_of, matched, refuse_existing
from ..errors import CheckpointError, DisagreementError, UserError
from ..model import LSTMWeights
from ..recordings.model import made_by
from . import other_layers
from .certificate import (
    KIND,
    SCHEMA,
    Ported,
    checksum,
    fingerprints,
    joined,
    losses,
    read_certificate,
    verdict_of,
)
from .manifest import described, hashed, named, refuse_added, refuse_changed
from .other_layers import carried, entries, renamed, stacked

#: What `without` may take off an LSTM.
CLIPS = ("gate_clip", "cell_clip", "proj_clip")

#: What a certificate's name ends in.
SUFFIX = ".xcheck.json"


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
) -> dict[str, Any]:
    """Write a checkpoint as another framework's, LSTMs and the layers beside them, verify it, and keep the proof.

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

    Returns:
        The certificate: `verdict` (agree, disagree or error), `rows`, `losses`, `left_out` and the hashes.

    Raises:
        CheckpointError: for a source that cannot be read or a destination that cannot be written.
        DisagreementError: for a source with layers that cannot be carried over, unless `lstm_only` or `layer` leaves
            them out.
    """
    source, target = Path(src), Path(dst)
    certificate = target.with_name(target.name + SUFFIX)
    chosen_format = format_for_writing(target, to)
    refuse_existing(target, force, chosen_format)
    refuse_existing(certificate, force)
    alone = lstm_only or layer is not None
    with nullcontext() if alone else reading_whole():
        checkpoint = read_checkpoint(source, layout)
    checkpoint.require_lstms()
    source = checkpoint.path
    if target.exists() and target.samefile(source):
        raise CheckpointError(
            f"{target} is the source itself, without which its certificate would prove nothing; name another file"
        )
    names = dict(rename or {})
    others = OtherLayers() if alone else carried(checkpoint, chosen_format, names)
    clipped = _chosen(checkpoint, layer)
    chosen, others = stacked(_without(clipped, without), others, names)
    own = {one.name for one in others.layers}
    lstm_names = {old: new for old, new in names.items() if old not in own}
    carry = renamed(others, names)
    with ThreadPoolExecutor() as pool:
        hashing = pool.submit(hashed, source, checkpoint.files)
        for lstm in chosen:
            _ = lstm.weights.layers  # reads them now, and once
        printing = [pool.submit(fingerprints, lstm.weights) for lstm in chosen]
        if any(part.exists() for part in chosen_format.parts(target)):
            hashing.result()  # before the source, if it is what is replaced
        lstms = _renamed(chosen, lstm_names, like is not None and not chosen_format.stacks)
        back = write_checkpoint(target, lstms, chosen_format.to, force, like, carry)
        ported = _pairs(target, chosen_format, chosen, lstms, back, exact=like is None)
        layers = entries(others, carry, back, chosen_format)
        for made in printing:
            made.result()  # which the weights keep
        read = hashing.result()
    lstm_entries = [_entry(lstm) for lstm in ported]
    notes = other_layers.notes(others, chosen_format, layers)
    content = {
        "schema": SCHEMA,
        "kind": KIND,
        "source": {**described(source, target.parent, checkpoint.format, read), "layout": layout},
        "destination": described(target, target.parent, back.format, named(target, back.hashes)),
        "lstms": lstm_entries,
        "losses": [loss for lstm in ported for loss in losses(lstm)],
        "layers": layers,
        "left_out": [
            *(_left_out(checkpoint, layer) if alone else other_layers.left_out(others, layers)),
            *_left_out_clips(clipped, without),
        ],
        "without": sorted(set(without)),
        "training": [str(tensor) for tensor in others.training],
        "notes": {**{found.name: list(found.notes) for found in chosen if found.notes}, **notes},
        **_proven(ported),
        "versions": made_by(),
    }
    content["verdict"] = verdict_of(content["rows"])
    content["seal"] = checksum(content)
    _write(certificate, content)
    return content


def recheck(path: str | PathLike[str]) -> str:
    """Repeat what a certificate claims, offline, and say so in one sentence.

    Raises:
        DisagreementError: when a byte of a file changed, or a verdict is not the same any more.
        UserError: when the certificate or a file is missing or cannot be read.
    """
    file = Path(path)
    content = read_certificate(file)
    try:
        return _recheck(file, content)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DisagreementError(f"{file} was changed: {type(error).__name__} {error} while reading it") from error


def _recheck(file: Path, content: dict[str, Any]) -> str:
    if checksum(content) != content["seal"]:
        raise DisagreementError(f"{file} was changed: its seal does not fit its content; port again to get a new one")
    paths = {role: file.parent / content[role]["path"] for role in ("source", "destination")}
    for role, path in paths.items():
        if not path.exists():
            raise UserError(f"{path}, the {role} of {file}, does not exist; put it back beside the certificate")
        refuse_changed(file, role, path, content[role]["parts"])
    with reading_whole() if content["layers"] else nullcontext():
        files = [read_checkpoint(path, content[role].get("layout")) for role, path in paths.items()]
    own = (file, *files[1].files)
    for (role, path), checkpoint in zip(paths.items(), files, strict=True):
        refuse_added(file, role, path, content[role]["parts"], checkpoint.files, () if role == "destination" else own)
    other_layers.refuse_other_layers(file, content["layers"], *files)
    clipped, written = (checkpoint.lstms for checkpoint in files)
    before = {lstm.name: lstm for lstm in _without(clipped, content.get("without", ()))}
    after = {lstm.name: lstm for lstm in written}
    ported = [_again(entry, before, after) for entry in content["lstms"]]
    changed = [new["source"] for new, old in zip(map(_entry, ported), content["lstms"], strict=True) if new != old]
    if changed:
        raise DisagreementError(f"{', '.join(changed)}: the weights read now are not those of {file}")
    proof = _proven(ported, content["adapters"])
    _same_verdicts(file, content, proof)
    others = f" and {len(content['layers'])} other layers" if content["layers"] else ""
    agreed = f"{len(ported)} LSTMs{others}, {len(proof['rows'])} of {len(content['rows'])} verdicts repeated"
    if content["verdict"] != "agree":
        raise DisagreementError(f"{file} still says {content['verdict']}: {agreed}")
    absent = sorted({name for names in content["adapters"].values() for name in names} - set(proof["environment"]))
    missing = f"; not installed here: {', '.join(absent)}" if absent else ""
    return f"{file} holds: both files are unchanged and still agree ({agreed}{missing})"


def _proven(ported: Sequence[Ported], only: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """Verdicts on both sides, and what they would have caught."""
    from .verification import (
        detection_power,
        prove,
    )  # a third of what a port imports, which reading and writing do not need

    return {**prove(ported, only), "power": [] if only is not None else detection_power(ported)}


def _same_verdicts(file: Path, content: dict[str, Any], proof: dict[str, Any]) -> None:
    if proof["inputs"] != content["inputs"]:
        raise DisagreementError(f"{file}: the inputs made now are not the recorded ones; another version wrote it")

    def key(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in ("lstm", "role", "case", "adapter", "quantity"))

    then = {key(row): row["verdict"] for row in content["rows"]}
    for row in proof["rows"]:
        if then.get(key(row)) != row["verdict"]:
            where = f"{row['adapter']}, {row['role']}, case {row['case']}, {row['quantity']}"
            raise DisagreementError(f"{file}: {where} is {row['verdict']} now, but was {then.get(key(row), 'absent')}")


def _again(entry: dict[str, Any], before: Mapping[str, FoundLSTM], after: Mapping[str, FoundLSTM]) -> Ported:
    name = entry["source"]
    sources = [before[name]] if name in before else [before[part] for part in name.split(",")]
    targets = [after[name] for name in entry["destination"]]
    weights, written = (joined([found.weights for found in side]) for side in (sources, targets))
    return _ported(name, weights, sources[0].layout, tuple(entry["destination"]), written, targets[0].layout)


def _chosen(checkpoint: Checkpoint, layer: str | None) -> tuple[FoundLSTM, ...]:
    lstms = checkpoint.require_lstms()
    if layer is None:
        return lstms
    chosen = tuple(lstm for lstm in lstms if lstm.name == layer)
    if not chosen:
        raise CheckpointError(f"{checkpoint.path} has no LSTM {layer!r}, but {', '.join(lstm.name for lstm in lstms)}")
    return chosen


def _without(lstms: tuple[FoundLSTM, ...], clips: Sequence[str]) -> tuple[FoundLSTM, ...]:
    """The LSTMs without these clips, which makes another function of them wherever one held."""
    unsupported = [name for name in clips if name not in CLIPS]
    if unsupported:
        raise UserError(f"--without {unsupported[0]!r} should be one of {', '.join(CLIPS)}")
    if not clips:
        return lstms
    return tuple(replace(lstm, weights=_unclipped(lstm.weights, clips)) for lstm in lstms)


def _unclipped(weights: LSTMWeights, clips: Sequence[str]) -> LSTMWeights:
    options: dict[str, Any] = dict.fromkeys(clips)
    return LSTMWeights(replace(weights.spec, **options), weights.layers, weights.dtype)


def _left_out_clips(lstms: tuple[FoundLSTM, ...], clips: Sequence[str]) -> list[str]:
    """What `without` took off, with its size: beyond it the destination computes something else."""
    specs = [(lstm.name, clip, getattr(lstm.weights.spec, clip)) for lstm in lstms for clip in sorted(set(clips))]
    return [f"{clip} {bound} of {name}: beyond it the destination differs" for name, clip, bound in specs if bound]


def _left_out(checkpoint: Checkpoint, layer: str | None) -> list[str]:
    """The LSTMs that were not asked for, and all that is no LSTM."""
    return [*(lstm.name for lstm in checkpoint.lstms if layer not in (None, lstm.name)), *map(str, checkpoint.other)]


def _renamed(chosen: tuple[FoundLSTM, ...], rename: Mapping[str, str], chained: bool) -> dict[str, LSTMWeights]:
    """The LSTMs under their new names; layer by layer where an existing file has them so."""
    named = {lstm.name: lstm.weights for lstm in chosen}
    if chained:
        named = chain_of(named)
    unknown = [old for old in rename if old not in named]
    if unknown:
        raise UserError(f"--rename: there is no layer {unknown[0]!r}, but {', '.join(named)}")
    result: dict[str, LSTMWeights] = {}
    for old, weights in named.items():
        new = rename.get(old, old)
        if new in result:
            raise UserError(f"--rename: two LSTMs would be named {new!r}; give each its own name")
        result[new] = weights
    return result


def _pairs(
    target: Path,
    chosen_format: Format,
    chosen: tuple[FoundLSTM, ...],
    lstms: Mapping[str, LSTMWeights],
    back: Checkpoint,
    *, exact: bool,
) -> list[Ported]:  # fmt: skip
    """Each LSTM of the source with what the destination holds for it, in order."""
    chain = dict(lstms) if chosen_format.stacks else chain_of(lstms)
    found = list(matched(target, back, chain, exact=exact).values())
    pairs = []
    for lstm in chosen:
        count = 1 if chosen_format.stacks else lstm.weights.spec.num_layers
        mine, found = found[:count], found[count:]
        written = joined([part.weights for part in mine]) if count > 1 else mine[0].weights
        names = tuple(part.name for part in mine)
        pairs.append(_ported(lstm.name, lstm.weights, lstm.layout, names, written, mine[0].layout))
    return pairs


def _ported(
    name: str, weights: LSTMWeights, layout: str, names: tuple[str, ...], written: LSTMWeights, written_layout: str
) -> Ported:
    """Both sides of one LSTM; one object where every bit is the same."""
    return Ported(name, weights, layout, names, weights if weights == written else written, written_layout)


def _entry(lstm: Ported) -> dict[str, Any]:
    written = fingerprints(lstm.written)
    return {
        "source": lstm.name,
        "destination": list(lstm.names),
        **fingerprints(lstm.weights),
        "written": {"fingerprint": written["fingerprint"], "bias": lstm.written.spec.bias},
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; the ported file itself is complete") from error
