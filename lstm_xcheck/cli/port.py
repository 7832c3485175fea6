"""`port`: one framework's checkpoint as another's."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from ..errors import UserError
from .options import FORMAT, LAYOUT, PATH, keras_options
from .output import say

_CODES = {"agree": 0, "disagree": 1, "error": 2}


@click.command("port")
@click.argument("src", type=PATH)
@click.argument("dst", type=PATH)
@click.option(
    "--to",
    metavar="FORMAT",
    type=FORMAT,
    help="What to write, such as torch or keras; default: by the suffix of DST.",
)
@click.option("--layer", metavar="NAME", help="Port this LSTM alone and leave the rest out.")
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD=NEW",
    help="Give layers other names, a=b,c=d; a,b=NEW makes one stack.",
)
@click.option("--like", type=PATH, metavar="FILE", help="Fill the LSTMs of this checkpoint.")
@click.option("--force", is_flag=True, help="Replace DST if it exists.")
@click.option("--lstm-only", is_flag=True, help="Leave all other layers out.")
@click.option("--leave-out", multiple=True, metavar="NAME", help="Leave out this tensor, module or LSTM.")
@click.option("--without", multiple=True, metavar="CLIP", help="Leave out cell_clip, gate_clip or proj_clip.")
@click.option("--layout", metavar="NAME", type=LAYOUT, help="The layout of SRC, where its names do not say it.")
@keras_options
@click.option("--json", "as_json", is_flag=True, help="Print the certificate on stdout and nothing else.")
def command(src: Path, dst: Path, renames: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Write SRC as DST, for another framework, and verify it:
    LSTMs and the layers beside them.

    DST is read back and compared bit for bit before it gets its name; then both are run and judged. The proof is kept
    in DST.xcheck.json; `recheck` repeats it. For example: lstm-xcheck port model.keras model.pt
    """
    from ..porting.port import port
    from .output import print_json

    renamed = parse_renames(renames)
    with status(f"porting {src} to {dst}"):
        certificate = port(src, dst, rename=renamed, **options)
    if as_json:
        print_json(certificate, allow_nan=False)
    else:
        say("\n".join(_lines(dst, certificate)))
    return _CODES[certificate["verdict"]]


def status(text: str) -> AbstractContextManager[Any]:
    """A spinner with this text, where stderr is a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.markup import escape

    return Console(stderr=True).status(f"{escape(text)} and running both")


def parse_renames(texts: Sequence[str]) -> dict[str, str]:
    """`OLD=NEW` options as a mapping; `a=b,c=d` are two, and `a,b=c` is a stack."""
    renames: dict[str, str] = {}
    for text in texts:
        first, *rest = text.split("=")
        news = [part.partition(",") for part in rest[:-1]]
        olds = [first, *(old for _, _, old in news)]
        if not rest or not all(olds) or "," in rest[-1]:
            raise UserError(f"--rename {text!r} should be written OLD=NEW, such as lstm=encoder, or OLD=NEW,OLD=NEW")
        for old, new in zip(olds, [*(new for new, _, _ in news), rest[-1]], strict=True):
            if old in renames:
                raise UserError(f"--rename names {old!r} twice; give it once")
            renames[old] = new
    return renames


def _lines(dst: Path, certificate: Mapping[str, Any]) -> list[str]:
    from ..checkpoints.codecs.limits import shortlist
    from ..porting.port import SUFFIX

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
    copied = [entry["source"] for entry in certificate["copied"]]
    lines += [f"  copied as they are: {len(copied)} other tensors: {shortlist(copied)}"] if copied else []
    lines += [f"  left out: {name}" for name in certificate["left_out"]]
    if certificate["training"]:
        lines.append(
            f"  left out: {len(certificate['training'])} tensors of training: {shortlist(certificate['training'])}"
        )
    lines += [f"  note: {name}: {note}" for name, notes in certificate["notes"].items() for note in notes]
    lines += [f"  {line}" for line in _verdicts(certificate)]
    lines += ["  load it with:", *(f"    {line}" for line in certificate["code"].splitlines())]
    return [*lines, f"{certificate['verdict'].upper()}: the proof is in {dst}{SUFFIX}"]


def _verdicts(certificate: Mapping[str, Any]) -> list[str]:
    from ..porting.certificate import largest

    rows = certificate["rows"]
    ran = ", ".join(f"{role}: {', '.join(('oracle', *names))}" for role, names in certificate["adapters"].items())
    counts = Counter(row["verdict"] for row in rows)
    summary = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    lines = [f"verified ({ran}): {summary}; largest error {largest(rows):.2g} of its bound"]
    other = [row for row in rows if row["verdict"] != "match"]
    reasons = {f"{row['verdict']}: {row['adapter']}, {row['role']}: {row['reason']}" for row in other}
    return lines + sorted(reasons)
