"""`vectors`: test vectors for implementations in any language."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import PATH, spec_options
from .output import say

if TYPE_CHECKING:
    from ..model import LSTMSpec
    from ..vectors import Wanted

_FORMATS = ["c", "rust", "json", "npz", "onnx", "pytest"]
#: What the vectors kill, beside those of the format.
_STATEMENT = "mistakes.json"
#: More are no small case.
_MOST_PARAMETERS = 100_000
#: Of more layers and directions, the search takes too long.
_MOST_CELLS = 8


@click.command("vectors")
@click.option("--format", "format_name", type=click.Choice(_FORMATS), required=True, help="What to write.")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The folder to write into; made if missing.")
@click.option("--like", type=PATH, metavar="FILE", help="The kind of LSTM that a checkpoint holds, in small.")
@click.option("--layer-name", metavar="NAME", help="Which LSTM of FILE, where it holds several.")
@spec_options
@click.option("--no-lengths", is_flag=True, help="The implementation knows no lengths.")
@click.option("--no-empty-rows", is_flag=True, help="It refuses rows of length 0.")
@click.option("--no-states", is_flag=True, help="It takes no initial states.")
@click.option("--one-row", is_flag=True, help="It takes one sequence at a time.")
@click.option("--cases", type=click.IntRange(min=1), metavar="N", help="At most N cases.  [default: as many as needed]")
@click.option("--budget-kb", type=click.FloatRange(min=0.1), metavar="N", help="At most N kilobytes of numbers.")
@click.option(
    "--allow", type=click.FloatRange(min=0.0), default=0.0, metavar="E", help="Allow every number this error."
)
@click.option("--force", is_flag=True, help="Replace files of these names.")
@click.option("--json", "as_json", is_flag=True, help="Print what the vectors kill as JSON and nothing else.")
def command(**arguments: Any) -> None:
    """Write the fewest small cases that catch every mistake
    of the catalogue, for implementations in any language.

    Each mistake is planted in all layers and directions at once and in every single one. A number is right if it is as
    near to the expected one as honest rounding in float32 leads; --allow is for kernels that approximate. Sizes that
    are not given are chosen small.

    For example: lstm-xcheck vectors --format c --out vectors --bidirectional
    """
    from ..atomic_files import write_atomically
    from ..vectors import Statement, find_vectors
    from ..vectors.formats import FORMATS
    from .output import print_json

    out, name = arguments["out"], arguments["format_name"]
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file, but should be a folder to write into; choose another name")
    wanted = _wanted(arguments, FORMATS[name].uniform)
    if name == "onnx":
        _check_operator(wanted.spec)
    budget, force = arguments["budget_kb"], arguments["force"]
    _refuse_existing(out, [] if force else [_STATEMENT])  # before a search that may take a minute
    with _progress() as progress:
        most_bytes = None if budget is None else int(1024 * budget)
        found = find_vectors(wanted, most_cases=arguments["cases"], most_bytes=most_bytes, progress=progress)
        if not found.kills:
            raise UserError(f"--allow {wanted.allow:g} lets every mistake pass; allow less")
        statement = Statement(found)
        data = statement.to_dict()
    files = {**FORMATS[name].files(found), _STATEMENT: (json.dumps(data, indent=1) + "\n").encode()}
    _refuse_existing(out, [] if force else files)
    for path, content in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out / path, content)
    if arguments["as_json"]:
        print_json(data)
        return
    tops = ", ".join(dict.fromkeys(path.partition("/")[0] for path in files))
    say("\n".join([*statement.lines(), f"written to {out}: {tops}; {FORMATS[name].use}"]))


def _wanted(arguments: dict[str, Any], uniform: bool) -> Wanted:
    from ..vectors import Wanted

    if arguments["like"] is None and arguments["layer_name"] is not None:
        raise UserError(f"--layer-name {arguments['layer_name']} chooses an LSTM of --like FILE, which is missing")
    spec, fixed = _described(arguments) if arguments["like"] is None else _like(arguments)
    if (cells := spec.num_layers * spec.num_directions) > _MOST_CELLS:
        raise UserError(
            f"{cells} layers and directions are too many to plant every mistake in each; take {_MOST_CELLS} or fewer, "
            "which show the same mistakes"
        )
    one_row, lengths = arguments["one_row"], not (arguments["no_lengths"] or arguments["one_row"])
    return Wanted(
        spec=spec, fixed=frozenset(fixed), states=not arguments["no_states"], lengths=lengths, one_row=one_row,
        empty_rows=not arguments["no_empty_rows"], allow=arguments["allow"], uniform=uniform,
    )  # fmt: skip


def _described(arguments: dict[str, Any]) -> tuple[LSTMSpec, list[str]]:
    """The spec of the options, and which of its sizes were given."""
    from .parsed_options import SpecOptions

    fixed = [name for name in ("input_size", "hidden_size") if arguments[name] is not None]
    small = {"input_size": 1, "hidden_size": arguments["proj_size"] + 1}
    given = {field: arguments[field] for field in ("layers", "bidirectional", "proj_size", "bias")}
    spec = SpecOptions(**given, **{k: small[k] if arguments[k] is None else arguments[k] for k in small}).spec()
    if spec.parameter_count > _MOST_PARAMETERS:
        raise UserError(
            f"an LSTM of these sizes has {spec.parameter_count:,} parameters, but vectors have {_MOST_PARAMETERS:,} or "
            "fewer; leave the sizes out, and small ones are chosen"
        )
    return spec, fixed


def _like(arguments: dict[str, Any]) -> tuple[LSTMSpec, list[str]]:
    """The spec of a checkpoint's LSTM, whose sizes are not kept."""
    from dataclasses import fields, replace

    from ..tracing import load_lstm
    from .parsed_options import SpecOptions

    for field in fields(SpecOptions):
        if arguments[field.name] not in (field.default, None):
            raise UserError(f"--{field.name.replace('_', '-')} and --like both say what the LSTM is; give one of them")
    spec = load_lstm(arguments["like"], arguments["layer_name"])[0].spec
    proj_size = min(spec.proj_size, 3)
    return replace(spec, input_size=1, hidden_size=proj_size + 1, proj_size=proj_size), []


def _check_operator(spec: LSTMSpec) -> None:
    """Refuse what ONNX' operator does not have, and a Python without onnx."""
    from importlib.util import find_spec

    from ..layouts.onnx_node import NotInSpecError, node_attributes

    if find_spec("onnx") is None:
        raise UserError(
            "--format onnx needs onnx, which this Python does not have; run: pip install 'lstm-xcheck[onnx]'"
        )
    try:
        node_attributes(spec)
    except NotInSpecError as reason:
        raise UserError(f"{reason}; choose another --format") from reason


def _refuse_existing(out: Path, names: Iterable[str]) -> None:
    there = [name for name in names if (out / name).exists()]
    if there:
        raise UserError(f"{out / there[0]} exists already and was left as it is; choose another --out, or add --force")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Shows what is being done on stderr, if stderr is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda doing: None
        return
    with console.status("drawing cases") as status:
        yield status.update
