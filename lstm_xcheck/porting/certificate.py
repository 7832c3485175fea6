"""The certificate of a port: hashes, losses and verdicts.

A checksum over all of it shows damage; it is no signature. `verification` finds the verdicts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..display import Shown, Summary
from ..errors import UserError
from ..layouts import TABLE, adapt_cell
from ..model import CellWeights, LSTMWeights

SCHEMA = 1
KIND = "lstm-xcheck certificate"


@dataclass(frozen=True)
class Ported:
    """One LSTM before and after."""

    name: str  # in the source
    weights: LSTMWeights
    layout: str
    names: tuple[str, ...]  # in the destination: one, or the layers of a chain
    written: LSTMWeights  # what the destination holds, joined to a stack again
    written_layout: str

    @classmethod
    def of(
        cls, name: str, weights: LSTMWeights, layout: str, names: tuple[str, ...], written: LSTMWeights, to: str
    ) -> Ported:
        """Both sides; one object where every bit is the same."""
        return cls(name, weights, layout, names, weights if weights == written else written, to)

    def to_dict(self) -> dict[str, Any]:
        """The entry of a certificate."""
        written = fingerprints(self.written)
        return {
            "source": self.name,
            "destination": list(self.names),
            **fingerprints(self.weights),
            "written": {"fingerprint": written["fingerprint"], "bias": self.written.spec.bias},
        }


class CertificateContent(Shown, dict[str, Any]):
    """The content of `DST.xcheck.json`, a dict that `port` returns."""

    def summary(self) -> Summary:
        """The verdict, a row for each LSTM and layer, and what was lost."""
        source, target = self["source"], self["destination"]
        rows = [
            (lstm["source"], ", ".join(lstm["destination"]), "LSTM", lstm["dtype"], lstm["written"]["bias"])
            for lstm in self["lstms"]
        ]
        rows += [(layer["source"], layer["destination"], layer["kind"], layer["dtype"], "") for layer in self["layers"]]
        lost = [f"{loss['lstm']}: {loss['what']}, by up to {loss['max_abs']:.2g}" for loss in self["losses"]]
        out = [f"left out: {name}" for name in self["left_out"]]
        title = f"{self['verdict'].upper()}: {source['path']} ({source['format']}) to "
        title += f"{target['path']} ({target['format']})"
        headings = ("source", "destination", "kind", "type", "bias")
        return Summary(title, headings, tuple(rows), tuple(lost or ["every bit is kept"]) + tuple(out))


@dataclass(frozen=True)
class Certificate(Shown):
    """The content of `DST.xcheck.json`."""

    source: dict[str, Any]  # path, hashes, format and layout of what was read
    destination: dict[str, Any]  # path, hashes and format of what was written
    lstms: list[dict[str, Any]]  # each LSTM by its names and fingerprints on both sides
    losses: list[dict[str, Any]]  # what the destination cannot say to the last bit, with its size
    layers: list[dict[str, Any]]  # each other layer by its names, fingerprint and arrays
    copied: list[dict[str, Any]]  # each other tensor that was copied as it is, by its names and fingerprint
    left_out: list[str]  # what was left behind on purpose
    without: list[str]  # clips that were taken off
    training: list[str]  # tensors of training, which are never ported
    notes: dict[str, list[str]]  # what the user has to know, by layer
    rows: list[dict[str, Any]]  # verdicts on both sides
    inputs: list[dict[str, str]]  # the cases that were judged, by id and fingerprint
    adapters: dict[str, list[str]]  # those that ran each side, by role
    environment: dict[str, dict[str, str]]  # versions, by adapter
    power: list[dict[str, Any]]  # what the matches would have caught
    versions: dict[str, str]  # of Python, NumPy and this package
    code: str  # that loads the destination in its framework

    @property
    def verdict(self) -> str:
        """`agree`, `disagree` or `error`, from the rows."""
        return verdict_of(self.rows)

    def summary(self) -> Summary:
        """As that of its content."""
        return self.to_dict().summary()

    def to_dict(self) -> CertificateContent:
        """The content of the file, checksum included."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        content = {"schema": SCHEMA, "kind": KIND, **own, "verdict": self.verdict}
        return CertificateContent(content, seal=checksum(content))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Certificate:
        """A certificate from its content; KeyError if a part is missing."""
        # Which the first certificates did not have.
        parts = {"without": [], "code": "", "copied": [], **content}
        return cls(**{field.name: parts[field.name] for field in fields(cls)})


