"""Entries of programs and libraries, as users give them."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from ...errors import AdapterError
from ..entry import Entry

#: Environment variables of a worker: the command of a program, or the path and function of a library, as JSON.
PROGRAM, LIBRARY = "LSTM_XCHECK_PROGRAM", "LSTM_XCHECK_LIBRARY"
_TARGETS = {
    PROGRAM: "lstm_xcheck.adapters.program.adapter:ProgramAdapter",
    LIBRARY: "lstm_xcheck.adapters.program.library:LibraryAdapter",
}


@dataclass(frozen=True)
class Implementation:
    """An LSTM of another language: a program's command, or a library's path and function.

    Attributes:
        variable: `PROGRAM` or `LIBRARY`.
        words: the command, or path and function.
    """

    variable: str
    words: tuple[str, ...]

    def entry(self, name: str) -> Entry:
        """The adapter of that name."""
        return Entry(
            name, _TARGETS[self.variable], variables={self.variable: json.dumps(self.words)},
            summary=f"the {'program' if self.variable == PROGRAM else 'library'} {shlex.join(self.words)}",
        )  # fmt: skip

    @property
    def files(self) -> list[Path]:
        """The files among its words: what determines its answers."""
        return sorted({path for word in self.words if (path := Path(shutil.which(word) or word)).is_file()})


def program(command: str, *arguments: str) -> Implementation:
    """A program that speaks the protocol, for the adapters of `verify`.

    Args:
        command: its path, or its name where it is on the PATH.
        arguments: what it is given.

    Raises:
        AdapterError: where there is no such program.

    >>> verify(case, {"mine": program("./my_lstm")}).verdict  # doctest: +SKIP
    'agree'
    """
    found = shutil.which(command)
    if found is None:
        why = "is no program that may be run" if Path(command).exists() else "was not found"
        raise AdapterError(f"the program {command!r} {why}; give the path of one, such as ./my_lstm")
    return Implementation(PROGRAM, (str(Path(found).absolute()), *arguments))


def library(path: str | Path, symbol: str) -> Implementation:
    """A function of a shared library, for the adapters of `verify`.

    Args:
        path: such as `./libmine.so`.
        symbol: the function's name.

    Raises:
        AdapterError: where there is no such file.

    >>> verify(case, {"mine": library("./libmine.so", "my_lstm")}).verdict  # doctest: +SKIP
    'agree'
    """
    if not Path(path).is_file():
        raise AdapterError(f"the library {str(path)!r} was not found; give the path of a shared library")
    return Implementation(LIBRARY, (str(Path(path).absolute()), symbol))


def parse(text: str) -> Implementation | None:
    """`cmd:PROGRAM [ARGS]` or `lib:PATH:SYMBOL`; None for anything else.

    Raises:
        AdapterError: where the program or the library is not there.
    """
    kind, _, rest = text.partition(":")
    if kind == "cmd":
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise AdapterError(f"the command {rest!r} cannot be split into words: {error}") from error
        if not words:
            raise AdapterError("cmd: names no program; write cmd:PROGRAM, or 'cmd:PROGRAM ARGUMENTS'")
        return program(*words)
    if kind != "lib":
        return None
    path, _, symbol = rest.rpartition(":")
    if not path or not symbol.isidentifier():
        raise AdapterError(f"lib:{rest} should be written lib:PATH:SYMBOL, such as lib:./libmine.so:my_lstm")
    return library(path, symbol)
