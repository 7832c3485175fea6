"""Statements made while workers run are those that are made afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lstm_xcheck.compare import Row
from lstm_xcheck.diagnose.detection_power import Power
from lstm_xcheck.engine import grid
from lstm_xcheck.events import Event, Finished, Outcome, Planned
from lstm_xcheck.model import Case
from lstm_xcheck.report import Report, detection_power
from lstm_xcheck.report.detection_power import PowerAhead, statements

RECIPES = [*grid(hidden=2, input=2, steps=3, bias=["split", "single"], seeds=2), *grid(hidden=3, input=2, steps=2)]
NAMES = ("one", "other")


def outcome(case: str, adapter: str, *, whole: bool) -> Outcome:
    quantities = ("y", "h_n", "c_n") if whole else ("y",)
    rows = tuple(Row(case, adapter, name, "match", 0.0, 0.0, precision="float32") for name in quantities)
    return Outcome(case, adapter, rows)


def events() -> Iterator[Event]:
    yield Planned(len(RECIPES) * 2, len(RECIPES), NAMES, order=tuple(recipe.id for recipe in RECIPES))
    for number, recipe in enumerate(RECIPES):
        for name in NAMES:
            yield outcome(recipe.id, name, whole=name == "one" or number % 2 == 0)
    yield Finished(0.0)


def test_statements_made_ahead_are_the_same() -> None:
    later = statements(RECIPES, Report.of(events()))
    ahead = PowerAhead(RECIPES)
    report = Report.of(ahead.follow(events()))
    assert len(later) >= 3
    assert statements(RECIPES, report, ahead=ahead) == later


def test_no_statement_is_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, tuple[str, ...]]] = []
    original = detection_power.power

    def noted(case: Case, *, observed: tuple[str, ...], precision: str) -> Power:
        made.append((case.id, tuple(sorted(observed))))
        return original(case, observed=observed, precision=precision)

    monkeypatch.setattr(detection_power, "power", noted)
    ahead = PowerAhead(RECIPES)
    report = Report.of(ahead.follow(events()))
    found = statements(RECIPES, report, ahead=ahead)
    assert len(made) == len(set(made)) == len(found)


def test_a_stopped_run_stops_them() -> None:
    ended: list[bool] = []

    def source() -> Iterator[Event]:
        try:
            yield from events()
        finally:
            ended.append(True)

    following = PowerAhead(RECIPES).follow(source())
    next(following)
    following.close()
    assert ended == [True]
