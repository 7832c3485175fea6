"""The cases and checks that these tests share."""

from __future__ import annotations

from typing import Any

from lstm_xcheck.compare import judge
from lstm_xcheck.diagnose import CATALOGUE, Diagnosis, Mistake, diagnose
from lstm_xcheck.diagnose.detection_power import power
from lstm_xcheck.diagnose.mistake import run_mistakes
from lstm_xcheck.model import Case, LSTMSpec, Result

from ..helpers import ROOT, load_file

SAME_THING = load_file(ROOT / "benchmarks" / "same_thing.py")


def _case(kind: str, name: str, data: dict[str, Any] | None = None, **spec: Any) -> Case:
    init = {"probe": "probe", "user": "normal"}[kind]
    sizes = {"input_size": 6, "hidden_size": 6, **spec}
    return Case.random(
        LSTMSpec(**sizes), init=init, seed=5, id=f"{name}-{kind}", **{"steps": 6, "batch": 3, **(data or {})}
    )


#: By kind of weights; every mistake that can be loaded into a textbook LSTM shows on one of them.
CASES = {
    kind: [
        _case(kind, "square"),
        _case(kind, "stack", input_size=8, hidden_size=4, num_layers=3, bidirectional=True),
        _case(kind, "projection", proj_size=3),
        _case(kind, "double", {"precision": "float64"}),
    ]
    for kind in ("probe", "user")
}
PEEPHOLES = _case("probe", "peepholes", peepholes=True)


def named(id: str) -> Mistake:
    """The entry with this id."""
    return next(mistake for mistake in CATALOGUE if mistake.id == id)


def of_weights(mistake: Mistake) -> bool:
    """Whether a mistake changes weights that a framework can load."""
    if mistake.cell is None and mistake.weights is None:
        return False
    return any(is_loadable(mistake, case) for case in [*CASES["probe"], PEEPHOLES])


def is_loadable(mistake: Mistake, case: Case) -> bool:
    """Whether it changes numbers of this case alone."""
    changed = mistake.change_case(case)
    return changed is not None and (type(changed.spec), changed.spec) == (LSTMSpec, case.spec) and changed is not case


def where_it_shows(mistake: Mistake, cases: list[Case]) -> Case | None:
    """The first case whose detection power covers this mistake."""
    for case in cases:
        if is_loadable(mistake, case) and mistake.id in power(case, [mistake]).caught:
            return case
    return None


def means(found: Diagnosis, mistake: Mistake, case: Case) -> bool:
    """Whether the named cause is this mistake or its equal."""
    if found.mistakes == (mistake.id,):
        return True
    known = [m for m in CATALOGUE if m.id in found.mistakes]
    return bool(known) and SAME_THING.same(run_mistakes(known, case), run_mistakes([mistake], case))


def assert_caught_and_named(result: Result, mistake: Mistake, case: Case) -> None:
    """The verdict is a mismatch, and the mistake is named."""
    assert judge(result, case).verdict == "mismatch"
    found = diagnose(result, case, pairs=False)
    assert means(found, mistake, case), (case.id, found.mistakes, found.explanation)
