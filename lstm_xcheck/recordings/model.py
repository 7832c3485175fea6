"""The content of a recording."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..errors import UserError
from ..model import Result

Kind = Literal["answered", "unsupported", "crashed"]


class RecordingError(UserError):
    """A recording that cannot be read, or that contradicts itself."""


@dataclass(frozen=True)
class Question:
    """A case: its recipe, and a fingerprint of what was asked.

    Attributes:
        id: the case's readable name.
        recipe: the fields of the recipe, which makes the same case again.
        fingerprint: sha256 over weights and data as the recording environment saw them.
    """

    id: str
    recipe: Mapping[str, Any]
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer of one adapter to one question.

    Attributes:
        question: id of the question.
        adapter: its name.
        kind: `answered`, `unsupported` or `crashed`.
        result: the answer, without the weights read back; None unless `answered`.
        weights_hash: sha256 over the weights read back from the framework, "" when there are none.
        reason: why there is no answer.
    """

    question: str
    adapter: str
    kind: Kind
    result: Result | None = None
    weights_hash: str = ""
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Recording:
    """Questions and answers of one environment.

    Attributes:
        environment: a name such as `py311-torch`, or "" for none.
        run: the run it belongs to; without one, a digest of all that is recorded.
        made_by: versions of lstm-xcheck, Python and NumPy, and the platform.
        layouts: adapter -> the row of the layout table that describes its arrays.
        questions: in the order in which they were asked, each with an id of its own.
        answers: at most one for each question and adapter.
        source: the file it was read from, "" for one just made.
    """

    environment: str
    run: str
    made_by: Mapping[str, str]
    layouts: Mapping[str, str]
    questions: tuple[Question, ...]
    answers: tuple[Answer, ...]
    source: str = field(default="")

    def __post_init__(self) -> None:
        ids = {question.id for question in self.questions}
        if len(ids) != len(self.questions):
            raise RecordingError(f"{self.name} asks a question twice; record it again")
        cells = [(answer.question, answer.adapter) for answer in self.answers]
        if len(set(cells)) != len(cells):
            raise RecordingError(f"{self.name} answers a question twice; record it again")
        for answer in self.answers:
            if answer.question not in ids or answer.adapter not in self.layouts:
                raise RecordingError(f"{self.name}: an answer refers to nothing in the file; record it again")

    @property
    def name(self) -> str:
        """The file, or the environment, for messages."""
        return self.source or self.environment or "the recording"

    @property
    def adapters(self) -> tuple[str, ...]:
        """The adapters, in the order of their first answers."""
        return tuple(dict.fromkeys(answer.adapter for answer in self.answers))


def made_by() -> dict[str, str]:
    """Versions of this package and what it runs on."""
    from .. import __version__

    return {
        "lstm_xcheck": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
