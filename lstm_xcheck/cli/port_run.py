"""What `port` and `recheck` do once their options are read."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from ..checkpoints.codecs.limits import shortlist
from ..errors import UserError
from ..porting.certificate import largest
from ..porting.port import SUFFIX, port
from ..porting.recheck import recheck

_CODES = {"agree": 0, "disagree": 1, "error": 2}


def run_port(
    src: Path, dst: Path, to: str | None, layer: str | None, renames: Sequence[str], like: Path | None, force: bool,
    lstm_only: bool, without: Sequence[str], layout: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Port, print; returns the exit code."""
    renamed = parse_renames(renames)
    with _shown(f"porting {src} to {dst}"):
        certificate = port(
            src, dst, to=to, layer=layer, rename=renamed, like=like, force=force, lstm_only=lstm_only, without=without,
            layout=layout,
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(certificate, indent=1, allow_nan=False))
    else:
        click.echo("\n".join(_lines(dst, certificate)))
    return _CODES[certificate["verdict"]]


def run_recheck(path: Path) -> int:
    """Repeat a certificate; returns the exit code."""
    with _shown(f"rechecking {path}"):
        summary = recheck(path)
    click.echo(summary)
    return 0


def _shown(text: str) -> AbstractContextManager[Any]:
    """A sign of life while a verb works, on a terminal alone."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.markup import escape

    return Console(stderr=True).status(f"{escape(text)} and running both")


def parse_renames(texts: Sequence[str]) -> dict[str, str]:
    """`OLD=NEW` options as a mapping.

    Raises:
        UserError: for another form, or the same OLD twice.
    """
    renames: dict[str, str] = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not equals or not old:
            raise UserError(f"--rename {text!r} should be written OLD=NEW, such as lstm=encoder")
        if old in renames:
            raise UserError(f"--rename names {old!r} twice; give it once")
        renames[old] = new
    return renames


def _lines(dst: Path, certificate: Mapping[str, Any]) -> list[str]:
    source, target = certificate["source"], certificate["destination"]
    lines = [f"{source['path']} ({source['format']}) -> {dst} ({target['format']}, {target['bytes']:,} bytes)"]
    for lstm in certificate["lstms"]:
        spec = lstm["spec"]
        size = f"input {spec['input_size']}, hidden {spec['hidden_size']}, layers {spec['num_layers']}"
        size += ", bidirectional" if spec["bidirectional"] else ""
        lines.append(f"  {lstm['source']} -> {', '.join(lstm['destination'])}: {size}, {lstm['dtype']}")
    for layer in certificate["layers"]:
        sizes = ", ".join(f"{part} {'x'.join(map(str, shape)) or 1}" for part, shape in layer["shapes"].items())
        lines.append(f"  {layer['source']} -> {layer['destination']}: {layer['kind']}, {sizes}, {layer['dtype']}")
    for loss in certificate["losses"]:
        lines.append(
            f"  loss: {loss['lstm']}: {loss['what']}; {loss['rounded']} of {loss['numbers']} were rounded, "
            f"the largest by {loss['max_abs']:.2g}"
        )
    lines += [] if certificate["losses"] else ["  loss: none, every bit is kept"]
    lines += [f"  left out: {name}" for name in certificate["left_out"]]
    if certificate["training"]:
        lines.append(
            f"  left out: {len(certificate['training'])} tensors of training: {shortlist(certificate['training'])}"
        )
    lines += [f"  note: {name}: {note}" for name, notes in certificate["notes"].items() for note in notes]
    lines += [f"  {line}" for line in _verdicts(certificate)]
    return [*lines, f"{certificate['verdict'].upper()}: the proof is in {dst}{SUFFIX}"]


def _verdicts(certificate: Mapping[str, Any]) -> list[str]:
    rows = certificate["rows"]
    ran = ", ".join(f"{role}: {', '.join(('oracle', *names))}" for role, names in certificate["adapters"].items())
    counts = Counter(row["verdict"] for row in rows)
    summary = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    lines = [f"verified ({ran}): {summary}; largest error {largest(rows):.2g} of its bound"]
    other = [row for row in rows if row["verdict"] != "match"]
    reasons = {f"{row['verdict']}: {row['adapter']}, {row['role']}: {row['reason']}" for row in other}
    return lines + sorted(reasons)
