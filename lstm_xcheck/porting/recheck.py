"""Repeats a certificate offline: files, weights and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ..checkpoints import FoundLSTM, read_checkpoint
from ..checkpoints.other_layers.copied import changed_copies
from ..errors import DisagreementError, UserError
from .certificate import Certificate, Ported, checksum, joined, read_certificate
from .clips import without_clips
from .manifest import refuse_added, refuse_changed, restored
from .other_layers import refuse_other_layers


def recheck(path: str | PathLike[str]) -> str:
    """Repeats a certificate's claims and reports in one sentence.

    Raises:
        DisagreementError: when a byte of a file changed, or a verdict is not the same any more.
        UserError: when the certificate or a file is missing or cannot be read.
    """
    file = Path(path)
    content = read_certificate(file)
    try:
        if checksum(content) != content["seal"]:
            raise DisagreementError(
                f"{file} was changed: its seal does not fit its content; port again to get a new one"
            )
        return _recheck(file, Certificate.from_dict(content))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DisagreementError(f"{file} was changed: {type(error).__name__} {error} while reading it") from error


def _recheck(file: Path, certificate: Certificate) -> str:
    sides = {"source": certificate.source, "destination": certificate.destination}
    paths = {role: file.parent / side["path"] for role, side in sides.items()}
    for role, path in paths.items():
        if not path.exists():
            raise UserError(f"{path}, the {role} of {file}, does not exist; put it back beside the certificate")
        refuse_changed(file, role, path, sides[role]["parts"])
    source, written = (
        read_checkpoint(
            path,
            sides[role].get("layout"),
            load_other_tensors=bool(certificate.layers or certificate.copied),
            keras=restored(file, sides[role].get("keras", {})),
            leave_out=sides[role].get("leave_out", ()),
        )
        for role, path in paths.items()
    )
    own = (file, *written.files)
    refuse_added(file, "source", paths["source"], certificate.source["parts"], source.files, own)
    refuse_added(file, "destination", paths["destination"], certificate.destination["parts"], written.files, ())
    refuse_other_layers(file, certificate.layers, source, written)
    changed = changed_copies(certificate.copied, source, written)
    if changed:
        raise DisagreementError(f"{changed[0]}: the tensor read now is not that of {file}")
    before = {lstm.name: lstm for lstm in without_clips(source.lstms, certificate.without)}
    after = {lstm.name: lstm for lstm in written.lstms}
    ported = [_ported(entry, before, after) for entry in certificate.lstms]
    changed = [lstm.name for lstm, entry in zip(ported, certificate.lstms, strict=True) if lstm.to_dict() != entry]
    if changed:
        raise DisagreementError(f"{', '.join(changed)}: the weights read now are not those of {file}")
    from .verification import prove  # a third of the imports, needed only here

    proof = prove(ported, certificate.adapters)
    _refuse_other_verdicts(file, certificate, proof)
    others = f" and {len(certificate.layers)} other layers" if certificate.layers else ""
    agreed = f"{len(ported)} LSTMs{others}, {len(proof['rows'])} of {len(certificate.rows)} verdicts repeated"
    if certificate.verdict != "agree":
        raise DisagreementError(f"{file} still says {certificate.verdict}: {agreed}")
    absent = sorted({name for names in certificate.adapters.values() for name in names} - set(proof["environment"]))
    missing = f"; not installed here: {', '.join(absent)}" if absent else ""
    return f"{file} holds: both files are unchanged and still agree ({agreed}{missing})"


def _refuse_other_verdicts(file: Path, certificate: Certificate, proof: Mapping[str, Any]) -> None:
    if proof["inputs"] != certificate.inputs:
        raise DisagreementError(f"{file}: the inputs made now are not the recorded ones; another version wrote it")

    def key(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in ("lstm", "role", "case", "adapter", "quantity"))

    then = {key(row): row["verdict"] for row in certificate.rows}
    for row in proof["rows"]:
        if then.get(key(row)) != row["verdict"]:
            where = f"{row['adapter']}, {row['role']}, case {row['case']}, {row['quantity']}"
            raise DisagreementError(f"{file}: {where} is {row['verdict']} now, but was {then.get(key(row), 'absent')}")


def _ported(entry: dict[str, Any], before: Mapping[str, FoundLSTM], after: Mapping[str, FoundLSTM]) -> Ported:
    name = entry["source"]
    sources = [before[name]] if name in before else [before[part] for part in name.split(",")]
    targets = [after[name] for name in entry["destination"]]
    weights, written = (joined([found.weights for found in side]) for side in (sources, targets))
    return Ported.of(name, weights, sources[0].layout, tuple(entry["destination"]), written, targets[0].layout)
