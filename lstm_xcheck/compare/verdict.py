"""The closed list of verdicts and the rows that carry them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

VerdictName = Literal["match", "suspect", "mismatch", "inconclusive", "unsupported", "crashed", "skipped"]

#: Every verdict, in the order of the report.
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)

#: The verdict of several rows together is the first of these that occurs: what is proven wrong comes first.
_SEVERITY: tuple[VerdictName, ...] = (
    "mismatch", "crashed", "suspect", "inconclusive", "match", "unsupported", "skipped",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One judged quantity.

    Attributes:
        case, adapter: who answered what.
        quantity: y, h_n, c_n, last, layer0.y, grad:W and so on, weights, parameters; empty where nothing was run.
        verdict: one of VERDICTS.
        max_abs: largest absolute error.
        score: largest error / bound; beyond 1 no honest rounding explains it.
        worst: index of that element in the canonical shape.
        reason: one sentence, for everything but a plain match.
    """

    case: str
    adapter: str
    quantity: str
    verdict: VerdictName
    max_abs: float | None = None
    score: float | None = None
    worst: tuple[int, ...] | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; numbers that JSON has no name for become strings."""
        data = asdict(self)
        data["worst"] = None if self.worst is None else list(self.worst)
        for key in ("max_abs", "score"):
            value = data[key]
            data[key] = value if value is None or abs(value) < float("inf") else str(value)
        return data


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
class Verdict:
    """What was decided about one result.

    Attributes:
        verdict: the worst of the rows.
        rows: one for each quantity that was compared.
        count: the reconciled parameter count, where the result has one.
        state_power: makes the statement of `power`, where somebody asks for it.
    """

    rows: tuple[Row, ...]
    count: CountRow | None = None
    state_power: Callable[[], dict[str, Any]] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        """What a failed `assert verdict.verdict == "match", verdict` says: worst element, how far off, since when."""
        worst = [row for row in self.rows if row.verdict == self.verdict]
        more = f", and {len(worst) - 1} more" if len(worst) > 1 else ""
        return f"<Verdict {self.verdict}: {worst[0].reason or worst[0].quantity}{more}>"

    @property
    def verdict(self) -> VerdictName:
        """The worst verdict of all rows."""
        return worst_of(row.verdict for row in self.rows)

    @property
    def of_outputs(self) -> tuple[Row, ...]:
        """All rows but those of gradients."""
        return tuple(row for row in self.rows if not row.quantity.startswith("grad:"))

    @property
    def power(self) -> dict[str, Any]:
        """What a match on this case proves: mistakes that would have been caught, and those it is blind to."""
        return {} if self.state_power is None else self.state_power()


def worst_of(verdicts: Iterable[VerdictName]) -> VerdictName:
    """The most serious verdict.

    Raises:
        ValueError: when there is none: a comparison of nothing has no verdict.

    >>> worst_of(["match", "suspect"])
    'suspect'
    """
    seen = set(verdicts)
    if not seen:
        raise ValueError("no verdict: nothing was compared")
    return next(verdict for verdict in _SEVERITY if verdict in seen)
