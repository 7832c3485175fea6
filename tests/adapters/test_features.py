"""Rows of the table of features in frameworks: what agrees, what is refused, and where Keras differs from itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lstm_xcheck.adapters.registry import entry_named
from lstm_xcheck.compare import judge
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.model.features import FEATURES, feature_named
from lstm_xcheck.workers.process import Worker

pytestmark = pytest.mark.framework

GROUPS = ("states", "padding", "outputs", "calls")
NAMES = [feature.name for feature in FEATURES if feature.group in GROUPS]
REPEATED = ("held-outputs", "held-outputs-left-mask", "held-outputs-both")
MERGE = ("merge-sum", "merge-mul", "merge-ave")
CALLS = ("time-major", "time-major-lengths", "unbatched")
MASKS = ("left-mask", "interior-mask", "interior-mask-both", "empty-row")

#: Adapter -> rows that it refuses, and rows that it answers with something else.
EXPECTED: dict[str, tuple[set[str], set[str]]] = {
    "torch": ({"lengths-reverse", "length-0", "halves-of-lengths", *MASKS, *REPEATED, *MERGE}, set()),
    "jax": ({*REPEATED, *MERGE, *CALLS}, set()),
    "keras-tensorflow": (set(CALLS), {"held-outputs-both"}),
    "keras-torch": (set(CALLS), {"held-outputs-both"}),
    "keras-jax": (set(CALLS), {"held-outputs-both", "held-outputs-left-mask"}),
}


@pytest.fixture(scope="module", params=EXPECTED)
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    entry = entry_named(request.param)
    for module in entry.requires:
        pytest.importorskip(module)
    with Worker(entry) as worker:
        yield worker


def verdict(worker: Worker, case: Case) -> str:
    """The verdict of a run, which agrees with what the worker says without one."""
    reason, _ = worker.ask(case)
    if reason:
        with pytest.raises(Unsupported) as refusal:
            worker.run(case)
        assert str(refusal.value) == reason
        return "unsupported"
    return judge(worker.run(case), case, layout=worker.layout).verdict


def test_every_row_agrees_or_is_refused(worker: Worker) -> None:
    found = {name: verdict(worker, feature_named(name).case()) for name in NAMES}
    refused, differs = EXPECTED[worker.entry.name]
    assert {name for name, word in found.items() if word == "unsupported"} == refused
    assert {name for name, word in found.items() if word == "mismatch"} == differs
    assert {name for name, word in found.items() if word == "match"} == set(NAMES) - refused - differs


def test_a_call_of_other_weights_is_a_mismatch(worker: Worker) -> None:
    refused, differs = EXPECTED[worker.entry.name]
    for name in ("twice", "halves", *MERGE, *CALLS, *REPEATED[:1], "left-mask"):
        case = feature_named(name).case()
        if name not in refused | differs:
            result = worker.run(case)
            other = Case.random(case.spec, seed=2, steps=case.steps, batch=case.batch).weights
            assert judge(result, replace(case, weights=other), layout="").verdict == "mismatch"


def test_options_do_not_stay_for_the_next_case(worker: Worker) -> None:
    both = LSTMSpec(3, 4, bidirectional=True)
    plain = Case.random(both, ragged=True)
    for options in ({"merge": "sum"}, {"padding": "held"}, {"call": "time-major"}):
        case = Case.random(both, ragged=True, **options)  # type: ignore[arg-type]
        if not worker.ask(case)[0]:
            worker.run(case)
        assert verdict(worker, plain) == "match"
