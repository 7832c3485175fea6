"""The answer of a comparison of two checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..display import Shown, Summary, figure

#: How each file is called in sentences.
SIDES = {"first": "A", "second": "B"}


@dataclass(frozen=True)
class ComparedLSTM:
    """An LSTM of the first file and its counterpart."""

    first: str  # its name in either file
    second: str
    same: bool  # spec, numbers and function
    spec: list[str]  # what differs in the spec, a sentence each; a bias scheme is no difference
    bias: list[str]  # both schemes
    comparable: bool  # whether the arrays have the same shapes
    weights: list[dict[str, Any]]  # each array that differs: how many numbers, by how much, and the worst one
    function: dict[str, Any]  # the verdict on the second's outputs by the first's function
    clips: list[str]  # what clips do that the two do not share
    counts: dict[str, dict[str, Any]]  # the native parameter count of either side, explained
    diagnosis: dict[str, Any] | None  # the mistake that turns the first into the second, where one is needed

    @property
    def score(self) -> float | None:
        """The largest error / bound of the function, where it was compared."""
        found = self.function.get("score")
        return None if found is None else float(found)


@dataclass(frozen=True)
class Comparison(Shown):
    """Two checkpoints, compared LSTM by LSTM."""

    first: str  # the files
    second: str
    formats: list[str]
    same: bool  # whether every LSTM was read and is the same; other layers do not count
    lstms: list[ComparedLSTM]
    unread: list[dict[str, str]]  # LSTMs that were not read, each with its file, name and reason
    layers: list[str]  # the other layers that differ
    without: list[str]  # clips that were left out, with their sizes

    @property
    def conclusion(self) -> str:
        """The answer in one line."""
        if not all(pair.same for pair in self.lstms):
            return "DIFFERENT: not the same LSTMs"
        names = ", ".join(f"{lstm['name']} of {SIDES[lstm['file']]}" for lstm in self.unread)
        if names:
            return f"NOT COMPARED: {names} was not read, so that the files may differ; the other LSTMs are the same"
        return "SAME: every LSTM is the same"

    def summary(self) -> Summary:
        """The conclusion, a row for each pair, and the mistakes."""
        rows = []
        for pair in self.lstms:
            arrays = ", ".join(entry["tensor"] for entry in pair.weights) or ("the same" if pair.comparable else "")
            words = ("; ".join(pair.spec), arrays, pair.function["verdict"], figure(pair.score))
            rows.append((pair.first, pair.second, *words))
        found = [pair.diagnosis for pair in self.lstms if pair.diagnosis]
        notes = [f"{why['cause']}. {why['fix']}" if why["cause"] else str(why["explanation"]) for why in found]
        files = (f"A: {self.first} ({self.formats[0]})", f"B: {self.second} ({self.formats[1]})")
        headings = ("A", "B", "spec", "weights", "function", "error / bound")
        return Summary(self.conclusion, headings, tuple(rows), (*notes, *files))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)