def joined(layers: Sequence[LSTMWeights]) -> LSTMWeights:
    """The layers of a chain as one stack."""
    first = layers[0]
    if len(layers) == 1:
        return first
    rows = tuple(row for weights in layers for row in weights.layers)
    return LSTMWeights(replace(first.spec, num_layers=len(rows)), rows, first.dtype)


def losses(lstm: Ported) -> list[dict[str, Any]]:
    """What the destination rounds, with its size.

    That is the sum of two biases, and a forget bias less 1.
    """
    found = []
    cells = [
        cell if cell.b is None else adapt_cell(cell, "single", lstm.weights.dtype) for *_, cell in lstm.weights.cells()
    ]
    if lstm.weights.spec.bias == "split" and lstm.written.spec.bias == "single":
        pairs = zip(lstm.weights.cells(), cells, strict=True)
        found.append(_loss(lstm, "two biases summed into one", [_rounding(own, total) for (*_, own), total in pairs]))
    if any(row.name == lstm.written_layout and row.forget_bias for row in TABLE):
        pairs = zip(lstm.written.cells(), cells, strict=True)
        errors = [np.abs(written.total_bias[1] - total.total_bias[1]) for (*_, written), total in pairs]
        if any(error.any() for error in errors):
            found.append(_loss(lstm, "1 taken off the forget bias, which the framework adds itself", errors))
    return found


def _rounding(own: CellWeights, summed: CellWeights) -> Array:
    """The exact error of b + b_r, by Dekker's fast two-sum."""
    b, b_r = (np.asarray(bias, np.float64) for bias in (own.b, own.b_r))
    large, small = np.where(np.abs(b) >= np.abs(b_r), (b, b_r), (b_r, b))
    error: Array = np.abs(small - (summed.total_bias - large))
    return error


def _loss(lstm: Ported, what: str, errors: Sequence[Array]) -> dict[str, Any]:
    return {
        "lstm": lstm.name,
        "what": what,
        "numbers": int(sum(error.size for error in errors)),
        "rounded": int(sum(np.count_nonzero(error) for error in errors)),
        "max_abs": float(max(error.max() for error in errors)),
    }


def verdict_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """`disagree`, `error` or `agree`.

    `disagree` for anything proven or suspected wrong, `error` for a crash or no match at all.
    """
    seen = {row["verdict"] for row in rows}
    if seen & {"mismatch", "suspect"}:
        return "disagree"
    return "error" if "crashed" in seen or "match" not in seen else "agree"


def checksum(content: Mapping[str, Any]) -> str:
    """A hash over everything a certificate says but the hash itself."""
    rest = {key: value for key, value in content.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_certificate(path: Path) -> dict[str, Any]:
    """The content of a certificate.

    Raises:
        UserError: for a file that is missing or none of this kind.
    """
    try:
        if path.stat().st_size > 1 << 28:
            raise ValueError("it is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND or content["schema"] != SCHEMA:
            raise ValueError(f"kind {content['kind']!r}, schema {content['schema']!r}")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); expected a certificate, X.xcheck.json") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no certificate ({error}); make one with: lstm-xcheck port SRC DST") from error
    found: dict[str, Any] = content
    return found


def fingerprints(weights: LSTMWeights) -> dict[str, Any]:
    """What identifies weights in a certificate."""
    return {"fingerprint": weights.fingerprint, "dtype": weights.dtype, "spec": weights.spec.to_dict()}


def largest(rows: Sequence[Mapping[str, Any]]) -> float:
    """The largest error / bound among rows."""
    scores = [float(row["score"]) for row in rows if row["score"] is not None]
    return max(scores, default=0.0)
