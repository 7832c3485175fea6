"""The manifest of a checkpoint: its files by name and hash.

A checkpoint may be one file, a file with others beside it (data of TensorFlow, OpenVINO and ONNX, shards), or a folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..atomic_files import sha256_of
from ..checkpoints.options import KerasOptions
from ..errors import DisagreementError, UserError


def hashed(path: Path, files: Sequence[Path]) -> dict[str, str]:
    """Hashes of a checkpoint's files by relative name."""
    return named(path, {file: sha256_of(file) for file in files})


def named(path: Path, hashes: Mapping[Path, str]) -> dict[str, str]:
    """Given hashes by relative name."""
    return {_name(path, file): digest for file, digest in hashes.items()}


def described(path: Path, folder: Path, format: str, parts: Mapping[str, str]) -> dict[str, Any]:
    """A checkpoint as seen from the certificate's folder.

    `sha256` is the file's own, as other tools print it; a folder's is over the names and hashes of its parts.
    """
    # A link is kept as it is: what lies beside it belongs to it, not what lies beside the file it points to.
    where = os.path.relpath(path.parent.resolve() / path.name, folder.resolve())
    listing = "".join(f"{name}\0{digest}\n" for name, digest in parts.items())
    return {
        "path": Path(where).as_posix(),
        "sha256": hashlib.sha256(listing.encode()).hexdigest() if path.is_dir() else parts[path.name],
        "bytes": sum((_root(path) / name).stat().st_size for name in parts),
        "format": format,
        "parts": dict(parts),
    }


def recorded(options: KerasOptions, folder: Path) -> dict[str, Any]:
    """What the user said of a Keras file, as seen from the certificate's folder."""
    content = options.to_dict()
    if not content:
        return {}
    if options.config is not None:
        where = os.path.relpath(options.config.resolve(), folder.resolve())
        content |= {"config": Path(where).as_posix(), "config_sha256": sha256_of(options.config)}
    return {"keras": {**content, "accept_class": list(options.accept_class)}}


def restored(certificate: Path, content: Mapping[str, Any]) -> KerasOptions:
    """The options that `recorded` kept.

    Raises:
        UserError: when the config is missing.
        DisagreementError: when a byte of it has changed.
    """
    values = dict(content)
    digest = values.pop("config_sha256", None)
    if digest is not None:
        values["config"] = certificate.parent / values["config"]
        refuse_changed(certificate, "config", values["config"], {values["config"].name: digest})
    return KerasOptions.of(**values)


def refuse_changed(certificate: Path, role: str, path: Path, parts: Mapping[str, str]) -> None:
    """Hold every part against its hash.

    Raises:
        UserError: for a part that is missing.
        DisagreementError: for one of which a byte has changed.
    """
    for name, expected in parts.items():
        file = _root(path) / name
        if not file.is_file():
            raise UserError(f"{file}, a part of the {role} of {certificate}, does not exist; put it back")
        digest = sha256_of(file)
        if digest != expected:
            what = f"the {role}" if file == path else f"the part of the {role} {path}"
            raise DisagreementError(
                f"{file} is not {what} that {certificate} speaks of: its sha256 is {digest[:16]}..., "
                f"but should be {expected[:16]}..."
            )


def refuse_added(
    certificate: Path, role: str, path: Path, parts: Mapping[str, str], files: Sequence[Path], own: Collection[Path]
) -> None:
    """Refuses a checkpoint with a part unknown to the certificate.

    Raises:
        DisagreementError: naming the first.
    """
    kept = {file.resolve() for file in own}
    added = [file for file in files if _name(path, file) not in parts and file.resolve() not in kept]
    if added:
        raise DisagreementError(
            f"{added[0]} has come to the {role} {path} since {certificate} was made; take it away, or port again"
        )


def _root(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _name(path: Path, file: Path) -> str:
    return Path(os.path.relpath(file, _root(path))).as_posix()
