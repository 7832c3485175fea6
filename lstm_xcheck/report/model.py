"""The report of a run, gathered from its events; its totals must add up."""

from __future__ import annotations

import importlib
import json
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from textwrap import indent, shorten
from typing import Any, Literal

import numpy as np

from ..compare import VERDICTS, CountRow, Row, worst_of
from ..display import Shown, Summary, data_frame, figure, pyplot
from ..errors import DisagreementError, NothingComparedError, UserError, XcheckError
from ..events import MAX_DIAGNOSES, Event, Finished, Outcome, Planned
from .groups import Group, Groups
from .outcomes import Outcomes, Streamed

#: Version of the JSON report.
SCHEMA = 1

#: Ends of the axis of a plot, this and its inverse.
_LEAST = 1e-9
_COLOURS = {"match": "tab:blue", "suspect": "tab:orange", "mismatch": "tab:red"}

ReportVerdict = Literal["agree", "disagree", "error"]


@dataclass
class Report(Shown):
    """Every cell of a run with its outcome; feed it events, then read it.

    Attributes:
        planned: number of planned cells.
        adapters: names, in the order of the run.
        outcomes: of the cells that ended.
        seconds: how long the run took.
        interrupted: whether the run was stopped before its end.
        subject: what was verified, such as a file, and under `command` the command line that asked.
        families: the case family of each case, where it is known.
        power: detection power of the matches, a statement for each kind of case.

    >>> Report.of([Planned(1, 1, ("torch",)), Finished(0.5)]).totals["skipped"]
    1
    """

    planned: int = 0
    adapters: tuple[str, ...] = ()
    outcomes: Outcomes = field(default_factory=Outcomes)
    seconds: float = 0.0
    interrupted: bool = False
    subject: dict[str, Any] = field(default_factory=dict)
    power: list[dict[str, Any]] = field(default_factory=list)
    families: dict[str, str] = field(default_factory=dict)
    _found: Counter[str] = field(default_factory=Counter, init=False, repr=False)
    _compared: set[tuple[str, str]] = field(default_factory=set, init=False, repr=False)
    _environments: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Report:
        """The report of all events of a run."""
        report = cls()
        for event in events:
            report.handle(event)
        return report

    def handle(self, event: Event) -> None:
        """Take one event in."""
        if isinstance(event, Planned):
            self.planned += event.tasks
            self.adapters = tuple(dict.fromkeys((*self.adapters, *event.adapters)))
            self.outcomes.expect(event.order, event.adapters)
            self.families.update(event.families)
        elif isinstance(event, Outcome):
            self.outcomes.append(event)
            self._found[event.verdict] += 1
            self._compared.add((event.adapter, event.verdict))
            if event.environment:
                self._environments[event.adapter] = _merged(self._environments.get(event.adapter), event.environment)
        elif isinstance(event, Finished):
            self.seconds += event.seconds
            self.interrupted = self.interrupted or event.interrupted

    @property
    def rows(self) -> list[Row]:
        """Every judged quantity of every cell."""
        return [row for outcome in self.outcomes for row in outcome.rows]

    @property
    def counts(self) -> list[CountRow]:
        """Every reconciled parameter count."""
        return [outcome.count for outcome in self.outcomes if outcome.count is not None]

    @property
    def totals(self) -> dict[str, int]:
        """Cells by verdict; unfinished ones count as skipped.

        Raises:
            XcheckError: when more cells ended than were planned, a bug of the engine.
        """
        found = self._found.copy()
        unfinished = self.planned - len(self.outcomes)
        if unfinished < 0:
            raise XcheckError(f"{len(self.outcomes)} cells ended, but {self.planned} were planned; please report this")
        found["skipped"] += unfinished
        return {"planned": self.planned, **{verdict: found[verdict] for verdict in VERDICTS}}

    @property
    def verdict(self) -> ReportVerdict:
        """The verdict of the run.

        `disagree` when anything is proven or suspected wrong; `error` when something crashed, a planned cell never
        ended, an LSTM of a file was not read, an implementation of the user's was never compared, or nothing was
        compared; else `agree`.
        """
        totals = self.totals
        if totals["mismatch"] or totals["suspect"]:
            return "disagree"
        unfinished = self.interrupted or len(self.outcomes) < self.planned
        failed = unfinished or self.unread or self.uncompared or totals["crashed"]
        return "error" if failed or not totals["match"] else "agree"

    @property
    def unread(self) -> list[str]:
        """LSTMs of the files that were not verified, with the reasons."""
        return [f"{lstm['file']}: {lstm['name']}: {lstm['why']}" for lstm in self.subject.get("unread", [])]

    @property
    def uncompared(self) -> list[str]:
        """Implementations of the user's, under `own` of the subject, that refused every case."""
        ended = {name for name, verdict in self._compared if verdict not in ("unsupported", "skipped")}
        return [name for name in self.subject.get("own", []) if name not in ended]

    @property
    def ok(self) -> bool:
        """Whether something was compared, and all of it agrees."""
        return self.verdict == "agree"

    @property
    def exit_code(self) -> int:
        """0 agree, 1 disagree, 2 crashed or not compared, 130 interrupted."""
        if self.interrupted:
            return 130
        return {"agree": 0, "disagree": 1, "error": 2}[self.verdict]

    def raise_if_failed(self) -> None:
        """Raise unless `ok`.

        Raises:
            DisagreementError: naming the worst rows.
            NothingComparedError: when nothing was compared.
        """
        __tracebackhide__ = True  # pytest shows the caller's line and the message
        if self.ok:
            return
        bad = [row for row in self.rows if row.verdict in ("mismatch", "suspect", "crashed")]
        unfinished = self.planned - len(self.outcomes)
        if not bad and self.outcomes and unfinished:
            raise NothingComparedError(
                f"{unfinished} of {self.planned} cells never ended, so nothing is proven of them"
            )
        if not bad and self.unread:
            raise NothingComparedError(f"these LSTMs were not read, so nothing is proven of them: {self.unread}")
        if not bad and self.uncompared:
            raise NothingComparedError(f"these refused every case, so nothing is proven of them: {self.uncompared}")
        if not bad:
            reasons = sorted({row.reason for row in self.rows if row.reason})
            raise NothingComparedError(f"nothing was compared: {'; '.join(reasons) or 'no cell was run'}")
        bad.sort(key=lambda row: -(row.score or 0.0))
        lines = [f"  {row.adapter}, case {row.case}, {row.verdict}: {row.reason}" for row in bad[:8]]
        lines += [f"  and {len(bad) - 8} more"] if len(bad) > 8 else []
        lines += [f"  {line}" for line in self.causes]
        lines += [indent(program, "    ") for program in self.programs]
        raise DisagreementError(f"{len(bad)} quantities disagree:\n" + "\n".join(lines))

    @property
    def diagnoses(self) -> list[dict[str, Any]]:
        """The first diagnoses of each adapter, in the order of the plan.

        Which further ones exist depends on what ended first, so they are left out.
        """
        listed: Counter[str] = Counter()
        first: list[dict[str, Any]] = []
        for outcome in self.outcomes:
            if outcome.diagnoses and listed[outcome.adapter] < MAX_DIAGNOSES:
                listed[outcome.adapter] += 1
                first += outcome.diagnoses
        return first

    @property
    def causes(self) -> list[str]:
        """Each adapter's mistakes once, with the remedy; where none explains, where the error is."""
        return [group.told for group in self._groups if group.named or any(d.get("location") for d in group.diagnoses)]

    @property
    def programs(self) -> list[str]:
        """Programs that make the weights which wrong functions must get, each once."""
        return list(dict.fromkeys(f"# for {group.adapter}\n{group.program}" for group in self._groups if group.program))

    @property
    def _groups(self) -> list[Group]:
        groups = Groups(self.diagnoses, self.command)
        for outcome in self.outcomes:
            groups.add(outcome)
        return groups.result()

    def command(self, case: str, adapter: str) -> str:
        """The command that runs one case of one adapter; "" where none can."""
        asked = self.subject.get("command")
        if asked is None or any(letter.isspace() for letter in case):
            return ""
        return f"{asked['verify']} {asked['adapters'].get(adapter, f'--adapters {adapter}')} --case {case}"

    def row_data(self, row: Row) -> dict[str, Any]:
        """A row as plain data, with the command that repeats it."""
        return {**row.to_dict(), "reproduce": self.command(row.case, row.adapter)}

    def summary(self) -> Summary:
        """The verdict and totals, a row for each adapter, and the causes."""
        totals = self.totals
        seen = [verdict for verdict in VERDICTS if totals[verdict]]
        cells = Counter((outcome.adapter, outcome.verdict) for outcome in self.outcomes)
        worst: dict[str, float] = {}
        for row in self.rows:
            if row.score is not None:
                worst[row.adapter] = max(worst.get(row.adapter, 0.0), row.score)
        rows = tuple(
            (name, *(str(cells[name, verdict]) for verdict in seen), figure(worst.get(name))) for name in self.adapters
        )
        counts = ", ".join(f"{totals[verdict]} {verdict}" for verdict in seen) or "nothing"
        title = f"{self.verdict.upper()}: {counts} of {totals['planned']} planned, in {self.seconds:.1f} s"
        return Summary(title, ("adapter", *seen, "error / bound"), rows, (*self.unread, *self.causes))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the report in the format of the suffix.

        The suffixes are those of `--report`: `.html`, `.json`, `.xml`, `.md` and others.

        Raises:
            UserError: for another suffix, and when the file cannot be written.
        """
        try:
            # By name, since the writers import this module.
            importlib.import_module(f"{__package__}.json_file").write_report(self, Path(path))
        except UserError as error:
            raise UserError(str(error).removeprefix("--report ")) from error

    def to_dataframe(self) -> Any:
        """The rows as a pandas DataFrame, or one of polars where pandas is missing.

        A column for each attribute of a row: case, adapter, quantity, verdict, max_abs, score, worst, reason and so on.

        Raises:
            UserError: when neither is installed.
        """
        rows = self.rows
        return data_frame({item.name: [getattr(row, item.name) for row in rows] for item in fields(Row)})

    def plot(self, ax: Any = None) -> Any:
        """Plot error / bound of every row, a line for each adapter.

        Beyond 1 no honest rounding explains an error. The line of an adapter that has no numbers says why.

        Args:
            ax: matplotlib axes to draw on; new ones by default.

        Returns:
            The axes.

        Raises:
            UserError: where matplotlib is missing.
        """
        rows: dict[str, list[Row]] = {name: [] for name in self.adapters}
        for row in self.rows:
            rows.setdefault(row.adapter, []).append(row)
        if ax is None:
            _, ax = pyplot().subplots(layout="constrained", figsize=(8, 1.6 + 0.4 * len(rows)))
        # On a log axis zero and infinity have no place: they are drawn at its ends.
        marks = [
            (row.verdict, min(max(row.score, _LEAST), 1 / _LEAST), place)
            for place, own in enumerate(rows.values())
            for row in own
            if row.score is not None
        ]
        for verdict in dict.fromkeys(verdict for verdict, *_ in marks):
            points = [point for own, *point in marks if own == verdict]
            ax.plot(*zip(*points, strict=True), "|", color=_COLOURS.get(verdict, "grey"), markersize=14, label=verdict)
        ink = {"color": "dimgrey", "backgroundcolor": ax.get_facecolor(), "verticalalignment": "center"}
        for place, own in enumerate(rows.values()):
            if all(row.score is None for row in own):
                ax.text(0.01, place, _why_no_score(own), transform=ax.get_yaxis_transform(), **ink)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.axvline(1.0, color="black", linestyle="--", label="bound")
        ax.set(xscale="log", xlabel="error / bound")
        ax.legend()
        return ax

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, in the documented schema."""
        return self._data(list)

    def to_json(self) -> str:
        """The report as JSON text."""
        return "".join(self.json_parts())

    def json_parts(self) -> Iterator[str]:
        """The JSON text in pieces, so that memory stays small."""
        return json.JSONEncoder(indent=1, allow_nan=False).iterencode(self._data(Streamed))

    def _data(self, listed: Callable[[Iterator[dict[str, Any]]], list[dict[str, Any]]]) -> dict[str, Any]:
        counts = (outcome.count for outcome in self.outcomes)
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "totals": self.totals,
            "rows": listed(self.row_data(row) for outcome in self.outcomes for row in outcome.rows),
            "parameter_counts": listed(count.to_dict() for count in counts if count is not None),
            "diagnoses": self.diagnoses,
            "power": self.power,
            "environment": self.environment(),
        }

    def environment(self) -> dict[str, Any]:
        """Versions of the driver and of each adapter."""
        from .. import __version__

        names = [*self.adapters, *(name for name in self._environments if name not in self.adapters)]
        return {
            "lstm_xcheck": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "platform": platform.platform(),
            "adapters": {name: self._environments[name] for name in names if name in self._environments},
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            **({"subject": self.subject} if self.subject else {}),
        }


def _why_no_score(rows: Sequence[Row]) -> str:
    """The worst verdict of rows without numbers, and its reason in short."""
    if not rows:
        return "no case ended"
    worst = worst_of(row.verdict for row in rows)
    return shorten(f"{worst}: {next(row.reason for row in rows if row.verdict == worst)}", 80, placeholder="...")


def _merged(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Two environments of one adapter; different versions are joined by "and"."""
    if before is None or before == now:
        return now
    both = dict(before)
    for name, value in now.items():
        known = str(both.get(name, value)).split(" and ")
        both[name] = value if name not in both else both[name] if str(value) in known else f"{both[name]} and {value}"
    return both
