"""Two thousand tasks with every fault in their middle: all others are judged."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, run
from lstm_xcheck.events import Outcome
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights
from lstm_xcheck.report import Report

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups are POSIX")

HERE = str(Path(__file__).parent)
TASKS = 2000
CRASHED = ("raises", "exits-hard", "segfaults", "aborts", "is-killed", "hangs", "corrupts", "integers", "nothing")
WRONG = ("nan", "shape", "no-c", "swapped")
FINE = ("prints", "writes", "fails-once")


def test_faults_in_a_long_sweep_affect_only_their_own_tasks(tmp_path: Path) -> None:
    weights = LSTMWeights.random(LSTMSpec(input_size=1, hidden_size=1))
    honest = Case.random(weights.spec, weights=weights, steps=3, batch=2)
    cases = [honest.with_id(f"good-{k}") for k in range(TASKS)]
    for k, fault in enumerate((*CRASHED, *WRONG, *FINE)):
        cases[700 + 40 * k] = honest.with_id(f"bad-{fault}")
    entry = Entry("faulty", "faulty_adapters:Faulty", path=(HERE,), variables={"FAULTY_FOLDER": str(tmp_path)})
    plan = Plan(tuple(cases), (entry,), timeout=2.0, jobs=2, diagnoses=0)
    report = Report()
    verdicts: dict[str, str] = {}
    for event in run(plan):
        report.handle(event)
        if isinstance(event, Outcome):
            assert event.case not in verdicts
            verdicts[event.case] = event.verdict
    for faults, verdict in ((CRASHED, "crashed"), (WRONG, "mismatch"), (FINE, "match")):
        assert {fault: verdicts.pop(f"bad-{fault}") for fault in faults} == dict.fromkeys(faults, verdict)
    assert Counter(verdicts.values()) == {"match": TASKS - len(CRASHED) - len(WRONG) - len(FINE)}
    totals = report.totals
    assert totals["planned"] == TASKS == sum(number for name, number in totals.items() if name != "planned")
