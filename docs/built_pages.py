"""What the site has of the command line and of the public names, from click and from the docstrings.

A page has the mark `<!-- built: command_line -->` where it belongs. Without the site `--help` and `help()` say it.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator

import click

import lstm_xcheck
from lstm_xcheck.cli.main import VERBS, cli
from lstm_xcheck.project_settings import SETTINGS

_RETURNED = "What functions return"
#: First word of a module within the package -> the section of the classes in it.
_SECTIONS = {"model": "LSTMs, cases and results", "report": "LSTMs, cases and results", "errors": "Errors"}
#: Beyond the names of `lstm_xcheck` itself.
_MORE = {
    "Strategies for Hypothesis": ["::: lstm_xcheck.strategies\n"],
    "What an adapter implements": ["::: lstm_xcheck.adapters.protocol.Adapter\n"],
}


def command_line() -> str:
    """A section for each verb: what it does, its arguments and its options."""
    top = click.Context(cli, info_name="lstm-xcheck")
    verbs = [f"- [`{verb}`](#{verb}): {summary}" for verb, summary in VERBS.items()]
    return "\n".join([*verbs, *(line for verb in VERBS for line in _verb(verb, top))])


def _verb(verb: str, top: click.Context) -> Iterator[str]:
    command = cli.get_command(top, verb)
    assert command is not None
    context = click.Context(command, info_name=verb, parent=top)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"\n### {verb}\n\n{inspect.cleandoc(command.help or '')}\n\n```text\n{usage}\n```\n"
    yield "| option | meaning |\n| --- | --- |"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            names, meaning = (text.replace("|", "\\|") for text in record)
            yield f"| `{names}` | {meaning} |"


def settings() -> str:
    """A row for each setting of a project."""
    verify = cli.get_command(click.Context(cli), "verify")
    options = {option.name: option.opts[0] for option in verify.params} if verify else {}
    rows = [f"| `{name} = {example}` | `{options[name]}` |" for name, (_, example) in SETTINGS.items()]
    return "\n".join(["| setting | as the option |", "| --- | --- |", *rows])


def python() -> str:
    """A directive of mkdocstrings for each public name, and for the types that public functions return."""
    sections: dict[str, list[str]] = {title: [] for title in ("Functions", *_SECTIONS.values(), _RETURNED)}
    public = {name: getattr(lstm_xcheck, name) for name in lstm_xcheck.__all__ if not name.startswith("__")}
    for name, value in public.items():
        sections[_section(value)].append(_directive(_defined(value), f"lx.{name}"))
    returned = _returned(public.values()) - {_defined(value) for value in public.values()}
    sections[_RETURNED] += [_directive(name, name.rpartition(".")[2]) for name in sorted(returned)]
    return "\n".join(f"## {title}\n\n" + "\n".join(directives) for title, directives in {**sections, **_MORE}.items())


def _section(value: object) -> str:
    return _SECTIONS.get(value.__module__.split(".")[1], _RETURNED) if inspect.isclass(value) else "Functions"


def _directive(name: str, heading: str) -> str:
    """Where it is defined, since `lstm_xcheck.diagnose` is a package for whoever does not run it; `#lx.diagnose`."""
    options = f"    options:\n      heading: {heading}\n      toc_label: {heading}\n"
    return f'<a id="{heading}"></a>\n\n::: {name}\n{options}'


def _returned(public: Iterable[object]) -> set[str]:
    """The package's own types in the return annotations of functions."""
    hints = [typing.get_type_hints(value).get("return") for value in public if inspect.isfunction(value)]
    types = [one for hint in hints for one in (hint, *typing.get_args(hint)) if inspect.isclass(one)]
    return {_defined(one) for one in types if one.__module__.startswith("lstm_xcheck.")}


def _defined(value: object) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"


#: Mark -> what takes its place.
BUILT: dict[str, Callable[[], str]] = {"command_line": command_line, "python": python, "settings": settings}
