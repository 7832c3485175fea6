"""A program as an adapter, in a worker."""

from __future__ import annotations

import json
import os
import shlex

from ...model import Case, Result
from ..without_model import WithoutModel
from . import message
from .entries import PROGRAM
from .process import Program


class ProgramAdapter(WithoutModel):
    """Runs a program that speaks the protocol; it starts with the first case."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._program = Program(json.loads(os.environ[PROGRAM]))

    def environment(self) -> dict[str, str]:
        """The command."""
        return {"program": shlex.join(self._program.command)}

    def unsupported(self, case: Case) -> str | None:
        """What the protocol lacks; the program itself refuses what it lacks."""
        return message.refusal(case)

    def run(self, model: None, case: Case) -> Result:
        """Ask the program."""
        self._program.start()
        asked = message.question(case, self._program.layout)
        return message.result(self._program.ask(asked.width, message.body(asked), asked.most_bytes), asked)
