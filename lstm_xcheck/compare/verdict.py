"""The closed list of verdicts, and rows of judged quantities."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from ..display import Shown, Summary, figure

VerdictName = Literal["match", "suspect", "mismatch", "inconclusive", "unsupported", "crashed", "skipped"]

#: Every verdict, in the order of the report.
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)

#: The verdict of several rows is the first of these that occurs: proven errors come first.
SEVERITY: tuple[VerdictName, ...] = (
    "mismatch", "crashed", "suspect", "inconclusive", "match", "unsupported", "skipped",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One judged quantity.

    Attributes:
        case, adapter: ids.
        quantity: y, h_n, c_n, last, layer0.y, grad:W and so on, weights, parameters; empty where nothing was run.
        verdict: one of VERDICTS.
        max_abs: largest absolute error.
        score: largest error / bound; beyond 1 no honest rounding explains it.
        worst: index of that element in the canonical shape.
        reason: one sentence, for everything but a plain match.
        decided_by: the rule that the verdict rests on, for a match the one that is nearest its limit: "worst case",
            "8 sigma", "rms", "withdrawn by the envelope", "tanh"; of gradients "Monte Carlo", of weights "bits", of
            parameters "count". Empty where nothing was compared or decided.
        precision: the precision profile that judged it; empty where none did.
    """

    case: str
    adapter: str
    quantity: str
    verdict: VerdictName
    max_abs: float | None = None
    score: float | None = None
    worst: tuple[int, ...] | None = None
    reason: str = ""
    decided_by: str = ""
    precision: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN and infinity become strings."""
        data = asdict(self)
        data["worst"] = None if self.worst is None else list(self.worst)
        for key in ("max_abs", "score"):
            value = data[key]
            data[key] = value if value is None or abs(value) < float("inf") else str(value)
        return data

    def with_note(self, note: str) -> Row:
        """The row with a note after its reason."""
        return replace(self, reason=f"{self.reason}; {note}" if self.reason else note)


@dataclass(frozen=True)
class CountRow:
    """A parameter count reconciled with the canonical formula."""

    case: str
    adapter: str
    native: int
    canonical: int
    explanation: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """The verdict on one result.

    Attributes:
        verdict: the worst of the rows.
        rows: one per compared quantity.
        count: the reconciled parameter count, where the result has one.
        state_power: computes `power` on demand.
    """

    rows: tuple[Row, ...]
    count: CountRow | None = None
    state_power: Callable[[], dict[str, Any]] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        """The text of a failed `assert`: reason of the worst row."""
        worst = [row for row in self.rows if row.verdict == self.verdict]
        more = f", and {len(worst) - 1} more" if len(worst) > 1 else ""
        return f"<Verdict {self.verdict}: {worst[0].reason or worst[0].quantity}{more}>"

    def summary(self) -> Summary:
        """The verdict, a row for each quantity, and the reasons."""
        headings = ("quantity", "verdict", "largest error", "error / bound", "decided by")
        rows = tuple(
            (row.quantity, row.verdict, figure(row.max_abs), figure(row.score), row.decided_by) for row in self.rows
        )
        reasons = tuple(dict.fromkeys(row.reason for row in self.rows if row.reason))
        return Summary(self.verdict.upper(), headings, rows, reasons)

    @property
    def verdict(self) -> VerdictName:
        """The worst verdict of all rows."""
        return worst_of(row.verdict for row in self.rows)

    @property
    def power(self) -> dict[str, Any]:
        """Detection power of a match: mistakes it would and would not detect."""
        return {} if self.state_power is None else self.state_power()


def worst_of(verdicts: Iterable[VerdictName]) -> VerdictName:
    """The most serious verdict.

    >>> worst_of(["match", "suspect"])
    'suspect'
    """
    given = set(verdicts)
    if not given:
        raise ValueError("no verdict: nothing was compared")
    return next(verdict for verdict in SEVERITY if verdict in given)
