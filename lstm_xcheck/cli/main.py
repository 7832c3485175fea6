"""The command `lstm-xcheck`; imports a verb only to run it."""

from __future__ import annotations

import io
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..errors import DisagreementError, UnreadLSTMWarning, XcheckError, unknown
from ..project_settings import project_settings

#: Verb -> its one-line help; the module of that name defines `command`.
VERBS = {
    "verify": "Check that LSTMs give the same answers in every framework (the main job).",
    "compare": "Say whether two checkpoints hold the same LSTM, and what differs if not.",
    "port": "Write a checkpoint for another framework, verified, with a certificate.",
    "recheck": "Repeat what a certificate claims, offline.",
    "inspect": "Show the LSTMs of a checkpoint: spec, layout, parameter counts.",
    "diagnose": "Name the mistake that explains outputs you observed.",
    "fuzz": "Look for a disagreement, shrink it, name it and write a test that shows it.",
    "vectors": "Write the fewest small cases that catch every mistake, for any language.",
    "score": "Count the mistakes that a test suite would catch, by planting each.",
    "params": "Count parameters under each convention and say why the numbers differ.",
    "trace": "Show gates and states step by step.",
    "layouts": "Show how each framework orders, orients and names its arrays.",
    "record": "Keep what the frameworks of this environment answer, in one file.",
    "replay": "Judge recordings of any environments, live frameworks beside them if asked.",
    "report": "Show, filter or convert what a long run has kept in its folder.",
    "merge": "Put the shards of a run together.",
    "atlas": "Run every feature in every runtime: right, refused, or silently wrong.",
    "adapters": "Show which frameworks are installed and what each supports.",
    "doctor": "Show this environment, what it lacks, and what is known to go wrong in it.",
}


#: Verbs to which [tool.lstm-xcheck] of pyproject.toml applies.
_CONFIGURED = ("verify", "record", "fuzz")


class LazyGroup(click.Group):
    """A group that imports commands on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module; another name is a usage error."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"lstm_xcheck.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb; an unknown one is told with the nearest."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(unknown("verb", args[0], VERBS), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lstm-xcheck")
@click.pass_context
def cli(context: click.Context) -> None:
    """Prove that an LSTM is the same LSTM in every framework,
    and name the mistake when it is not.

    Exit codes: 0 agree; 1 disagreement; 2 usage error, bad input, crashed, or nothing compared; 130 interrupted.
    Options that a project always gives may stand under [tool.lstm-xcheck] in its pyproject.toml.
    """
    if context.invoked_subcommand in _CONFIGURED:
        context.default_map = {context.invoked_subcommand: project_settings(Path.cwd())}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """The exit code of a command line; an error is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name or message may have letters that it cannot write
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UnreadLSTMWarning)
            warnings.showwarning = _show
            code: Any = cli.main(args=arguments, prog_name="lstm-xcheck", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk is told now, not while Python ends
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("interrupted", err=True)
        return 130
    except XcheckError as error:
        click.echo(f"Error: {error}", err=True)
        return 1 if isinstance(error, DisagreementError) else 2
    except MemoryError:
        click.echo("Error: there is not enough memory for LSTMs of these sizes; use smaller ones", err=True)
        return 2
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; Python would complain again while flushing at exit.
        sys.stdout = None
        return 0
    except OSError as error:
        click.echo(f"Error: {_told(error)}", err=True)
        return 2


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    """Shows a warning as one sentence, without the place that warns."""
    click.echo(f"Warning: {message}", err=True)


def _told(error: OSError) -> str:
    """What the operating system refuses, in one sentence."""
    if error.filename is not None:
        return f"{error.filename} cannot be read or written: {error.strerror}"
    if isinstance(error, FileNotFoundError):
        return "the working folder does not exist any more; change to another"
    sys.stdout = None  # Python would complain again while flushing at exit
    return f"standard output cannot be written to: {error.strerror or error}"
