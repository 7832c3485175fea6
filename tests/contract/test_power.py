"""Every mistake of the catalogue shows in some case of the contract."""

from __future__ import annotations

from collections.abc import Sequence

import lstm_xcheck as lx
from lstm_xcheck.adapter_contract import NAMES, case_named
from lstm_xcheck.diagnose import CATALOGUE
from lstm_xcheck.diagnose.mistake import Mistake, result_from, run_mistakes
from lstm_xcheck.errors import UserError
from lstm_xcheck.model import Case
from lstm_xcheck.vectors import expected_outputs
from lstm_xcheck.vectors.kills import is_killed

CASES = {name: case_named(name) for name in NAMES}


def unseen(cases: Sequence[Case]) -> set[str]:
    """Ids of mistakes that none of the cases shows."""
    left = list(CATALOGUE)
    for case in cases:
        if case.precision == "float32":
            expected = expected_outputs(case)
            left = [mistake for mistake in left if not is_killed(case, expected, mistake)]
    return {mistake.id for mistake in left if not any(is_judged_wrong(mistake, case) for case in cases)}


def is_judged_wrong(mistake: Mistake, case: Case) -> bool:
    """By the judge, which drives each step by what was observed."""
    outputs = run_mistakes([mistake], case)
    if outputs is None:
        return False
    try:
        return lx.judge(result_from(outputs), case).verdict == "mismatch"
    except UserError:  # of other shapes
        return True


def test_every_mistake_shows() -> None:
    assert unseen(list(CASES.values())) == set()


def test_one_case_does_not_show_them_all() -> None:
    assert {"layers-upper-exchanged", "gate-clip-omitted", "peepholes-dropped"} <= unseen([CASES["plain"]])
