"""Click options of several verbs, and parsers of their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from ..errors import UserError

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Type of every argument and option that is a path.
PATH = click.Path(path_type=Path)


#: What the shell completes -> where the names are; modules are imported when a key is pressed.
_NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "adapters": lambda: _import("adapters").known(),
    "presets": lambda: _import("engine.presets").PRESETS,
    "layouts": lambda: (row.name for row in _import("layouts").TABLE),
    "formats": lambda: (row.id for row in _import("checkpoints.formats").FORMATS if row.writer),
    "verdicts": lambda: _import("compare").VERDICTS,
    "precisions": lambda: _import("arrays").STORAGE,
}


def _import(name: str) -> Any:
    return import_module(f"lstm_xcheck.{name}")


class Named(click.types.StringParamType):
    """Text that the shell completes by names, also after a comma or FILE=."""

    name = "text"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin like the last word."""
        word = re.split("[,=]", incomplete)[-1]
        before = incomplete.removesuffix(word)
        return [CompletionItem(f"{before}{name}") for name in _NAMES[self.kind]() if name.startswith(word)]


ADAPTERS, PRESET, LAYOUT, FORMAT, VERDICT, PRECISION = map(Named, _NAMES)


class _Bash(BashComplete):
    """Bash, which cuts FILE=NAME into three words and replaces the last."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before, and the one that is typed, put together again."""
        args, word = super().get_completion_args()
        if word == "=" and args:
            return args[:-1], f"{args[-1]}="
        return (args[:-2], f"{args[-2]}={word}") if args[1:] and args[-1] == "=" else (args, word)

    def format_completion(self, item: CompletionItem) -> str:
        """What stands after "="."""
        return f"{item.type},{item.value.rpartition('=')[2]}"


add_completion_class(_Bash)


def _group(*options: Callable[[_Function], _Function]) -> Callable[[_Function], _Function]:
    """One decorator that adds the options in this order."""

    def add(function: _Function) -> _Function:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def report_options(
    files: str = "FILE.{html,json,xml,md,sarif}", what: str = "the JSON report"
) -> Callable[[_Function], _Function]:
    """Add --report, --json, -q, -v and --color."""
    colors = click.Choice(["auto", "always", "never"])
    return _group(
        click.option("--report", "reports", multiple=True, type=PATH, metavar="FILE", help=f"Write {files}."),
        click.option("--json", "as_json", is_flag=True, help=f"Print {what} on stdout and nothing else."),
        click.option("-q", "--quiet", is_flag=True, help="Print the last line alone."),
        click.option("-v", "--verbose", is_flag=True, help="Print every row, count, note and statement of power."),
        click.option("--color", type=colors, default="auto", help="Colours; auto obeys NO_COLOR.  [default: auto]"),
    )


#: Add the options that describe an LSTM.
spec_options = _group(
    click.option("--input-size", type=int, metavar="X", help="Features per step."),
    click.option("--hidden-size", type=int, metavar="H", help="Units."),
    click.option("--layers", type=int, default=1, show_default=True, metavar="N", help="Stacked layers."),
    click.option("--bidirectional", is_flag=True, help="Each layer also reads the sequence backward."),
    click.option("--proj-size", type=int, default=0, metavar="P", help="Width of the projected h; 0 for none."),
    click.option("--bias", type=click.Choice(["split", "single", "none"]), help="Two vectors, one, or none."),
)

#: Add --precision.
precision_option = click.option(
    "--precision", metavar="NAME", type=PRECISION, help="float32, float64, bfloat16 or float16 for every case."
)

#: Add --layout of verbs that take several files: `NAME` for all of them, `FILE=NAME` for one.
layouts_option = click.option(
    "--layout", "layouts", multiple=True, metavar="NAME", type=LAYOUT,
    help="The layout of files whose names do not say it; FILE=NAME for one file alone.",
)  # fmt: skip


#: Add the options that say of a Keras file what it does not say itself.
keras_options = _group(
    click.option(
        "--keras-config", type=PATH, metavar="FILE", help="The JSON or YAML of the model, for a Keras file without it."
    ),
    click.option("--activation", metavar="NAME", help="Of a Keras LSTM whose file does not say it."),
    click.option("--recurrent-activation", metavar="NAME", help="The same of its gates, such as hard_sigmoid."),
    click.option("--go-backwards", is_flag=True, help="The Keras LSTMs read backward; their file does not say it."),
    click.option(
        "--accept-class", multiple=True, metavar="NAME", help="A Keras class that computes what LSTM does; repeatable."
    ),
)


def layouts_for(texts: Sequence[str], files: Sequence[Path]) -> list[str | None]:
    """The layout that --layout gives each file, or None."""
    layouts: list[str | None] = [None] * len(files)
    for text in texts:
        file, _, name = text.rpartition("=")
        places = [place for place, path in enumerate(files) if not file or file in (str(path), path.name)]
        if not places:
            raise UserError(f"--layout {text!r} should name one of {', '.join(map(str, files)) or 'the files given'}")
        for place in places:
            if layouts[place] is not None:
                raise UserError(f"--layout {text!r}: {files[place]} has --layout {layouts[place]} already; give one")
            layouts[place] = name
    return layouts


def adapter_names(text: str | None, nothing: str = "nothing") -> list[str] | None:
    """The names in --adapters, or None without that option."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"--adapters names {nothing}; write for example --adapters torch,jax")
    return names


def own_option(verb: str) -> Callable[[_Function], _Function]:
    """The option `--adapter NAME=TARGET` of a command."""
    text = f"{verb} your own: MODULE:FUNCTION, cmd:PROGRAM or lib:PATH:SYMBOL."
    return click.option("--adapter", "functions", multiple=True, metavar="NAME=TARGET", help=text)
