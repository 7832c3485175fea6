"""What adapters that get the weights with each call have in common."""

from __future__ import annotations

from collections.abc import Mapping

from ..arrays import Array
from ..model import Case, LSTMSpec


class WithoutModel:
    """An adapter without a model: nothing is built, loaded, read back or counted."""

    layout = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def unsupported(self, case: Case) -> str | None:
        """None: the implementation itself says what it lacks."""
        return None

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the case."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> None:
        """Nothing to build."""

    def load(self, model: None, arrays: Mapping[str, Array]) -> None:
        """Nothing to load: the weights come with each call."""

    def read_back(self, model: None) -> dict[str, Array]:
        """Nothing: no weights are loaded."""
        return {}

    def count_parameters(self, model: None) -> int:
        """Zero: no weights are loaded."""
        return 0
