"""`record`: keep the outputs of installed frameworks for `replay`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import ADAPTERS, PATH, PRESET, adapter_names, own_option, precision_option
from .output import say

if TYPE_CHECKING:
    from ..recordings import Recording


@click.command("record")
@click.option("--out", type=PATH, required=True, metavar="FILE", help="Write this .npz file.")
@click.option("--env", "environment", default="", metavar="NAME", help="Name of this environment, such as py311-torch.")
@click.option("--run", "run_id", default="", metavar="ID", help="Run it belongs to; default: a digest of the content.")
@click.option(
    "--adapters",
    metavar="A,B",
    type=ADAPTERS,
    help="Adapters to ask; default: all whose framework is installed.",
)
@own_option("Ask")
@click.option(
    "--preset",
    metavar="NAME",
    type=PRESET,
    help="Cases to ask: quick, standard or deep.  [default: standard]",
)
@click.option("--grid", "grid_text", metavar="AXES", help='Cases to ask: "hidden=1,32 steps=1,20 bias=split,none".')
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Ask every case with N seeds.")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", default=0, help="First seed.  [default: 0]")
@precision_option
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Workers at a time.  [default: one per core]")
@click.option("--worker", "workers", multiple=True, metavar="NAME=PYTHON", help="Run an adapter by another Python.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=120.0, metavar="S", help="Seconds for one case.")
def command(**arguments: Any) -> int:
    """Ask the frameworks of this environment deterministic cases
    and keep what they answer in one file.

    Nothing is judged here. `lstm-xcheck replay` judges any number of such files, in any environment that has NumPy,
    and notices when the cases were not the same there. An existing recording is replaced, any other file is not.
    """
    from ..engine.custom_adapters import chosen_entries
    from ..recordings.schema import is_name
    from ..runs.record import record
    from .parsed_options import RecordOptions

    options = RecordOptions(**arguments)
    for option, text in (("--env", options.environment), ("--run", options.run_id)):
        if text and not is_name(text):
            raise UserError(f"{option} is {text!r}, but should be letters, digits and . _ + - =")
    options.check_precision()
    check_target(options.out)
    pythons = options.pythons()
    entries = chosen_entries(adapter_names(options.adapters), options.functions, pythons)
    plan = options.plan(options.recipes(), entries, pythons)
    cells = len(plan.cases) * len(plan.entries)
    with click.progressbar(length=cells, label=f"recording {cells} cells", file=sys.stderr) as bar:
        recording = record(plan, options.environment, options.run_id, bar.update)
    _write(recording, options.out)
    return 2 if _summarize(recording, options.out) else 0


def check_target(path: Path) -> None:
    """Refuse a file that cannot or should not be written."""
    if path.suffix != ".npz":
        raise UserError(f"--out {path}: the suffix is {path.suffix!r}, but a recording is an .npz file")
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder, but should be a file to write")
    if path.exists() and b"manifest.npy" not in _beginning(path):
        raise UserError(f"--out {path}: exists and is no recording, so it is not written over; choose another name")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _write(recording: Recording, path: Path) -> None:
    from ..atomic_files import write_atomically
    from ..recordings import encode

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, encode(recording))
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written: {error.strerror}") from error


def _summarize(recording: Recording, path: Path) -> int:
    """Print a line per adapter and crash; returns the number of crashes."""
    size = path.stat().st_size / 1e6
    named = f"environment {recording.environment}, " if recording.environment else ""
    say(f"{path}: {named}run {recording.run}, {len(recording.questions)} cases, {size:.2f} MB")
    crashes = [answer for answer in recording.answers if answer.kind == "crashed"]
    for adapter in recording.adapters:
        kinds = Counter(answer.kind for answer in recording.answers if answer.adapter == adapter)
        say(f"  {adapter}: {', '.join(f'{kinds[kind]} {kind}' for kind in sorted(kinds))}")
    for answer in crashes[:5]:
        say(f"  CRASHED {answer.adapter}, case {answer.question}: {answer.reason}")
    return len(crashes)
